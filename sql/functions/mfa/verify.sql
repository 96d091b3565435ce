-- POST /factors/{id}/verify in two calls, as codes are compared outside: secrets may be encrypted, and the database does
-- not know the key (spec/03 section 5).

-- First call: what the code has to be compared with, as it is stored, and the time by which codes of authenticator apps
-- count. p_refusal is what is wrong with the body, p_has_code false for one without a code.
-- Raises: as authenticate; mfa_factor_not_found (404, or 422 for the challenge), p_refusal, validation_failed (400),
--   mfa_..._verify_not_enabled, mfa_ip_address_mismatch (422), insufficient_aal (403), over_request_rate_limit (429).
-- Returns as failure, because the challenge goes: mfa_challenge_expired (422).
create or replace function postern_internal.prepare_factor_verification(
  p_user_id uuid,
  p_session_id uuid,
  p_factor_id uuid,
  p_challenge_id uuid,      -- null where p_refusal says why
  p_has_code boolean,
  p_refusal jsonb,
  p_context jsonb,
  out factor_type text,
  out secret text,
  out checked_at timestamptz,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id);
  v_factor auth.mfa_factors := postern_internal.find_factor(p_user_id, p_factor_id);
  v_found record;
begin
  perform postern_internal.take_limits(p_context);
  perform postern_internal.refuse(p_refusal);
  if v_factor.factor_type = 'webauthn' then
    perform postern_internal.fail(
      422, 'mfa_webauthn_enroll_not_enabled', 'MFA verification is disabled for WebAuthn');
  elsif not p_has_code then
    perform postern_internal.fail(400, 'validation_failed', 'Code needs to be non-empty');
  end if;
  perform postern_internal.check_factor_limit(v_factor.id, p_context);
  v_found := postern_internal.find_challenge(v_user, v_factor, p_challenge_id, p_session_id, p_context);
  failure := v_found.failure;
  factor_type := v_factor.factor_type;
  secret := coalesce(case when v_factor.factor_type = 'totp' then v_factor.secret
    else (v_found.challenge).otp_code end, '');
  checked_at := postern_internal.clock();
end;
$$;

-- A challenge that may be answered. One that is too old, or was guessed at too often, is deleted and returned as failure.
-- Raises: mfa_factor_not_found, mfa_ip_address_mismatch, mfa_..._verify_not_enabled (422), insufficient_aal (403).
create or replace function postern_internal.find_challenge(
  p_user auth.users,
  p_factor auth.mfa_factors,
  p_challenge_id uuid,
  p_session_id uuid,
  p_context jsonb,
  out challenge auth.mfa_challenges,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.check_verify_enabled(p_factor.factor_type, p_context);
  if p_factor.status = 'unverified' then
    perform postern_internal.check_may_enroll(p_user.id, p_session_id, p_factor.id);
  end if;
  select c.* into challenge from auth.mfa_challenges as c
  where c.id = p_challenge_id and c.factor_id = p_factor.id;
  if challenge.id is null then
    perform postern_internal.fail(
      422, 'mfa_factor_not_found', 'MFA factor with the provided challenge ID not found');
  elsif challenge.verified_at is not null
    or host(challenge.ip_address) <> host(postern_internal.client_address(p_context))
  then
    perform postern_internal.fail(
      422, 'mfa_ip_address_mismatch', 'Challenge and verify IP addresses mismatch.');
  elsif challenge.created_at + make_interval(secs => (p_context #>> '{mfa,challenge_expiry}')::float)
      < postern_internal.clock()
    or postern_internal.is_guessed_out(p_challenge_id, p_context)
  then
    delete from auth.mfa_challenges as c where c.id = p_challenge_id;
    delete from postern.challenge_guesses as g where g.challenge_id = p_challenge_id;
    failure := postern_internal.failure(422, 'mfa_challenge_expired', format(
      'MFA challenge %s has expired, verify against another challenge or create a new challenge.', p_challenge_id));
  end if;
end;
$$;

-- Whether a challenge got as many wrong codes as it may (POSTERN_MFA_MAX_GUESSES; 0: any number).
create or replace function postern_internal.is_guessed_out(p_challenge_id uuid, p_context jsonb)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_max int := (p_context #>> '{mfa,max_guesses}')::int;
begin
  return v_max > 0 and exists (
    select from postern.challenge_guesses as g where g.challenge_id = p_challenge_id and g.wrong >= v_max);
end;
$$;

-- Second call: records the outcome. p_matched is the stored value that the code was right for, null for a wrong code;
-- p_step the time step of a right code of an authenticator app; p_resealed the stored value encrypted with the current
-- key, null to leave it.
-- Raises: as prepare_factor_verification and run_hook. Returns as failure: mfa_challenge_expired, mfa_verification_failed
-- (422), otp_expired (403) where the provider checks codes, and mfa_verification_rejected (403), for which all sessions of
-- the user end.
-- Locks: the user, the session. Writes: mfa_factors, mfa_challenges, totp_steps, challenge_guesses, sessions,
-- mfa_amr_claims, refresh_tokens, session_upgrades, session_ends, audit, events, outbox.
create or replace function postern_internal.verify_factor(
  p_user_id uuid,
  p_session_id uuid,
  p_factor_id uuid,
  p_challenge_id uuid,
  p_code text,              -- for a provider that checks the codes of phones itself
  p_matched text,
  p_step bigint,
  p_resealed text,
  p_context jsonb,
  out issued jsonb,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id, p_lock => true);
  v_factor auth.mfa_factors := postern_internal.find_factor(p_user_id, p_factor_id);
  v_found record;
  v_is_foreign boolean := v_factor.factor_type = 'phone' and (p_context ->> 'sms_checks_codes')::boolean
    and not (p_context -> 'hooks') ? 'send-sms';
  v_is_valid boolean;
begin
  perform postern_internal.check_factor_limit(v_factor.id, p_context);
  v_found := postern_internal.find_challenge(v_user, v_factor, p_challenge_id, p_session_id, p_context);
  failure := v_found.failure;
  if failure is not null then
    return;
  end if;
  v_is_valid := coalesce(case
    when v_is_foreign then postern_internal.ask_about_code(v_factor.phone, p_code, p_context)
    when v_factor.factor_type = 'phone' then p_matched = (v_found.challenge).otp_code
    when p_matched = v_factor.secret then postern_internal.use_totp_step(v_factor, p_step, p_context)
  end, false);
  perform postern_internal.count_factor_code(v_factor.id, v_is_valid, p_context);
  failure := postern_internal.verify_factor_attempt(v_factor, v_is_valid, p_context);
  if failure is not null then
    return;
  end if;
  if not v_is_valid then
    failure := postern_internal.refuse_code(v_factor, p_challenge_id);
    if v_is_foreign then
      failure := postern_internal.failure(403, 'otp_expired', 'Token has expired or is invalid');
    end if;
    return;
  end if;
  update auth.mfa_challenges as c set verified_at = postern_internal.clock() where c.id = p_challenge_id;
  if p_resealed is not null then
    update auth.mfa_factors as f set secret = p_resealed where f.id = v_factor.id and v_factor.factor_type = 'totp';
  end if;
  issued := postern_internal.accept_factor(v_user, v_factor, p_challenge_id, p_session_id, p_context);
end;
$$;

-- Uses up a time step of an authenticator app, and with it all earlier ones. False when it was used before.
create or replace function postern_internal.use_totp_step(
  p_factor auth.mfa_factors,
  p_step bigint,
  p_context jsonb
)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  insert into postern.totp_steps (factor_id, user_id, last_step, used_at)
  values (p_factor.id, p_factor.user_id, p_step, postern_internal.clock())
  on conflict (factor_id) do update set last_step = excluded.last_step, used_at = excluded.used_at
    where totp_steps.last_step < excluded.last_step;
  return found or (p_context #>> '{mfa,code_reuse}')::boolean;
end;
$$;

-- Counts a wrong code and says so.
create or replace function postern_internal.refuse_code(p_factor auth.mfa_factors, p_challenge_id uuid)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  insert into postern.challenge_guesses (challenge_id, factor_id, wrong, last_at)
  values (p_challenge_id, p_factor.id, 1, postern_internal.clock())
  on conflict (challenge_id) do update
    set wrong = challenge_guesses.wrong + 1, last_at = excluded.last_at;
  return postern_internal.failure(422, 'mfa_verification_failed', case p_factor.factor_type
    when 'phone' then 'Invalid MFA Phone code entered' else 'Invalid TOTP code entered' end);
end;
$$;
