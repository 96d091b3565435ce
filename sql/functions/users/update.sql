-- PUT /user (spec/01 section 6). p_changes holds what the client sent and the handler checked for shape:
-- email, phone, channel, data, app_metadata, has_password, nonce, code_challenge, code_challenge_method.

-- The caller, if the change is allowed at all; steps 3 to 8 of the spec.
-- Raises: as authenticate; not_admin (403), insufficient_aal (401), validation_failed, user_sso_managed,
--   email_exists, phone_exists (422). Locks: the user.
create or replace function postern_internal.check_user_changes(
  p_user_id uuid,
  p_session_id uuid,
  p_changes jsonb,
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id, p_lock => true);
  v_has_password boolean := (p_changes ->> 'has_password')::boolean;
  v_new_email text := nullif(lower(p_changes ->> 'email'), coalesce(v_user.email, ''));
  v_new_phone text := nullif(p_changes ->> 'phone', coalesce(v_user.phone, ''));
  v_owner uuid;
begin
  perform postern_internal.take_limits(p_context);
  v_new_email := nullif(v_new_email, '');
  v_new_phone := nullif(v_new_phone, '');
  if jsonb_typeof(p_changes -> 'app_metadata') = 'object'
    and not (v_user.aud = p_context ->> 'jwt_aud' and v_user.role = p_context ->> 'admin_role')
  then
    perform postern_internal.fail(403, 'not_admin', 'Updating app_metadata requires admin privileges');
  end if;
  if (v_has_password or v_new_email is not null or v_new_phone is not null)
    and postern_internal.lacks_second_factor(v_user.id, p_session_id)
  then
    perform postern_internal.fail(401, 'insufficient_aal',
      'AAL2 session is required to update email or password when MFA is enabled.');
  end if;
  if v_user.is_anonymous and v_has_password
    and coalesce(p_changes ->> 'email', '') = '' and coalesce(p_changes ->> 'phone', '') = ''
  then
    perform postern_internal.fail(422, 'validation_failed',
      'Updating password of an anonymous user without an email or phone is not allowed');
  end if;
  if v_user.is_sso_user
    and (v_has_password or v_new_email is not null or v_new_phone is not null
      or coalesce(p_changes ->> 'nonce', '') <> '')
  then
    perform postern_internal.fail(422, 'user_sso_managed',
      'Updating email, phone, password of a SSO account only possible via SSO');
  end if;
  if v_new_email is not null then
    v_owner := postern_internal.owner_of_email(v_new_email, p_context || jsonb_build_object('aud', v_user.aud));
    if v_owner <> v_user.id then
      perform postern_internal.fail(
        422, 'email_exists', 'A user with this email address has already been registered');
    end if;
  end if;
  if v_new_phone is not null
    and exists (select from postern_internal.find_users_by_phone(v_new_phone, v_user.aud) as u
      where u.id <> v_user.id)
  then
    perform postern_internal.fail(
      422, 'phone_exists', 'A user with this phone number has already been registered');
  end if;
  return v_user;
end;
$$;

-- Whether the user has a second factor that the session has not seen.
create or replace function postern_internal.lacks_second_factor(p_user_id uuid, p_session_id uuid)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return postern_internal.has_verified_factor(p_user_id)
    and not exists (select from auth.mfa_amr_claims as c
      where c.session_id = p_session_id
        and c.authentication_method in ('totp', 'mfa/phone', 'mfa/webauthn'));
end;
$$;

-- First call of a change with a password in it: the same checks, then the nonce where one is demanded. A right
-- nonce is used up by this call, whatever happens next (spec/01 section 6, step 9a).
-- Returns the stored hash ('' when there is none) and whether the current password must be given.
-- Raises: as check_user_changes and redeem_nonce. Returns as failure: as redeem_nonce.
-- Locks: the user. Writes: as redeem_nonce.
create or replace function postern_internal.prepare_password_change(
  p_user_id uuid,
  p_session_id uuid,
  p_changes jsonb,
  p_context jsonb,
  out password_hash text,
  out needs_current_password boolean,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.check_user_changes(p_user_id, p_session_id, p_changes, p_context);
  v_session auth.sessions;
begin
  select s.* into v_session from auth.sessions as s where s.id = p_session_id;
  if (p_context ->> 'reauthenticate')::boolean
    and coalesce(v_session.created_at + interval '24 hours' <= postern_internal.clock(), true)
  then
    failure := postern_internal.redeem_nonce(v_user, p_changes ->> 'nonce', p_context);
    if failure is not null then
      return;
    end if;
  end if;
  password_hash := coalesce(v_user.encrypted_password, '');
  needs_current_password := (p_context ->> 'current_password')::boolean
    and password_hash <> ''
    and not exists (select from auth.mfa_amr_claims as c
      where c.session_id = p_session_id and c.authentication_method in ('otp', 'magiclink', 'recovery'));
end;
$$;

-- Uses up the code of GET /reauthenticate.
-- Raises: reauthentication_needed (400); otp_expired (403) where the provider of text messages says that the code is wrong.
-- Returns as failure, because it was counted: reauthentication_not_valid (422).
-- The caller holds the user's lock. Writes: users, one_time_tokens; as count_wrong_code for a wrong code.
create or replace function postern_internal.redeem_nonce(p_user auth.users, p_nonce text, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_has_email boolean := coalesce(p_user.email, '') <> '';
  v_is_right boolean := false;
begin
  if coalesce(p_nonce, '') = '' then
    perform postern_internal.fail(
      400, 'reauthentication_needed', 'Password update requires reauthentication');
  end if;
  if coalesce(p_user.reauthentication_token, '') = '' then
    null; -- nobody asked for a code
  elsif not v_has_email and postern_internal.is_foreign_code(p_user.phone, p_context) then
    v_is_right := postern_internal.ask_about_code(p_user.phone, p_nonce, p_context);
    if not v_is_right then
      perform postern_internal.fail_otp(false);
    end if;
  elsif v_has_email then
    v_is_right := p_user.reauthentication_token = postern_internal.otp_hash(p_user.email, p_nonce)
      and postern_internal.is_otp_alive(p_user.reauthentication_sent_at, p_context);
  else
    v_is_right := p_user.reauthentication_token = postern_internal.otp_hash(p_user.phone, p_nonce)
      and postern_internal.is_sms_otp_alive(p_user.reauthentication_sent_at, p_context);
  end if;
  if not v_is_right then
    perform postern_internal.count_wrong_nonce(p_user, p_context);
    return postern_internal.failure(422, 'reauthentication_not_valid', 'Nonce has expired or is invalid');
  end if;
  delete from auth.one_time_tokens where user_id = p_user.id;
  update auth.users set reauthentication_token = '', updated_at = postern_internal.clock()
  where id = p_user.id;
  return null;
end;
$$;

-- Counts a wrong nonce. One whose row went when another code of the user was redeemed has no count: it is void at once.
-- The caller holds the user's lock. Writes: as count_wrong_code; users.
create or replace function postern_internal.count_wrong_nonce(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.count_wrong_code('{reauthentication_token}', p_user.id, null, p_context);
  if p_context ? 'otp_attempts' and p_user.reauthentication_token <> '' and not exists (
    select from auth.one_time_tokens as t
    where t.user_id = p_user.id and t.token_type = 'reauthentication_token')
  then
    update auth.users set reauthentication_token = '' where id = p_user.id;
  end if;
end;
$$;

-- Applies the changes and returns the user object. p_password_hash is null when no password was given;
-- p_old_hash is the one the handler compared with, which must still be stored.
-- Raises: as check_user_changes; conflict (409), over_email_send_rate_limit (429), and as send_phone_otp.
-- Locks: the user. Writes: users, identities, one_time_tokens, flow_state, sessions, audit, events, outbox.
create or replace function postern_internal.update_user(
  p_user_id uuid,
  p_session_id uuid,
  p_changes jsonb,
  p_old_hash text,
  p_password_hash text,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.check_user_changes(p_user_id, p_session_id, p_changes, p_context);
begin
  if p_password_hash is not null then
    if coalesce(v_user.encrypted_password, '') <> coalesce(p_old_hash, '') then
      perform postern_internal.fail(409, 'conflict', 'The password was changed by another request');
    end if;
    v_user := postern_internal.replace_password(v_user.id, p_password_hash, p_context, p_except => p_session_id);
    perform postern_internal.end_flows(v_user.id);
    perform postern_internal.audit_user('user_updated_password', v_user, p_context);
    perform postern_internal.notify_user('password_changed', v_user, p_context);
  end if;
  if jsonb_typeof(p_changes -> 'data') = 'object' or jsonb_typeof(p_changes -> 'app_metadata') = 'object' then
    update auth.users
    set raw_user_meta_data = postern_internal.merge_metadata(raw_user_meta_data, p_changes -> 'data'),
      raw_app_meta_data = postern_internal.merge_metadata(raw_app_meta_data, p_changes -> 'app_metadata'),
      updated_at = postern_internal.clock()
    where id = v_user.id
    returning * into v_user;
  end if;
  if coalesce(p_changes ->> 'email', '') <> '' and lower(p_changes ->> 'email') <> coalesce(v_user.email, '') then
    perform postern_internal.begin_email_change(v_user, p_changes, p_context);
  end if;
  if coalesce(p_changes ->> 'phone', '') <> '' and p_changes ->> 'phone' <> coalesce(v_user.phone, '') then
    perform postern_internal.begin_phone_change(v_user, p_changes, p_context);
  end if;
  perform postern_internal.audit_user('user_modified', v_user, p_context);
  perform postern_internal.record_event('user.updated', v_user.id, p_context);
  return postern_internal.user_document(postern_internal.lock_user(v_user.id));
end;
$$;

-- A new address: mailed for confirmation, except that an anonymous user under autoconfirm has it at once.
create or replace function postern_internal.begin_email_change(p_user auth.users, p_changes jsonb, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_user.is_anonymous and (p_context ->> 'autoconfirm')::boolean then
    p_user.email_change := lower(p_changes ->> 'email');
    perform postern_internal.apply_email_change(p_user, p_context);
    perform postern_internal.recompute_providers(p_user.id);
    return;
  end if;
  perform postern_internal.begin_flow(p_user.id, 'email_change', 'email_change',
    p_changes ->> 'code_challenge', p_changes ->> 'code_challenge_method', p_context);
  perform postern_internal.send_email_change(
    p_user, p_changes ->> 'email', coalesce(p_changes ->> 'code_challenge' <> '', false), p_context);
end;
$$;

-- A new number: gets a code, or is the user's at once under autoconfirm.
create or replace function postern_internal.begin_phone_change(p_user auth.users, p_changes jsonb, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if (p_context ->> 'phone_autoconfirm')::boolean then
    p_user.phone_change := p_changes ->> 'phone';
    perform postern_internal.apply_phone_change(p_user, p_context);
    perform postern_internal.recompute_providers(p_user.id);
    return;
  end if;
  perform postern_internal.send_phone_otp(
    p_user, 'phone_change', p_changes ->> 'phone', coalesce(nullif(p_changes ->> 'channel', ''), 'sms'), p_context);
end;
$$;
