-- What `postern doctor` asks about rows. Counts stop at 1000: more does not change the fix.

-- Rows that were made by hand, and lack what Supabase Auth or an app expects of them (spec/05 section 7).
create or replace function postern_internal.doctor_users()
returns table (severity text, area text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'warning', 'users', format(f.what, case when f.n > 1000 then 'more than 1000' else f.n::text end), f.fix
  from (
    select 'users with NULL where Supabase Auth reads text: %s; Postern reads it as empty, going back would not work' as what,
      (select count(*) from (select from auth.users as u where u.aud is null or u.role is null
        or u.confirmation_token is null or u.recovery_token is null or u.email_change_token_new is null
        or u.email_change_token_current is null or u.email_change is null or u.phone_change is null
        or u.phone_change_token is null or u.reauthentication_token is null or u.email_change_confirm_status is null
        or u.created_at is null or u.updated_at is null limit 1001) as x) as n,
      'update auth.users set aud = coalesce(aud, ''authenticated''), role = coalesce(role, ''authenticated''),'
        || ' confirmation_token = coalesce(confirmation_token, ''''), recovery_token = coalesce(recovery_token, ''''),'
        || ' email_change_token_new = coalesce(email_change_token_new, ''''),'
        || ' email_change_token_current = coalesce(email_change_token_current, ''''),'
        || ' email_change = coalesce(email_change, ''''), phone_change = coalesce(phone_change, ''''),'
        || ' phone_change_token = coalesce(phone_change_token, ''''),'
        || ' reauthentication_token = coalesce(reauthentication_token, ''''),'
        || ' email_change_confirm_status = coalesce(email_change_confirm_status, 0),'
        || ' created_at = coalesce(created_at, now()), updated_at = coalesce(updated_at, now())'
        || ' where num_nulls(aud, role, confirmation_token, recovery_token, email_change_token_new,'
        || ' email_change_token_current, email_change, phone_change, phone_change_token, reauthentication_token,'
        || ' email_change_confirm_status, created_at, updated_at) > 0;' as fix
    union all
    select 'users that nobody finds, because instance_id is not all zeros: %s',
      (select count(*) from (select from auth.users as u
        where u.instance_id is distinct from '00000000-0000-0000-0000-000000000000' limit 1001) as x),
      'update auth.users set instance_id = ''00000000-0000-0000-0000-000000000000'''
        || ' where instance_id is distinct from ''00000000-0000-0000-0000-000000000000'';'
    union all
    select 'users with capital letters in their e-mail address: %s; it is stored in lower case everywhere else',
      (select count(*) from (select from auth.users as u where u.email <> lower(u.email) and u.deleted_at is null limit 1001) as x),
      'update auth.users set email = lower(email) where email <> lower(email) and deleted_at is null;'
    union all
    select 'users with a phone number that is not digits only: %s; they cannot sign in with it',
      (select count(*) from (select from auth.users as u where u.phone ~ '[^0-9]' and u.deleted_at is null limit 1001) as x),
      'update auth.users set phone = regexp_replace(phone, ''[^0-9]'', '''', ''g'') where phone ~ ''[^0-9]'' and deleted_at is null;'
    union all
    select 'users with an e-mail address and no identity: %s; apps show no way to sign in for them',
      (select count(*) from (select from auth.users as u
        where u.email <> '' and u.deleted_at is null and not u.is_anonymous
          and not exists (select from auth.identities as i where i.user_id = u.id) limit 1001) as x),
      'insert into auth.identities (user_id, provider, provider_id, identity_data, created_at, updated_at)'
        || ' select id, ''email'', id::text, jsonb_build_object(''sub'', id, ''email'', email, ''email_verified'','
        || ' email_confirmed_at is not null, ''phone_verified'', false), now(), now() from auth.users as u'
        || ' where email <> '''' and deleted_at is null and not is_anonymous'
        || ' and not exists (select from auth.identities as i where i.user_id = u.id);'
    union all
    select 'locked users whose ban was changed by something other than Postern: %s; nothing keeps their accounts shut',
      (select count(*) from (select from postern.locked_users as l join auth.users as u on u.id = l.user_id
        where u.banned_until is distinct from l.banned_until limit 1001) as x),
      'select postern.lock_user(l.user_id::text, l.reason) from postern.locked_users as l'
        || ' join auth.users as u on u.id = l.user_id where u.banned_until is distinct from l.banned_until;'
  ) as f
  where f.n > 0
$$;

-- What is left undone: messages, and maintenance.
create or replace function postern_internal.doctor_work()
returns table (severity text, area text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'warning', 'outbox', format('%s messages could not be delivered; the last error: %s', count(*),
      (array_agg(coalesce(o.last_error, 'none') order by o.id desc))[1]),
    'select * from postern.list_outbox(''dead''); -- then postern.retry_outbox(id)'
  from postern.outbox as o
  where o.state = 'dead'
  having count(*) > 0
  union all
  select 'error', 'outbox', format('%s messages have been due for more than 10 minutes: nobody delivers them', count(*)),
    'Start a server (postern serve) whose settings can deliver: ' || string_agg(distinct o.kind, ', ')
  from postern.outbox as o
  where o.state in ('queued', 'sending') and o.next_attempt_at < postern_internal.clock() - interval '10 minutes'
  having count(*) > 0
  union all
  select 'warning', 'maintenance', format('rule %s failed: %s', m.rule, m.last_error),
    'Mend what the message says; the next pass tries again: select * from postern.run_maintenance();'
  from postern.maintenance as m
  where m.failed_at > postern_internal.clock() - interval '1 day' and m.failed_at >= m.ran_at
  union all
  select 'warning', 'maintenance', format('maintenance last ran %s: expired rows pile up',
      coalesce('at ' || postern_internal.rfc3339(max(m.ran_at)), 'never')),
    'Set POSTERN_MAINTENANCE_ENABLED=true on a server, or run select * from postern.run_maintenance(); by a scheduler'
  from postern.settings as s
  left join postern.maintenance as m on m.rule = 'pass' or m.rule = 'outbox'
  where s.published_at < postern_internal.clock() - interval '1 day'
  having count(s.is_only_row) > 0
    and coalesce(max(m.ran_at) < postern_internal.clock() - interval '1 day', true)
  union all
  select 'warning', 'maintenance', format(
      '%s users are past their time and cannot be deleted; the last reason: %s', count(*),
      (array_agg(r.reason order by r.refused_at desc))[1]),
    'Give the foreign key that the message names ON DELETE CASCADE or SET NULL'
  from postern.retention_refusals as r
  having count(*) > 0
$$;

-- See the comment on the function. Security definer as all of schema postern: see admin/who.sql.
create or replace function postern.doctor()
returns table (severity text, area text, what text, fix text)
language sql stable security definer set search_path = ''
as $$
  select f.severity, f.area, f.what, f.fix
  from (
    select 1 as part, d.* from postern_internal.doctor_triggers() as d
    union all select 2, d.* from postern_internal.doctor_foreign_keys() as d
    union all select 3, d.* from postern_internal.doctor_indexes() as d
    union all select 4, d.* from postern_internal.doctor_users() as d
    union all select 5, d.* from postern_internal.doctor_work() as d
  ) as f
  order by array_position(array['error', 'warning', 'note'], f.severity), f.part, f.what
$$;
comment on function postern.doctor() is
'Looks for what is wrong in this database, the worst first: triggers and foreign keys of the application on auth tables, broken indexes, rows made by hand, messages that nobody delivers, maintenance that fails. Severity is error, warning or note; fix is a statement or a sentence. The command postern doctor shows this and checks settings, keys, mail and DNS as well.
Example: select severity, what, fix from postern.doctor() where severity <> ''note'';';
