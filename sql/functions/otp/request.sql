-- What people ask for by mail or phone without being signed in. Nobody learns whether an account exists.

-- POST /magiclink and POST /otp with an e-mail address (spec/01 sections 9.1 and 9.2): a magic link for a confirmed
-- user, a sign-up for everybody else. p_create_user false refuses strangers.
-- Raises: otp_disabled, signup_disabled (422), over_email_send_rate_limit (429).
-- Locks: the user. Writes: as register_email; flow_state, audit, one_time_tokens, outbox.
create or replace function postern_internal.send_magic_link(
  p_email text,
  p_create_user boolean,
  p_data jsonb,
  p_code_challenge text,
  p_code_challenge_method text,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
  v_registered record;
begin
  perform postern_internal.take_limits(p_context, p_email);
  v_user := postern_internal.lock_user_by_email(p_email, p_context ->> 'aud');
  if v_user.id is null and not p_create_user then
    perform postern_internal.fail(422, 'otp_disabled', 'Signups not allowed for otp');
  end if;
  if v_user.email_confirmed_at is null then
    v_registered := postern_internal.register_email(
      p_email, null, p_data, p_code_challenge, p_code_challenge_method, p_context);
    if v_registered.outcome <> 'confirmed' then
      return;
    end if;
    v_user := v_registered.account;
    perform postern_internal.audit_user('login', v_user, p_context, '{"provider": "email"}');
  end if;
  perform postern_internal.begin_flow(
    v_user.id, 'magiclink', 'magiclink', p_code_challenge, p_code_challenge_method, p_context);
  perform postern_internal.audit_user('user_recovery_requested', v_user, p_context);
  perform postern_internal.send_recovery(
    v_user, 'magic_link', coalesce(p_code_challenge <> '', false), p_context);
end;
$$;

-- POST /otp with a phone number (spec/01 section 9.3): a code for a confirmed user, a sign-up for everybody else.
-- p_create_user false refuses strangers. Returns the message id for the reply, mostly null; see send_phone_otp.
-- Raises: otp_disabled, signup_disabled (422), and as send_phone_otp.
-- Locks: the user. Writes: as register_phone; audit, one_time_tokens, outbox.
create or replace function postern_internal.send_sms_code(
  p_phone text,
  p_create_user boolean,
  p_data jsonb,
  p_channel text,
  p_context jsonb
)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
  v_registered record;
begin
  perform postern_internal.take_limits(p_context, p_phone);
  v_user := postern_internal.lock_user_by_phone(p_phone, p_context ->> 'aud');
  if v_user.id is null and not p_create_user then
    perform postern_internal.fail(422, 'otp_disabled', 'Signups not allowed for otp');
  end if;
  if v_user.phone_confirmed_at is null then
    v_registered := postern_internal.register_phone(p_phone, null, p_data, p_channel, p_context);
    if v_registered.outcome = 'pending' then
      return null;
    end if;
    v_user := v_registered.account;
    if v_registered.outcome = 'confirmed' then
      perform postern_internal.audit_user('login', v_user, p_context, '{"provider": "phone"}');
    end if;
  end if;
  perform postern_internal.audit_user(
    'user_recovery_requested', v_user, p_context, jsonb_build_object('channel', p_channel));
  return postern_internal.send_phone_otp(v_user, 'confirmation', p_phone, p_channel, p_context);
end;
$$;

-- POST /recover (spec/01 section 9.4): nothing for strangers; works for unconfirmed and banned users.
-- Raises: over_email_send_rate_limit (429). Locks: the user. Writes: flow_state, audit, one_time_tokens, outbox.
create or replace function postern_internal.recover(
  p_email text,
  p_code_challenge text,
  p_code_challenge_method text,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  perform postern_internal.take_limits(p_context, p_email);
  v_user := postern_internal.lock_user_by_email(p_email, p_context ->> 'aud');
  if v_user.id is null then
    return;
  end if;
  perform postern_internal.begin_flow(
    v_user.id, 'recovery', 'recovery', p_code_challenge, p_code_challenge_method, p_context);
  perform postern_internal.audit_user('user_recovery_requested', v_user, p_context);
  perform postern_internal.send_recovery(
    v_user, 'recovery', coalesce(p_code_challenge <> '', false), p_context);
end;
$$;

-- POST /resend (spec/01 section 9.5), p_type signup, email_change, sms or phone_change, with the current e-mail address
-- or phone number of the user: nothing for strangers and where nothing is pending.
-- Returns the message id for the reply, mostly null; see send_phone_otp.
-- Raises: over_email_send_rate_limit (429), and as send_phone_otp.
-- Locks: the user. Writes: flow_state, audit, one_time_tokens, outbox.
create or replace function postern_internal.resend(
  p_type text,
  p_email text,             -- '' when a phone number is given
  p_phone text,
  p_code_challenge text,
  p_code_challenge_method text,
  p_context jsonb
)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  perform postern_internal.take_limits(p_context, coalesce(nullif(p_email, ''), p_phone));
  v_user := case
    when p_email <> '' then postern_internal.lock_user_by_email(p_email, p_context ->> 'aud')
    else postern_internal.lock_user_by_phone(p_phone, p_context ->> 'aud')
  end;
  return (postern_internal.resend_to(v_user, p_type, p_code_challenge, p_code_challenge_method, p_context)).message_id;
end;
$$;

-- The same for a user, locked; null for nobody. is_sent tells whether something was pending.
create or replace function postern_internal.resend_to(
  p_user auth.users,
  p_type text,
  p_code_challenge text,
  p_code_challenge_method text,
  p_context jsonb,
  out message_id text,
  out is_sent boolean
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_is_pkce boolean := coalesce(p_code_challenge <> '', false);
begin
  is_sent := true;
  if p_type = 'signup' and p_user.email <> '' and p_user.email_confirmed_at is null then
    perform postern_internal.audit_user('user_confirmation_requested', p_user, p_context);
    perform postern_internal.check_mail_frequency(p_user.confirmation_sent_at, p_context);
    perform postern_internal.begin_flow(
      p_user.id, 'email/signup', 'email/signup', p_code_challenge, p_code_challenge_method, p_context);
    perform postern_internal.send_confirmation(p_user, 'confirmation', v_is_pkce, p_context);
  elsif p_type = 'email_change' and p_user.email_change <> '' then
    perform postern_internal.begin_flow(
      p_user.id, 'email_change', 'email_change', p_code_challenge, p_code_challenge_method, p_context);
    perform postern_internal.send_email_change(p_user, p_user.email_change, v_is_pkce, p_context);
  elsif p_type = 'sms' and p_user.phone <> '' and p_user.phone_confirmed_at is null then
    perform postern_internal.audit_user('user_recovery_requested', p_user, p_context);
    message_id := postern_internal.send_phone_otp(p_user, 'confirmation', p_user.phone, 'sms', p_context);
  elsif p_type = 'phone_change' and p_user.phone_change <> '' then
    message_id := postern_internal.send_phone_otp(p_user, 'phone_change', p_user.phone_change, 'sms', p_context);
  else
    is_sent := false;
  end if;
end;
$$;
