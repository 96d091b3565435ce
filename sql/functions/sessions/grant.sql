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
  v_expires_at_most bigint := postern_internal.latest_expiry(p_session, v_claims ->> 'aal', p_context);
  v_complete record;
  v_issued_at bigint;
  v_expires_at bigint;
begin
  if (p_context -> 'hooks') ? 'customize-access-token' then
    v_complete := postern_internal.complete_claims(v_claims, v_expires_at_most, p_method, p_context);
    v_claims := v_complete.claims;
    v_issued_at := v_complete.issued_at;
    v_expires_at := v_complete.expires_at;
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

-- When tokens of a session below its reachable AAL end at the latest, in unix seconds; null where nothing says so.
create or replace function postern_internal.latest_expiry(p_session auth.sessions, p_aal text, p_context jsonb)
returns bigint
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if p_context ->> 'low_aal' is not null and p_aal = 'aal1' and postern_internal.has_verified_factor(p_session.user_id) then
    return floor(extract(epoch from p_session.created_at) + (p_context ->> 'low_aal')::numeric);
  end if;
  return null;
end;
$$;

-- Claims as they are signed: with iat, exp and iss, and changed by the hook that customizes them. issued_at and expires_at
-- are the times before the hook. Raises: as customize_claims.
create or replace function postern_internal.complete_claims(
  p_claims jsonb,
  p_expires_at_most bigint,
  p_method text,
  p_context jsonb,
  out claims jsonb,
  out issued_at bigint,
  out expires_at bigint
)
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  issued_at := floor(extract(epoch from postern_internal.clock()));
  expires_at := least(issued_at + (p_context ->> 'jwt_exp')::bigint, p_expires_at_most);
  claims := p_claims || jsonb_build_object('iat', issued_at, 'exp', expires_at)
    || case when p_context ->> 'issuer' <> '' then jsonb_build_object('iss', p_context -> 'issuer') else '{}' end;
  if (p_context -> 'hooks') ? 'customize-access-token' then
    claims := postern_internal.customize_claims(claims, p_method, p_context);
  end if;
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
