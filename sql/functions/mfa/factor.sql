-- What the steps of second factors share (spec/03 sections 2 to 6).

-- The factor of a user. Raises: mfa_factor_not_found (404).
create or replace function postern_internal.find_factor(p_user_id uuid, p_factor_id uuid)
returns auth.mfa_factors
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_factor auth.mfa_factors;
begin
  select f.* into v_factor from auth.mfa_factors as f where f.id = p_factor_id and f.user_id = p_user_id;
  if v_factor.id is null then
    perform postern_internal.fail(404, 'mfa_factor_not_found', 'Factor not found');
  end if;
  return v_factor;
end;
$$;

-- The authentication method that using a factor adds to a session.
create or replace function postern_internal.factor_method(p_type auth.factor_type)
returns text
language sql immutable security invoker
as $$
  select case p_type when 'totp' then 'totp' when 'phone' then 'mfa/phone' else 'mfa/webauthn' end
$$;

-- Whether a session is at aal2. False for none.
create or replace function postern_internal.is_aal2(p_session_id uuid)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return exists (select from auth.sessions as s where s.id = p_session_id and s.aal >= 'aal2');
end;
$$;

-- Whether codes of this type of factor are accepted. Raises: mfa_..._verify_not_enabled (422).
create or replace function postern_internal.check_verify_enabled(p_type auth.factor_type, p_context jsonb)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if (p_context #> '{mfa,verify}') ? p_type::text then
    return;
  end if;
  case p_type
    when 'totp' then
      perform postern_internal.fail(422, 'mfa_totp_verify_not_enabled', 'MFA verification is disabled for TOTP');
    when 'phone' then
      perform postern_internal.fail(422, 'mfa_phone_verify_not_enabled', 'MFA verification is disabled for Phone');
    else
      perform postern_internal.fail(422, 'mfa_webauthn_verify_not_enabled', 'MFA verification is disabled for WebAuthn');
  end case;
end;
$$;

-- Whether factors of this type can be added. Raises: mfa_..._enroll_not_enabled (422).
create or replace function postern_internal.check_enroll_enabled(p_type auth.factor_type, p_context jsonb)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if (p_context #> '{mfa,enroll}') ? p_type::text then
    return;
  end if;
  case p_type
    when 'totp' then
      perform postern_internal.fail(422, 'mfa_totp_enroll_not_enabled', 'MFA enroll is disabled for TOTP');
    when 'phone' then
      perform postern_internal.fail(422, 'mfa_phone_enroll_not_enabled', 'MFA enroll is disabled for Phone');
    else
      perform postern_internal.fail(422, 'mfa_webauthn_enroll_not_enabled', 'MFA enroll is disabled for WebAuthn');
  end case;
end;
$$;

-- A factor that is not verified yet would lift a session to aal2: whoever has a verified one must use that first. The
-- reference asks for it at enrolment alone, which a factor left over from before gets around.
-- p_factor_id is the factor itself, if there is one: a parallel request may have verified it since it was read.
-- Raises: insufficient_aal (403).
create or replace function postern_internal.check_may_enroll(
  p_user_id uuid,
  p_session_id uuid,
  p_factor_id uuid default null
)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if exists (
      select from auth.mfa_factors as f
      where f.user_id = p_user_id and f.status = 'verified' and f.id is distinct from p_factor_id)
    and not postern_internal.is_aal2(p_session_id)
  then
    perform postern_internal.fail(403, 'insufficient_aal', 'AAL2 required to enroll a new factor');
  end if;
end;
$$;

-- Removes a factor with its challenges. Sessions that it lifted to aal2 fall back to aal1.
-- The caller holds the user's lock. Locks: sessions. Writes: mfa_factors, sessions, mfa_amr_claims, totp_steps,
-- challenge_guesses.
create or replace function postern_internal.drop_factor(p_factor auth.mfa_factors)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  with lowered as (
    update auth.sessions as s set aal = 'aal1', factor_id = null, updated_at = postern_internal.clock()
    where s.user_id = p_factor.user_id and s.factor_id = p_factor.id
    returning s.id
  )
  delete from auth.mfa_amr_claims as c using lowered
  where c.session_id = lowered.id
    and c.authentication_method = postern_internal.factor_method(p_factor.factor_type);
  delete from auth.mfa_factors as f where f.id = p_factor.id;
  delete from postern.totp_steps as t where t.factor_id = p_factor.id;
  delete from postern.challenge_guesses as g where g.factor_id = p_factor.id;
end;
$$;
