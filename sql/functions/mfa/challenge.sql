-- POST /factors/{id}/challenge (spec/03 section 4). p_challenge: id, and for a phone the code, stored_code (encrypted
-- where encryption is on) and channel; p_refusal is what is wrong with a body that only phones need.
-- Returns id, type and expires_at (unix seconds).
-- Raises: as authenticate; mfa_factor_not_found (404), mfa_..._verify_not_enabled (422), insufficient_aal (403),
--   p_refusal, over_sms_send_rate_limit (429), and what send_factor_code raises.
-- Locks: the user, so that challenges of one factor follow each other. Writes: mfa_challenges, mfa_factors, audit, outbox.
create or replace function postern_internal.challenge_factor(
  p_user_id uuid,
  p_session_id uuid,
  p_factor_id uuid,
  p_challenge jsonb,
  p_refusal jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id, p_lock => true);
  v_factor auth.mfa_factors := postern_internal.find_factor(p_user_id, p_factor_id);
begin
  perform postern_internal.take_limits(p_context);
  perform postern_internal.check_verify_enabled(v_factor.factor_type, p_context);
  if v_factor.status = 'unverified' then
    perform postern_internal.check_may_enroll(p_user_id, p_session_id, p_factor_id);
  end if;
  if v_factor.factor_type = 'phone' then
    perform postern_internal.refuse(p_refusal);
    perform postern_internal.send_factor_code(v_user, v_factor, p_challenge, p_context);
  end if;
  insert into auth.mfa_challenges (id, factor_id, created_at, ip_address, otp_code)
  values (
    (p_challenge ->> 'id')::uuid, v_factor.id, v_now, postern_internal.client_address(p_context),
    case when v_factor.factor_type = 'phone' then p_challenge ->> 'stored_code' else '' end);
  perform postern_internal.note_challenge(v_factor.id, v_now);
  perform postern_internal.audit_user('challenge_created', v_user, p_context,
    jsonb_build_object('factor_id', v_factor.id, 'factor_status', v_factor.status));
  return jsonb_build_object(
    'id', p_challenge ->> 'id', 'type', v_factor.factor_type, 'expires_at', floor(extract(epoch from v_now
      + make_interval(secs => (p_context #>> '{mfa,challenge_expiry}')::float)))::bigint);
end;
$$;

-- The address a challenge belongs to; who comes without one has the same one each time.
create or replace function postern_internal.client_address(p_context jsonb)
returns inet
language sql immutable security invoker
as $$
  select coalesce(nullif(p_context ->> 'ip', '')::inet, '0.0.0.0')
$$;

-- Remembers when a factor was challenged last. The column is unique over all users: who meets another challenge in the
-- same microsecond takes the next one.
create or replace function postern_internal.note_challenge(p_factor_id uuid, p_at timestamptz)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  for attempt in 0 .. 99 loop
    begin
      update auth.mfa_factors
      set last_challenged_at = p_at + make_interval(secs => attempt * 1e-6), updated_at = postern_internal.clock()
      where id = p_factor_id;
      return;
    exception when unique_violation then
      continue;
    end;
  end loop;
  perform postern_internal.fail(409, 'conflict', 'Too many challenges at the same time, please retry after a moment.');
end;
$$;

-- Sends the code of a challenge to the phone of the factor, at most once in MFA_PHONE_MAX_FREQUENCY.
-- Raises: over_sms_send_rate_limit (429), unexpected_failure (500) where no provider can be used, and as send_sms.
create or replace function postern_internal.send_factor_code(
  p_user auth.users,
  p_factor auth.mfa_factors,
  p_challenge jsonb,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_wait interval := p_factor.last_challenged_at
    + make_interval(secs => (p_context #>> '{mfa,phone_frequency}')::float) - postern_internal.clock();
begin
  if v_wait > interval '0' then
    perform postern_internal.fail(429, 'over_sms_send_rate_limit', format(
      'For security purposes, you can only request this after %s seconds.', trunc(extract(epoch from v_wait))));
  elsif p_context ->> 'sms_provider' = '' and not (p_context -> 'hooks') ? 'send-sms' then
    perform postern_internal.fail(500, 'unexpected_failure', 'Failed to get SMS provider');
  end if;
  perform postern_internal.send_sms(p_user, p_factor.phone, p_challenge ->> 'code', p_challenge ->> 'channel', 'mfa',
    make_interval(secs => (p_context #>> '{mfa,challenge_expiry}')::float), p_context);
end;
$$;
