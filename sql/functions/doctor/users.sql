-- What `postern doctor` asks about users: rows that were made by hand, as many a tutorial does, and lack what Supabase Auth
-- or an app expects of them (spec/05 section 7), and locks that do not hold. A finding names some of the rows, and its fix
-- mends all of them. Counts stop at 1000: more does not change the fix.

-- How an administrator calls a user, see find_user.
create or replace function postern_internal.name_of_user(p_user auth.users)
returns text
language sql immutable security invoker
as $$
  select coalesce(nullif(p_user.email, ''), nullif('+' || ltrim(p_user.phone, '+'), '+'), p_user.id::text)
$$;

-- One row for each finding. found holds the names of at most 1001 users.
create or replace function postern_internal.doctor_users()
returns table (severity text, area text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'warning', 'users',
    format(f.what, case when cardinality(f.found) > 1000 then 'more than 1000' else cardinality(f.found)::text end
      || ' (' || array_to_string(f.found[:3], ', ') || case when cardinality(f.found) > 3 then ', ...' else '' end || ')'),
    f.fix
  from (
    select 'users with NULL where Supabase Auth needs a value: %s; Postern reads it as a new user''s, going back would not work'
        as what,
      array(select postern_internal.name_of_user(u) from auth.users as u
        where u.instance_id is null or u.aud is null or u.role is null
        or u.confirmation_token is null or u.recovery_token is null or u.email_change_token_new is null
        or u.email_change_token_current is null or u.email_change is null or u.phone_change is null
        or u.phone_change_token is null or u.reauthentication_token is null or u.email_change_confirm_status is null
        or u.created_at is null or u.updated_at is null limit 1001) as found,
      'update auth.users set instance_id = coalesce(instance_id, ''00000000-0000-0000-0000-000000000000''),'
        || ' aud = coalesce(aud, ''authenticated''), role = coalesce(role, ''authenticated''),'
        || ' confirmation_token = coalesce(confirmation_token, ''''), recovery_token = coalesce(recovery_token, ''''),'
        || ' email_change_token_new = coalesce(email_change_token_new, ''''),'
        || ' email_change_token_current = coalesce(email_change_token_current, ''''),'
        || ' email_change = coalesce(email_change, ''''), phone_change = coalesce(phone_change, ''''),'
        || ' phone_change_token = coalesce(phone_change_token, ''''),'
        || ' reauthentication_token = coalesce(reauthentication_token, ''''),'
        || ' email_change_confirm_status = coalesce(email_change_confirm_status, 0),'
        || ' created_at = coalesce(created_at, now()), updated_at = coalesce(updated_at, now())'
        || ' where num_nulls(instance_id, aud, role, confirmation_token, recovery_token, email_change_token_new,'
        || ' email_change_token_current, email_change, phone_change, phone_change_token, reauthentication_token,'
        || ' email_change_confirm_status, created_at, updated_at) > 0;' as fix
    union all
    select 'users that nobody finds, because instance_id is not all zeros: %s',
      array(select postern_internal.name_of_user(u) from auth.users as u
        where u.instance_id <> '00000000-0000-0000-0000-000000000000' limit 1001),
      'update auth.users set instance_id = ''00000000-0000-0000-0000-000000000000'''
        || ' where instance_id <> ''00000000-0000-0000-0000-000000000000'';'
    union all
    select 'users with capital letters in their e-mail address: %s; it is stored in lower case everywhere else',
      array(select postern_internal.name_of_user(u) from auth.users as u
        where u.email <> lower(u.email) and u.deleted_at is null limit 1001),
      'update auth.users set email = lower(email) where email <> lower(email) and deleted_at is null;'
    union all
    select 'users with a phone number that is not digits only: %s; they cannot sign in with it',
      array(select postern_internal.name_of_user(u) from auth.users as u
        where u.phone ~ '[^0-9]' and u.deleted_at is null limit 1001),
      'update auth.users set phone = regexp_replace(phone, ''[^0-9]'', '''', ''g'')'
        || ' where phone ~ ''[^0-9]'' and deleted_at is null;'
    union all
    select 'users with an e-mail address or a phone number and no identity: %s; apps show no way to sign in for them',
      array(select postern_internal.name_of_user(u) from auth.users as u
        where (u.email <> '' or u.phone <> '') and u.deleted_at is null and not u.is_anonymous
          and not exists (select from auth.identities as i where i.user_id = u.id) limit 1001),
      'insert into auth.identities (user_id, provider, provider_id, identity_data, created_at, updated_at)'
        || ' select u.id, p.provider, u.id::text, jsonb_strip_nulls(jsonb_build_object(''sub'', u.id, ''email'','
        || ' lower(nullif(u.email, '''')), ''phone'', case p.provider when ''phone'' then u.phone end, ''email_verified'','
        || ' p.provider = ''email'' and u.email_confirmed_at is not null, ''phone_verified'','
        || ' p.provider = ''phone'' and u.phone_confirmed_at is not null)), now(), now()'
        || ' from auth.users as u cross join lateral (values (''email'', u.email), (''phone'', u.phone)) as p (provider, contact)'
        || ' where p.contact <> '''' and u.deleted_at is null and not u.is_anonymous'
        || ' and not exists (select from auth.identities as i where i.user_id = u.id);'
    union all
    select 'users with an identity that has NULL where Supabase Auth reads a time: %s; going back would not work',
      array(select postern_internal.name_of_user(u) from auth.identities as i join auth.users as u on u.id = i.user_id
        where i.created_at is null or i.updated_at is null limit 1001),
      'update auth.identities set created_at = coalesce(created_at, now()), updated_at = coalesce(updated_at, now())'
        || ' where created_at is null or updated_at is null;'
    union all
    select 'locked users whose ban was changed by something other than Postern: %s; nothing keeps their accounts shut',
      array(select postern_internal.name_of_user(u) from postern.locked_users as l join auth.users as u on u.id = l.user_id
        where u.banned_until is distinct from l.banned_until limit 1001),
      'select postern.lock_user(l.user_id::text, l.reason) from postern.locked_users as l'
        || ' join auth.users as u on u.id = l.user_id where u.banned_until is distinct from l.banned_until;'
  ) as f
  where cardinality(f.found) > 0
$$;
