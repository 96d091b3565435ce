-- Undoes a soft deletion (delete_user.sql). What the user had is only known by its hashes since then: whoever asks says
-- what it was, and the hashes tell whether that is true. So nothing personal has to be kept for it.

-- See the comment on the function.
-- Raises: validation_failed (400), and as find_deleted_user, check_deleted_address and restore_identities. Locks: the user.
-- Writes: users, identities, audit, events.
create or replace function postern.restore_user(
  who text,
  email text default null,
  phone text default null,
  identities jsonb default '{}'
)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_user auth.users := postern_internal.find_deleted_user(who);
  v_email text := coalesce(nullif(btrim(email), ''), case when who like '%@%' then btrim(who) end);
  v_phone text := postern_internal.check_phone(
    coalesce(nullif(btrim(phone), ''), case when btrim(who) like '+%' then btrim(who) end));
begin
  if jsonb_typeof(identities) <> 'object' then
    perform postern_internal.fail(
      400, 'validation_failed', 'Identities are a JSON object: names of providers, and ids at them');
  end if;
  perform postern_internal.check_deleted_address(v_user, v_email, v_phone, v_context);
  v_email := postern_internal.check_email(v_email);
  begin
    update auth.users as u
    set email = v_email, phone = v_phone, email_change = '', phone_change = '', email_change_confirm_status = 0,
      email_confirmed_at = case when v_email is not null then u.email_confirmed_at end,
      phone_confirmed_at = case when v_phone is not null then u.phone_confirmed_at end,
      raw_user_meta_data = case
        when v_email is not null and u.email_confirmed_at is not null then '{"email_verified": true}'::jsonb
        else '{}'
      end,
      deleted_at = null, updated_at = postern_internal.clock()
    where u.id = v_user.id
    returning u.* into v_user;
  exception when unique_violation then
    perform postern_internal.fail_taken(v_email);
  end;
  perform postern_internal.restore_identities(v_user, identities);
  perform postern_internal.recompute_providers(v_user.id);
  perform postern_internal.audit_admin(
    'user_modified', v_user, v_context, jsonb_build_object('user_phone', coalesce(v_phone, '')));
  perform postern_internal.record_event('user.restored', v_user.id, v_context);
  return v_user.id;
end;
$$;
comment on function postern.restore_user(text, text, text, jsonb) is
'Undoes a soft deletion, also one by DELETE /admin/users/{id}, and returns the user''s id. Only hashes of address, number and identities were kept: you say what they were, and they are compared. They come back confirmed as they were, the e-mail and phone identities with them, id, role, ban and dates as well. What nobody says is lost, like metadata, password, second factors, passkeys and sessions: the user signs in by a mailed link, or sets a new password.
who: the user''s id; or the e-mail address, or the phone number with a leading +, that the user had, which is compared with all deleted users and comes back.
email, phone: what else the user had. At least one of them is needed, unless the user had neither.
identities: ids that the user had at providers, like {"github": "583231"}, or a list for several. Others can be linked again later.
Errors: user_not_found (PT404); conflict (PT409) for a user who is not deleted, or several deleted users with that address; validation_failed (PT400) for what the user did not have; email_exists, phone_exists, identity_already_exists (PT422) for what somebody has by now.
Example: select postern.restore_user(''ann@example.com'');
Example: select postern.restore_user(''00000000-0000-4000-8000-00000000000a'', email => ''ann@example.com'', identities => ''{"github": "583231"}'');';

-- A user who was deleted softly, locked.
-- Raises: validation_failed (400) for text that names nobody, user_not_found (404), conflict (409) for a user who is not
-- deleted, and for an address that several had. An address is compared with all deleted users: there is no index of hashes.
create or replace function postern_internal.find_deleted_user(p_who text)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_who text := btrim(p_who);
  v_ids uuid[];
  v_user auth.users;
begin
  if v_who like '+%' then
    v_ids := array(
      select u.id from auth.users as u
      where u.deleted_at is not null and postern_internal.is_here(u.instance_id)
        and postern_internal.was_phone(u, translate(v_who, '+ ', '')));
  elsif v_who like '%@%' then
    v_ids := array(
      select u.id from auth.users as u
      where u.deleted_at is not null and postern_internal.is_here(u.instance_id)
        and postern_internal.was_email(u, v_who));
  end if;
  if cardinality(v_ids) > 1 then
    perform postern_internal.fail(
      409, 'conflict', format('Several deleted users had %s; say which by the id', v_who));
  end if;
  v_user := postern_internal.need_user(coalesce(v_ids[1], (postern_internal.find_user(v_who)).id));
  if v_user.deleted_at is null then
    perform postern_internal.fail(409, 'conflict', format('The user %s is not deleted', v_who));
  end if;
  return v_user;
end;
$$;

-- Whether an address, or the digits of a number, is what a deleted user had: what is stored is its hash (obscure_user).
-- Inlined into their callers, therefore without a SET clause.
create or replace function postern_internal.was_email(p_user auth.users, p_email text)
returns boolean
language sql stable security invoker
as $$
  select p_user.email in (
    lower(p_email), postern_internal.obscured(p_user.id, lower(p_email)), postern_internal.obscured(p_user.id, p_email))
$$;

create or replace function postern_internal.was_phone(p_user auth.users, p_phone text)
returns boolean
language sql stable security invoker
as $$
  select p_user.phone in (p_phone, left(postern_internal.obscured(p_user.id, p_phone), 15))
$$;

-- Whether a deleted user had that address and number (null: not said), and nobody has them by now.
-- Raises: validation_failed (400), email_exists, phone_exists (422).
create or replace function postern_internal.check_deleted_address(
  p_user auth.users,
  p_email text,
  p_phone text,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_email is not null and not postern_internal.was_email(p_user, p_email) then
    perform postern_internal.fail(
      400, 'validation_failed', format('The deleted user did not have the e-mail address %s', p_email));
  elsif p_phone is not null and not postern_internal.was_phone(p_user, p_phone) then
    perform postern_internal.fail(
      400, 'validation_failed', format('The deleted user did not have the phone number +%s', p_phone));
  elsif p_email is null and p_phone is null
    and not (postern_internal.was_email(p_user, '') and postern_internal.was_phone(p_user, ''))
  then
    perform postern_internal.fail(
      400, 'validation_failed', 'Say the e-mail address or the phone number that the user had');
  end if;
  perform postern_internal.check_is_free(
    case when not p_user.is_sso_user then p_email end, p_phone,
    p_context || jsonb_strip_nulls(jsonb_build_object('aud', p_user.aud)));
end;
$$;

-- Gives identities their ids back: those of address and number, whose id is the user's, and those that p_identities names
-- ({provider: id or list of ids}). The others go, because nobody could ever sign in with them.
-- Raises: validation_failed (400), identity_already_exists (422). The caller holds the user's lock. Writes: identities.
create or replace function postern_internal.restore_identities(p_user auth.users, p_identities jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_known record;
begin
  for v_known in
    select 'email' as provider, p_user.id::text as provider_id, false as is_named,
      postern_internal.base_identity_data(p_user.id, p_user.email)
        || jsonb_build_object('email_verified', p_user.email_confirmed_at is not null) as data
    where p_user.email is not null
    union all
    select 'phone', p_user.id::text, false, postern_internal.base_identity_data(p_user.id, null)
        || jsonb_build_object('phone', p_user.phone, 'phone_verified', p_user.phone_confirmed_at is not null)
    where p_user.phone is not null
    union all
    select p.key, i.value, true, jsonb_build_object(
        'sub', i.value, 'provider_id', i.value, 'email_verified', false, 'phone_verified', false)
    from jsonb_each(postern_internal.read_metadata(p_identities)) as p
    cross join jsonb_array_elements_text(
      case jsonb_typeof(p.value) when 'array' then p.value else jsonb_build_array(p.value) end) as i
  loop
    begin
      update auth.identities as i
      set provider_id = v_known.provider_id, identity_data = v_known.data, updated_at = postern_internal.clock()
      where i.user_id = p_user.id and i.provider = v_known.provider
        and i.provider_id
          = postern_internal.obscured(p_user.id, v_known.provider || ':' || v_known.provider_id);
    exception when unique_violation then
      perform postern_internal.fail(422, 'identity_already_exists', 'Identity is already linked to another user');
    end;
    if not found and v_known.is_named then
      perform postern_internal.fail(400, 'validation_failed',
        format('The deleted user did not have the identity %s at %s', v_known.provider_id, v_known.provider));
    end if;
  end loop;
  delete from auth.identities as i where i.user_id = p_user.id and i.identity_data = '{}';
end;
$$;
