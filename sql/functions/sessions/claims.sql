-- The claims of an access token, without iss, iat and exp, which the signer adds (spec/00 section 8).
-- This and claims_of are the one place that decides what a token says about a user.
create or replace function postern_internal.access_token_claims(p_user auth.users, p_session auth.sessions)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_amr jsonb;
  v_is_aal2 boolean;
begin
  select
    jsonb_agg(
      jsonb_build_object('method', c.authentication_method, 'timestamp', floor(extract(epoch from c.updated_at))::bigint)
        || case
          when c.authentication_method = 'sso/saml' then postern_internal.amr_provider(p_user.id)
          else '{}'
        end
      order by c.updated_at desc, c.created_at desc),
    bool_or(c.authentication_method in ('totp', 'mfa/phone', 'mfa/webauthn'))
  into v_amr, v_is_aal2
  from auth.mfa_amr_claims as c
  where c.session_id = p_session.id;

  return postern_internal.claims_of(p_user, p_session, v_amr, coalesce(v_is_aal2, false));
end;
$$;

-- The same with methods that are no rows: p_amr is the claim amr, null for none.
create or replace function postern_internal.claims_of(
  p_user auth.users,
  p_session auth.sessions,
  p_amr jsonb,
  p_is_aal2 boolean
)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_build_object(
      'sub', p_user.id,
      'aud', coalesce(p_user.aud, postern_internal.default_setting('jwt_aud')),
      'email', coalesce(p_user.email, ''),
      'phone', coalesce(p_user.phone, ''),
      'app_metadata', postern_internal.read_metadata(p_user.raw_app_meta_data),
      'user_metadata', postern_internal.read_metadata(p_user.raw_user_meta_data),
      'role', coalesce(p_user.role, postern_internal.default_setting('default_role')),
      'aal', case when p_is_aal2 then 'aal2' else 'aal1' end,
      'session_id', p_session.id,
      'is_anonymous', p_user.is_anonymous
    )
    || case when p_amr is null then '{}' else jsonb_build_object('amr', p_amr) end
    || case
      when p_session.oauth_client_id is null then '{}'
      else jsonb_strip_nulls(jsonb_build_object('client_id', p_session.oauth_client_id, 'scope', p_session.scopes))
    end;
end;
$$;

-- The provider member of an AMR entry of SSO: only for a user with that one identity.
create or replace function postern_internal.amr_provider(p_user_id uuid)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_providers text[];
begin
  select array_agg(i.provider) into v_providers from auth.identities as i where i.user_id = p_user_id;
  if cardinality(v_providers) = 1 and v_providers[1] like 'sso:%' then
    return jsonb_build_object('provider', substr(v_providers[1], 5));
  end if;
  return '{}'::jsonb;
end;
$$;
