-- The user object of the API without identities and factors (spec/00 section 7).
-- Inlined into its callers, therefore without a SET clause.
create or replace function postern_internal.user_json(p_user auth.users)
returns jsonb
language sql stable security invoker
as $$
  select jsonb_strip_nulls(jsonb_build_object(
      'email_confirmed_at', postern_internal.rfc3339(p_user.email_confirmed_at),
      'invited_at', postern_internal.rfc3339(p_user.invited_at),
      'phone_confirmed_at', postern_internal.rfc3339(p_user.phone_confirmed_at),
      'confirmation_sent_at', postern_internal.rfc3339(p_user.confirmation_sent_at),
      'confirmed_at', postern_internal.rfc3339(p_user.confirmed_at),
      'recovery_sent_at', postern_internal.rfc3339(p_user.recovery_sent_at),
      'new_email', nullif(p_user.email_change, ''),
      'email_change_sent_at', postern_internal.rfc3339(p_user.email_change_sent_at),
      'new_phone', nullif(p_user.phone_change, ''),
      'phone_change_sent_at', postern_internal.rfc3339(p_user.phone_change_sent_at),
      'reauthentication_sent_at', postern_internal.rfc3339(p_user.reauthentication_sent_at),
      'last_sign_in_at', postern_internal.rfc3339(p_user.last_sign_in_at),
      'banned_until', postern_internal.rfc3339(p_user.banned_until),
      'deleted_at', postern_internal.rfc3339(p_user.deleted_at)
    )) || jsonb_build_object(
      'id', p_user.id,
      'aud', coalesce(p_user.aud, postern_internal.default_setting('jwt_aud')),
      'role', coalesce(p_user.role, postern_internal.default_setting('default_role')),
      'email', coalesce(p_user.email, ''),
      'phone', coalesce(p_user.phone, ''),
      'app_metadata', postern_internal.read_metadata(p_user.raw_app_meta_data),
      'user_metadata', postern_internal.read_metadata(p_user.raw_user_meta_data),
      'created_at', coalesce(postern_internal.rfc3339(p_user.created_at), '0001-01-01T00:00:00Z'),
      'updated_at', coalesce(postern_internal.rfc3339(p_user.updated_at), '0001-01-01T00:00:00Z'),
      'is_anonymous', p_user.is_anonymous
    )
$$;

-- The identity object of the API.
create or replace function postern_internal.identity_json(p_identity auth.identities)
returns jsonb
language sql stable security invoker
as $$
  select jsonb_strip_nulls(jsonb_build_object(
      'last_sign_in_at', postern_internal.rfc3339(p_identity.last_sign_in_at),
      'email', nullif(p_identity.email, '')
    )) || jsonb_build_object(
      'identity_id', p_identity.id,
      'id', p_identity.provider_id,
      'user_id', p_identity.user_id,
      'provider', p_identity.provider,
      'created_at', coalesce(postern_internal.rfc3339(p_identity.created_at), '0001-01-01T00:00:00Z'),
      'updated_at', coalesce(postern_internal.rfc3339(p_identity.updated_at), '0001-01-01T00:00:00Z')
    ) || case
      when p_identity.identity_data in ('{}', 'null') then '{}'
      else jsonb_build_object('identity_data', p_identity.identity_data)
    end
$$;

-- The factor object of the API; never the secret.
create or replace function postern_internal.factor_json(p_factor auth.mfa_factors)
returns jsonb
language sql stable security invoker
as $$
  select jsonb_strip_nulls(jsonb_build_object(
      'friendly_name', nullif(p_factor.friendly_name, ''),
      'web_authn_aaguid', p_factor.web_authn_aaguid,
      'last_webauthn_challenge_data', p_factor.last_webauthn_challenge_data
    )) || jsonb_build_object(
      'id', p_factor.id,
      'created_at', postern_internal.rfc3339(p_factor.created_at),
      'updated_at', postern_internal.rfc3339(p_factor.updated_at),
      'status', p_factor.status,
      'factor_type', p_factor.factor_type,
      'phone', coalesce(p_factor.phone, ''),
      'last_challenged_at', postern_internal.rfc3339(p_factor.last_challenged_at)
    )
$$;

-- The whole user object: with identities ([] when none) and factors (left out when none).
-- Volatile, though it writes nothing: it has to see what its caller wrote in the same statement.
create or replace function postern_internal.user_document(p_user auth.users)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_identities jsonb;
  v_factors jsonb;
begin
  select
    (select jsonb_agg(postern_internal.identity_json(i) order by i.created_at, i.provider, i.id)
      from auth.identities as i where i.user_id = p_user.id),
    (select jsonb_agg(postern_internal.factor_json(f) order by f.created_at, f.id)
      from auth.mfa_factors as f where f.user_id = p_user.id)
  into v_identities, v_factors;
  return postern_internal.user_json(p_user)
    || jsonb_build_object('identities', coalesce(v_identities, '[]'))
    || case when v_factors is null then '{}' else jsonb_build_object('factors', v_factors) end;
end;
$$;
