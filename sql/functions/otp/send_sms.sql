-- Codes by text message (spec/01 section 1.3). The caller holds the user's lock.

-- Makes a code for a phone number, stores its hash and sends it. p_kind says what for and where the hash goes:
-- confirmation (sign-up and sign-in), phone_change (also stores the number as the pending one), reauthentication.
-- Returns the message id that the client is told: test-otp for a number with a test code, which gets no message; else
-- null.
-- Raises: over_sms_send_rate_limit (429), and as send_sms. Writes: users, one_time_tokens, outbox.
create or replace function postern_internal.send_phone_otp(
  p_user auth.users,
  p_kind text,
  p_phone text,
  p_channel text,           -- sms | whatsapp; with the send-SMS hook any
  p_context jsonb
)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_type auth.one_time_token_type := (p_kind || '_token')::auth.one_time_token_type;
  v_test_otp text := postern_internal.test_otp(p_phone, p_context);
  v_otp text := coalesce(v_test_otp, postern_internal.random_otp((p_context ->> 'sms_otp_length')::int));
  v_hash text := postern_internal.otp_hash(p_phone, v_otp);
begin
  perform postern_internal.check_sms_frequency(postern_internal.token_sent_at(p_user, v_type), p_context);
  perform postern_internal.store_one_time_token(p_user.id, v_type, v_hash, p_phone);
  case p_kind
    when 'confirmation' then
      update auth.users
      set confirmation_token = v_hash, confirmation_sent_at = v_now, updated_at = v_now
      where id = p_user.id
      returning * into p_user;
    when 'phone_change' then
      update auth.users
      set phone_change = p_phone, phone_change_token = v_hash, phone_change_sent_at = v_now, updated_at = v_now
      where id = p_user.id
      returning * into p_user;
    when 'reauthentication' then
      update auth.users
      set reauthentication_token = v_hash, reauthentication_sent_at = v_now, updated_at = v_now
      where id = p_user.id
      returning * into p_user;
  end case;
  if v_test_otp is not null then
    return 'test-otp';
  end if;
  perform postern_internal.send_sms(
    p_user, p_phone, v_otp, p_channel, p_kind,
    make_interval(secs => (p_context ->> 'sms_otp_exp')::float), p_context);
  return null;
end;
$$;

-- The one place where a text message leaves: with the send-sms hook the hook gets it, else it is queued: sent after the
-- surrounding transaction commits, and never if it rolls back; nor after p_lifetime, when the code is worth nothing any
-- more. p_kind: confirmation, phone_change, reauthentication, or mfa for a second factor.
-- The payload holds the code and is erased on delivery. A provider that makes the codes itself is only told to: p_otp
-- goes nowhere then, and the code lives for ten minutes.
-- Raises: unexpected_failure (500) where no provider can be used, and as run_hook. Writes: outbox.
create or replace function postern_internal.send_sms(
  p_user auth.users,
  p_phone text,
  p_otp text,
  p_channel text,
  p_kind text,
  p_lifetime interval,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_hook jsonb := p_context -> 'hooks' -> 'send-sms';
  v_payload jsonb;
  v_is_foreign boolean := (p_context ->> 'sms_checks_codes')::boolean;
begin
  perform postern_internal.take_quota('sms', p_context);
  if v_hook is not null then
    v_payload := jsonb_build_object(
      'user', postern_internal.user_document(p_user),
      'sms', jsonb_build_object('otp', p_otp, 'phone', p_phone)
        || case p_kind when 'mfa' then '{"sms_type": "mfa"}' else '{}'::jsonb end);
    if v_hook ? 'function' or not p_context ? 'by_sql' then
      if not postern_internal.is_suppressed(p_phone) then
        perform postern_internal.run_hook('send-sms', p_kind, v_payload, p_context);
      end if;
    else
      perform postern_internal.queue_hook('send-sms', p_phone, p_user.id, v_payload, p_context);
    end if;
    return;
  end if;
  if p_context ->> 'sms_provider' = '' then
    perform postern_internal.fail(500, 'unexpected_failure', 'Unable to get SMS provider');
  end if;
  insert into postern.outbox (
    kind, template, recipient, user_id, payload, next_attempt_at, created_at, expires_at)
  values (
    'sms', p_kind, p_phone, p_user.id,
    jsonb_build_object('channel', p_channel)
      || case when v_is_foreign then '{}' else jsonb_build_object('otp', p_otp) end,
    postern_internal.clock(), postern_internal.clock(),
    postern_internal.clock() + case when v_is_foreign then interval '10 minutes' else p_lifetime end);
  perform postern_internal.wake_outbox();
end;
$$;

-- The fixed code of a number that the operator set for tests (SMS_TEST_OTP), while it counts; null for other numbers.
create or replace function postern_internal.test_otp(p_phone text, p_context jsonb)
returns text
language sql stable security invoker
as $$
  select case
    when coalesce((p_context ->> 'sms_test_otps_until')::timestamptz > postern_internal.clock(), true)
      then nullif(p_context -> 'sms_test_otps' ->> p_phone, '')
  end
$$;

-- Whether the code for a number is made and checked by the provider (Twilio Verify), and not by us.
create or replace function postern_internal.is_foreign_code(p_phone text, p_context jsonb)
returns boolean
language sql stable security invoker
as $$
  select (p_context ->> 'sms_checks_codes')::boolean and not (p_context -> 'hooks') ? 'send-sms'
    and postern_internal.test_otp(p_phone, p_context) is null
$$;

-- Asks the provider whether a code is the one it sent to a number (core/ask.sql). True while nobody has answered yet:
-- what follows is rolled back then.
create or replace function postern_internal.ask_about_code(p_phone text, p_code text, p_context jsonb)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return coalesce(postern_internal.ask(
    'sms-code:' || p_phone, jsonb_build_object('phone', p_phone, 'code', p_code), p_context)::boolean, true);
end;
$$;
