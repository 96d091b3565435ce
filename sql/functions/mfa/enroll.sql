-- POST /factors: adds a factor, not verified yet (spec/03 section 3). p_factor: id, factor_type, friendly_name, phone
-- (digits) and secret (as it is stored: encrypted where encryption is on). p_refusal is what is wrong with phone.
-- Returns the address for the QR code. Of stale unverified factors only the user's own go here; those of others are left
-- to maintenance, so that no request touches other users' rows.
-- Raises: as authenticate; p_refusal; mfa_..._enroll_not_enabled, mfa_verified_factor_exists, mfa_factor_name_conflict,
--   too_many_enrolled_mfa_factors (422), insufficient_aal (403), unexpected_failure (500) for an authenticator app
--   without an address to show in it.
-- Locks: the user. Writes: mfa_factors, audit, events.
create or replace function postern_internal.enroll_factor(
  p_user_id uuid,
  p_session_id uuid,
  p_factor jsonb,
  p_refusal jsonb,
  p_context jsonb
)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id, p_lock => true);
  v_type auth.factor_type := (p_factor ->> 'factor_type')::auth.factor_type;
  v_id uuid := (p_factor ->> 'id')::uuid;
begin
  perform postern_internal.check_enroll_enabled(v_type, p_context);
  perform postern_internal.refuse(p_refusal);
  if v_type = 'phone' then
    perform postern_internal.make_room_for_phone(p_user_id, p_factor ->> 'phone');
  end if;
  delete from auth.mfa_factors as f
  where f.user_id = p_user_id and f.status = 'unverified'
    and f.created_at + make_interval(secs => (p_context #>> '{mfa,factor_expiry}')::float) < v_now
    and not exists (select from auth.mfa_challenges as c where c.factor_id = f.id);
  perform postern_internal.check_room_for_factor(p_user_id, p_factor ->> 'friendly_name', p_context);
  perform postern_internal.check_may_enroll(p_user_id, p_session_id);
  if v_type = 'totp' and coalesce(v_user.email, '') = '' then
    perform postern_internal.fail(500, 'unexpected_failure', 'Error generating QR Code');
  end if;

  insert into auth.mfa_factors (
    id, user_id, friendly_name, factor_type, status, secret, phone, created_at, updated_at)
  values (
    v_id, p_user_id, p_factor ->> 'friendly_name', v_type, 'unverified', coalesce(p_factor ->> 'secret', ''),
    nullif(p_factor ->> 'phone', ''), v_now, v_now);
  perform postern_internal.audit_user('factor_in_progress', v_user, p_context, jsonb_build_object('factor_id', v_id)
    || case when v_type = 'totp' then '{}' else jsonb_build_object('factor_type', v_type) end);
  perform postern_internal.record_event('factor.created', p_user_id, p_context,
    jsonb_build_object('factor_id', v_id, 'factor_type', v_type), p_session_id);
  return coalesce(v_user.email, '');
end;
$$;

-- A number may be verified once; attempts with it that came to nothing make room.
-- Raises: mfa_verified_factor_exists (422).
create or replace function postern_internal.make_room_for_phone(p_user_id uuid, p_phone text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if exists (
    select from auth.mfa_factors as f where f.user_id = p_user_id and f.phone = p_phone and f.status = 'verified')
  then
    perform postern_internal.fail(422, 'mfa_verified_factor_exists',
      'A verified phone factor already exists, unenroll the existing factor to continue');
  end if;
  delete from auth.mfa_factors as f where f.user_id = p_user_id and f.phone = p_phone;
end;
$$;

-- Whether a user may have one more factor, of that name. Two without a name are one too many.
-- Raises: mfa_factor_name_conflict, too_many_enrolled_mfa_factors (422).
create or replace function postern_internal.check_room_for_factor(p_user_id uuid, p_name text, p_context jsonb)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_all int;
  v_verified int;
  v_same int;
begin
  select count(*), count(*) filter (where f.status = 'verified'),
    count(*) filter (where coalesce(f.friendly_name, '') = p_name)
  into v_all, v_verified, v_same
  from auth.mfa_factors as f where f.user_id = p_user_id;
  if v_same > 0 then
    perform postern_internal.fail(422, 'mfa_factor_name_conflict',
      format('A factor with the friendly name "%s" for this user already exists', p_name));
  elsif v_all >= (p_context #>> '{mfa,max_enrolled}')::float or v_verified >= (p_context #>> '{mfa,max_verified}')::float
  then
    perform postern_internal.fail(422, 'too_many_enrolled_mfa_factors',
      'Maximum number of verified factors reached, unenroll to continue');
  end if;
end;
$$;
