-- What the signer needs for a token response (spec/00 section 7): ids, refresh token, claims, user object,
-- and expires_at_most (unix seconds) where a session below its reachable AAL shortens the token's life. With a hook that
-- customizes claims they are complete, and issued_at and expires_at (unix seconds) say that no times are to be added.
-- Raises: as customize_claims.
create or replace function postern_internal.session_grant(
  p_user auth.users,
  p_session auth.sessions,
  p_refresh_token text,
  p_method text,            -- how this token came to be: the method of the sign-in, or token_refresh
  p_context jsonb,
  p_is_reuse boolean default null,  -- of a refresh: is an old token handed out again
  p_reuse_causes text default null
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_claims jsonb := postern_internal.access_token_claims(p_user, p_session);
  v_document jsonb := postern_internal.user_document(p_user);
  v_expires_at_most bigint;
  v_issued_at bigint;
  v_expires_at bigint;
begin
  if p_context ->> 'low_aal' is not null and v_claims ->> 'aal' = 'aal1'
    and postern_internal.has_verified_factor(p_user.id)
  then
    v_expires_at_most := floor(extract(epoch from p_session.created_at) + (p_context ->> 'low_aal')::numeric);
  end if;
  if (p_context -> 'hooks') ? 'customize-access-token' then
    v_issued_at := floor(extract(epoch from postern_internal.clock()));
    v_expires_at := least(v_issued_at + (p_context ->> 'jwt_exp')::bigint, v_expires_at_most);
    v_claims := postern_internal.customize_claims(
      v_claims || jsonb_build_object('iat', v_issued_at, 'exp', v_expires_at)
        || case when p_context ->> 'issuer' <> '' then jsonb_build_object('iss', p_context -> 'issuer') else '{}' end,
      p_method, p_context);
  end if;
  return jsonb_build_object(
    'user_id', p_user.id,
    'session_id', p_session.id,
    'refresh_token', p_refresh_token,
    'refresh_token_counter', p_session.refresh_token_counter,
    'claims', v_claims,
    'user', v_document,
    'expires_at_most', v_expires_at_most,
    'issued_at', v_issued_at,
    'expires_at', v_expires_at,
    'reuse', p_is_reuse,
    'reuse_causes', p_reuse_causes
  );
end;
$$;

-- Whether the user could reach aal2.
create or replace function postern_internal.has_verified_factor(p_user_id uuid)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return (
    select exists (select from auth.mfa_factors as f where f.user_id = p_user_id and f.status = 'verified'));
end;
$$;
