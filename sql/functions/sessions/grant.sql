-- What the signer needs for a token response (spec/00 section 7): ids, refresh token, claims, user object,
-- and expires_at_most (unix seconds) where a session below its reachable AAL shortens the token's life.
create or replace function postern_internal.session_grant(
  p_user auth.users,
  p_session auth.sessions,
  p_refresh_token text,
  p_context jsonb
)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_claims jsonb := postern_internal.access_token_claims(p_user, p_session);
  v_document jsonb := postern_internal.user_document(p_user);
begin
  return jsonb_build_object(
    'user_id', p_user.id,
    'session_id', p_session.id,
    'refresh_token', p_refresh_token,
    'refresh_token_counter', p_session.refresh_token_counter,
    'claims', v_claims,
    'user', v_document,
    'expires_at_most', case
      when p_context ->> 'low_aal' is not null and v_claims ->> 'aal' = 'aal1'
        and postern_internal.has_verified_factor(p_user.id)
      then floor(extract(epoch from p_session.created_at) + (p_context ->> 'low_aal')::numeric)::bigint
    end
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
