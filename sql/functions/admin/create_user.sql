-- Makes an account for somebody else (spec/01 section 12.2): POST /admin/users and postern.create_user.
-- p_account: email, phone (checked for shape), id, aud, role, user_metadata, app_metadata, email_confirm, phone_confirm,
-- ban_seconds; missing, null and '' are the same. p_password_hash null: an account without a password.
-- Raises: email_exists, phone_exists (422), p_refusal, unique_violation for a taken id.
-- Writes: users, identities, audit, events.
create or replace function postern_internal.create_account(
  p_account jsonb,
  p_password_hash text,
  p_refusal jsonb,
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_aud text := coalesce(nullif(p_account ->> 'aud', ''), p_context ->> 'aud');
  v_email text := nullif(p_account ->> 'email', '');
  v_phone text := nullif(p_account ->> 'phone', '');
  v_providers text[] := array_remove(array[
    case when v_email is not null then 'email' end, case when v_phone is not null then 'phone' end], null);
  v_new auth.users;
  v_user auth.users;
begin
  if v_aud <> p_context ->> 'aud' then
    p_context := p_context || jsonb_build_object('aud', v_aud);
  end if;
  perform postern_internal.check_is_free(v_email, v_phone, p_context);
  if p_refusal is not null then
    perform postern_internal.refuse(p_refusal);
  end if;
  v_new.id := nullif(p_account ->> 'id', '')::uuid;
  v_new.aud := v_aud;
  v_new.role := coalesce(nullif(btrim(p_account ->> 'role'), ''), p_context ->> 'default_role');
  v_new.email := v_email;
  v_new.phone := v_phone;
  v_new.encrypted_password := coalesce(p_password_hash, postern_internal.unusable_password_hash());
  v_new.raw_user_meta_data := p_account -> 'user_metadata';
  v_new.raw_app_meta_data := postern_internal.merge_metadata(
    jsonb_build_object('provider', v_providers[1], 'providers', v_providers), p_account -> 'app_metadata');
  v_user := postern_internal.insert_user(v_new, p_context);
  if v_user.id is null then
    perform postern_internal.fail_taken(v_email);
  end if;

  if v_email is not null then
    perform postern_internal.add_identity(
      v_user.id, 'email', postern_internal.base_identity_data(v_user.id, v_email), p_context);
  end if;
  if v_phone is not null then
    perform postern_internal.put_phone_identity(v_user.id, v_phone, false, p_context);
  end if;
  perform postern_internal.audit_admin('user_signedup', v_user, p_context, jsonb_build_object(
    'user_phone', coalesce(v_phone, ''), 'provider', v_providers[1]));
  if (p_account ->> 'email_confirm')::boolean then
    v_user := postern_internal.confirm_email_address(v_user.id, p_context);
  end if;
  if (p_account ->> 'phone_confirm')::boolean then
    v_user := postern_internal.confirm_phone_number(v_user.id, p_context);
  end if;
  if p_account ? 'ban_seconds' then
    v_user := postern_internal.set_ban(v_user.id, (p_account ->> 'ban_seconds')::float, p_context);
  end if;
  return v_user;
end;
$$;

-- Raises email_exists or phone_exists (422) when the address or number is somebody's.
create or replace function postern_internal.check_is_free(p_email text, p_phone text, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_email is not null and postern_internal.owner_of_email(p_email, p_context) is not null then
    perform postern_internal.fail_email_exists();
  elsif p_phone is not null
    and exists (select from postern_internal.find_users_by_phone(p_phone, p_context ->> 'aud'))
  then
    perform postern_internal.fail(422, 'phone_exists', 'Phone number already registered by another user');
  end if;
end;
$$;

-- Raises email_exists (422).
create or replace function postern_internal.fail_email_exists()
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.fail(
    422, 'email_exists', 'A user with this email address has already been registered');
end;
$$;

-- Raises the same for somebody who came in between, or who belongs to another audience: the indexes know none.
create or replace function postern_internal.fail_taken(p_email text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if exists (select from auth.users as u where u.email = lower(p_email) and not u.is_sso_user) then
    perform postern_internal.fail_email_exists();
  end if;
  perform postern_internal.fail(422, 'phone_exists', 'Phone number already registered by another user');
end;
$$;

-- POST /admin/users as the handler calls it: the user object as the reference shows it, which has no confirmed_at,
-- and null for the metadata of an account imported with a hash and without metadata (spec/00 section 7).
-- Raises and writes: as create_account.
create or replace function postern_internal.admin_create_user(
  p_account jsonb,
  p_password_hash text,
  p_is_import boolean,      -- the hash came from the client
  p_refusal jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.create_account(p_account, p_password_hash, p_refusal, p_context);
  v_document jsonb := postern_internal.user_document(v_user) - 'confirmed_at';
begin
  if p_is_import and v_user.raw_user_meta_data = '{}'
    and coalesce(p_account -> 'user_metadata', 'null') = 'null'
  then
    v_document := v_document || '{"user_metadata": null}';
  end if;
  return v_document;
end;
$$;

-- See the comment on the function. Raises and writes: as create_account and the checks of check_input.sql.
-- One statement may create many users, with the plans that were made at the first. Where there were few rows, PostgreSQL
-- likes to read whole tables; the ten-thousandth user would pay for that, so it is off, in functions that make users. What has
-- no index looks dear then: JIT and parallel workers, which PostgreSQL would bring in for it, are off as well.
create or replace function postern.create_user(
  email text default null,
  password text default null,
  phone text default null,
  password_hash text default null,
  email_confirm boolean default false,
  phone_confirm boolean default false,
  user_metadata jsonb default '{}',
  app_metadata jsonb default '{}',
  role text default null,
  id uuid default null,
  ban_duration interval default null
)
returns uuid
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off
  set jit = off set max_parallel_workers_per_gather = 0
as $$
declare
  v_email text := postern_internal.check_email(email);
  v_phone text := postern_internal.check_phone(phone);
  v_hash text;
begin
  if v_email is null and v_phone is null then
    perform postern_internal.fail(
      400, 'validation_failed', 'Cannot create a user without either an email or phone');
  elsif password is not null and password_hash is not null then
    perform postern_internal.fail(
      400, 'validation_failed', 'Only a password or a password hash should be provided');
  elsif password is not null then
    v_hash := postern_internal.hash_password(password);
  elsif password_hash is not null then
    v_hash := postern_internal.check_password_hash(password_hash);
  end if;
  return (postern_internal.create_account(
    jsonb_build_object(
      'id', id, 'email', v_email, 'phone', v_phone, 'role', role, 'email_confirm', email_confirm,
      'phone_confirm', phone_confirm, 'user_metadata', user_metadata, 'app_metadata', app_metadata)
    || case
      when ban_duration is null then '{}'
      else jsonb_build_object('ban_seconds', extract(epoch from ban_duration))
    end,
    v_hash, null, postern_internal.context())).id;
end;
$$;
comment on function postern.create_user(
  text, text, text, text, boolean, boolean, jsonb, jsonb, text, uuid, interval) is
'Creates a user and returns the id, like POST /admin/users: the same checks, identities, audit entry and events. No mail is sent.
email, phone: at least one of them. phone may begin with + and hold spaces.
password: hashed with bcrypt by the extension pgcrypto; or password_hash: bcrypt, Argon2, Firebase scrypt, or one of the forms of imports that docs/passwords.md lists. Neither: nobody can sign in with a password.
email_confirm, phone_confirm: true marks the address or number as confirmed.
user_metadata, app_metadata: JSON objects.
role: role in tokens; default: that of every new user.
id: a UUID to use; default: a random one.
ban_duration: how long the user is banned from now on; default: not at all.
Errors: email_exists, phone_exists (PT422), validation_failed (PT400).
Example: select postern.create_user(''ann@example.com'', email_confirm => true);
Example: select postern.create_user(email, password_hash => hash) from old_users;
Example: select postern.create_user(format(''user%s@example.com'', n), email_confirm => true) from generate_series(1, 10000) as n;';

-- See the comment on the function. Raises and writes: as create_account. Settings: as postern.create_user.
create or replace function postern.ensure_user(
  email text,
  user_metadata jsonb default '{}',
  app_metadata jsonb default '{}',
  email_confirm boolean default false
)
returns uuid
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off
  set jit = off set max_parallel_workers_per_gather = 0
as $$
declare
  v_context jsonb := postern_internal.context();
  v_email text := postern_internal.check_email(email);
  v_id uuid := postern_internal.owner_of_email(v_email, v_context);
begin
  if v_id is not null then
    return v_id;
  elsif v_email is null then
    perform postern_internal.fail(400, 'validation_failed', 'An email address is required');
  end if;
  begin
    return (postern_internal.create_account(
      jsonb_build_object('email', v_email, 'email_confirm', email_confirm, 'user_metadata', user_metadata,
        'app_metadata', app_metadata),
      null, null, v_context)).id;
  exception when sqlstate 'PT422' then
    v_id := postern_internal.owner_of_email(v_email, v_context);
    if v_id is null then
      raise;
    end if;
    return v_id; -- somebody was faster
  end;
end;
$$;
comment on function postern.ensure_user(text, jsonb, jsonb, boolean) is
'Returns the id of the user with that e-mail address; creates the user first if there is none. An existing user is not changed. Who asks for the same address at the same time waits, and gets the same id; seeds of many rows go through them in one order, or two of them may block each other.
email: the address, in any case.
user_metadata, app_metadata, email_confirm: for a new user, as for postern.create_user.
Errors: validation_failed (PT400).
Example: insert into members (user_id, team) select postern.ensure_user(email), ''blue'' from applications order by email;';
