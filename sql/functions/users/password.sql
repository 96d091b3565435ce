-- Sets a password hash with all that follows from it (spec/01 section 6): every one-time token of the user is
-- void, the demand for a new password is met, and every session but p_except ends. With setting email_identity the first password of a user with a confirmed
-- address brings the e-mail identity. The caller holds the user's lock.
-- Writes: users, identities, one_time_tokens, password_demands, sessions, session_ends, events.
create or replace function postern_internal.replace_password(
  p_user_id uuid,
  p_password_hash text,     -- '': the user has no password any more
  p_context jsonb,
  p_except uuid default null
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
  v_is_first boolean;
begin
  select coalesce(u.encrypted_password, '') = '' and p_password_hash <> '' into v_is_first
  from auth.users as u where u.id = p_user_id;
  perform postern_internal.void_tokens(p_user_id);
  delete from postern.password_demands as d where d.user_id = p_user_id;
  update auth.users
  set encrypted_password = nullif(p_password_hash, ''), updated_at = postern_internal.clock()
  where id = p_user_id
  returning * into v_user;
  if v_is_first and (p_context ->> 'email_identity')::boolean and v_user.email <> ''
    and v_user.email_confirmed_at is not null
  then
    perform postern_internal.add_identity(
      p_user_id, 'email',
      postern_internal.base_identity_data(p_user_id, v_user.email) || '{"email_verified": true}', p_context);
  end if;
  perform postern_internal.end_sessions(p_user_id, 'password_change', p_context, p_except => p_except);
  perform postern_internal.record_event('user.password_changed', p_user_id, p_context);
  return v_user;
end;
$$;

-- Makes everything void that was mailed or texted to a user: links and codes. What they were for, like a change of the
-- address, can be asked for anew at once. Returns how many there were. The caller holds the user's lock.
-- Writes: users, one_time_tokens.
create or replace function postern_internal.void_tokens(p_user_id uuid)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_count int;
begin
  delete from auth.one_time_tokens as t where t.user_id = p_user_id;
  get diagnostics v_count = row_count;
  update auth.users as u
  set confirmation_token = '', confirmation_sent_at = null, recovery_token = '', recovery_sent_at = null,
    email_change_token_new = '', email_change_token_current = '', email_change_sent_at = null,
    phone_change_token = '', phone_change_sent_at = null,
    reauthentication_token = '', reauthentication_sent_at = null, updated_at = postern_internal.clock()
  where u.id = p_user_id;
  return v_count;
end;
$$;

-- First call of a password sign-in: the hash to compare with. Always one row; nulls for a stranger, an account
-- without a password is the same.
-- Raises: over_request_rate_limit (429), the client's or the account's.
create or replace function postern_internal.find_password_hash(
  p_email text,             -- '' when a phone number is given
  p_phone text,
  p_context jsonb,
  out user_id uuid,
  out password_hash text
)
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.take_limits(p_context);
  perform postern_internal.check_password_limit(p_context);
  if p_email <> '' then
    select u.id, nullif(u.encrypted_password, '') into user_id, password_hash
    from postern_internal.find_users_by_email(p_email, p_context ->> 'aud') as u;
  else
    select u.id, nullif(u.encrypted_password, '') into user_id, password_hash
    from postern_internal.find_users_by_phone(p_phone, p_context ->> 'aud') as u;
  end if;
end;
$$;

-- Second call of a password sign-in: records the outcome of the comparison (spec/01 section 4.1).
-- p_matched_hash is what was stored of the hash that matched, null when none did; it must still be the user's.
-- p_new_hash takes its place after a good sign-in: of an outdated form, or not encrypted as it should be; null: none does.
-- A ban is told only to who knows the password. The password-verification hook is told of every try at an account that
-- has a password and no ban, and may reject it, and end all sessions.
-- Returns as failure: invalid_credentials, user_banned, email_not_confirmed, phone_not_confirmed,
--   password_change_required (400);
--   over_request_rate_limit (429); conflict (409) where another sign-in has renewed the hash since it was read, or the
--   password was changed: the server compares again.
-- Locks: the user. Writes: limits, users, audit, and what open_session or demand_new_password writes.
create or replace function postern_internal.sign_in_with_password(
  p_user_id uuid,           -- null for a stranger
  p_matched_hash text,
  p_provider text,          -- email | phone
  p_context jsonb,
  p_new_hash text,
  out issued jsonb,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_user auth.users;
  v_signed_in auth.users;
  v_is_right boolean;
begin
  if p_matched_hash is not null or (p_context -> 'hooks') ? 'password-verification' then
    v_user := postern_internal.lock_user(p_user_id);
  end if;
  if p_matched_hash is not null and v_user.id is not null and v_user.encrypted_password is distinct from p_matched_hash then
    failure := postern_internal.failure(409, 'conflict', 'The password was changed by another request');
    return;
  end if;
  v_is_right := p_matched_hash is not null and v_user.id is not null;
  failure := coalesce(
    postern_internal.count_password(v_is_right, p_context),
    postern_internal.verify_password_attempt(v_user, p_matched_hash, p_context));
  if failure is not null then
    return;
  end if;
  if not v_is_right then
    failure := postern_internal.failure(400, 'invalid_credentials', 'Invalid login credentials');
  elsif postern_internal.is_banned(v_user) then
    failure := postern_internal.failure(400, 'user_banned', 'User is banned');
  elsif p_provider = 'email' and v_user.email_confirmed_at is null then
    failure := postern_internal.failure(400, 'email_not_confirmed', 'Email not confirmed');
  elsif p_provider = 'phone' and v_user.phone_confirmed_at is null then
    failure := postern_internal.failure(400, 'phone_not_confirmed', 'Phone not confirmed');
  else
    update auth.users as u
    set last_sign_in_at = v_now, encrypted_password = coalesce(p_new_hash, u.encrypted_password), updated_at = v_now
    where u.id = p_user_id and not exists (select from postern.password_demands as d where d.user_id = p_user_id)
    returning u.* into v_signed_in;
    if v_signed_in.id is null then
      failure := postern_internal.demand_new_password(v_user, p_provider, p_context);
      return;
    end if;
    perform postern_internal.audit_user(
      'login', v_user, p_context, jsonb_build_object('provider', p_provider));
    issued := postern_internal.open_session(v_signed_in, 'password', p_context);
  end if;
end;
$$;
