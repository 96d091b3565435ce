-- What may be said of a custom provider (spec/02 section 14, spec/08 section 5), for the HTTP API and for SQL callers. The
-- callers keep the order of the checks.

-- Raises: feature_disabled (404) where GOTRUE_CUSTOM_OAUTH_ENABLED is off.
create or replace function postern_internal.need_custom_providers(p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_context ? 'custom_providers_off' then
    perform postern_internal.fail(404, 'feature_disabled', 'Custom OAuth providers are disabled');
  end if;
end;
$$;

-- Raises: validation_failed (400) for an identifier that no custom provider can have.
create or replace function postern_internal.check_custom_identifier(p_identifier text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_identifier is null or not starts_with(p_identifier, 'custom:') then
    perform postern_internal.fail(400, 'validation_failed', format(
      'identifier must start with ''custom:'' prefix, e.g. ''custom:%s''', coalesce(p_identifier, '')));
  end if;
end;
$$;

-- What a new provider needs. Raises: validation_failed (400).
create or replace function postern_internal.check_new_custom_provider(p_provider jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_field text;
begin
  if coalesce(p_provider ->> 'provider_type', '') not in ('oauth2', 'oidc') then
    perform postern_internal.fail(400, 'validation_failed', 'provider_type must be either ''oauth2'' or ''oidc''');
  elsif coalesce(p_provider ->> 'identifier', '') = '' then
    perform postern_internal.fail(400, 'validation_failed', 'identifier is required');
  end if;
  perform postern_internal.check_custom_identifier(p_provider ->> 'identifier');
  foreach v_field in array array['name', 'client_id', 'client_secret'] loop
    if coalesce(p_provider ->> v_field, '') = '' then
      perform postern_internal.fail(400, 'validation_failed', v_field || ' is required');
    end if;
  end loop;
  if p_provider ->> 'provider_type' = 'oidc' then
    if coalesce(p_provider ->> 'issuer', '') = '' then
      perform postern_internal.fail(400, 'validation_failed', 'issuer is required for OIDC providers');
    end if;
    return;
  end if;
  foreach v_field in array array['authorization_url', 'token_url', 'userinfo_url'] loop
    if coalesce(p_provider ->> v_field, '') = '' then
      perform postern_internal.fail(400, 'validation_failed', v_field || ' is required for OAuth2 providers');
    end if;
  end loop;
end;
$$;

-- The parts that could undo what the server decides: parameters of the protocol, facts about the user that no provider may
-- state. Members that are missing or null are fine. Raises: validation_failed (400).
create or replace function postern_internal.check_custom_details(p_provider jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_field text;
  v_name text;
  v_value jsonb;
begin
  foreach v_field in array array['authorization_params', 'attribute_mapping'] loop
    if coalesce(jsonb_typeof(p_provider -> v_field), 'null') not in ('object', 'null') then
      perform postern_internal.fail(400, 'validation_failed', v_field || ' must be an object');
    end if;
  end loop;
  for v_name, v_value in
    select e.key, e.value from jsonb_each(nullif(p_provider -> 'authorization_params', 'null')) as e
  loop
    if v_name in ('client_id', 'client_secret', 'redirect_uri', 'response_type', 'state', 'code_challenge',
      'code_challenge_method', 'code_verifier', 'nonce')
    then
      perform postern_internal.fail(
        400, 'validation_failed', 'Cannot override reserved OAuth parameter: ' || v_name);
    elsif jsonb_typeof(v_value) <> 'string' then
      perform postern_internal.fail(
        400, 'validation_failed', format('Authorization parameter "%s" must be a string', v_name));
    end if;
  end loop;
  for v_name in select k.name from jsonb_object_keys(nullif(p_provider -> 'attribute_mapping', 'null')) as k (name) loop
    if v_name in ('id', 'aud', 'role', 'app_metadata', 'created_at', 'updated_at', 'confirmed_at', 'email_confirmed_at',
      'phone_confirmed_at', 'email_verified', 'phone_verified', 'banned_until', 'is_super_admin')
    then
      perform postern_internal.fail(
        400, 'validation_failed', 'Cannot map to protected system field: ' || v_name);
    end if;
  end loop;
  if exists (
    select from unnest(postern_internal.texts_of(p_provider -> 'custom_claims_allowlist')) as name
    where coalesce(btrim(name, E' \t\r\n'), '') = '')
  then
    perform postern_internal.fail(
      400, 'validation_failed', 'custom_claims_allowlist entries must be non-empty strings');
  end if;
end;
$$;

-- Raises: over_custom_provider_quota (400). Locks: the table, so that parallel calls cannot exceed
-- GOTRUE_CUSTOM_OAUTH_MAX_PROVIDERS.
create or replace function postern_internal.check_custom_quota(p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_max bigint := (p_context ->> 'max_custom_providers')::bigint;
begin
  if v_max is null then
    return;
  end if;
  lock table auth.custom_oauth_providers in share row exclusive mode;
  if (select count(*) from auth.custom_oauth_providers) >= v_max then
    perform postern_internal.fail(
      400, 'over_custom_provider_quota', 'Maximum number of custom OAuth/OIDC providers reached');
  end if;
end;
$$;

-- Addresses of a provider as somebody gave them. The server looks up where they lead; for SQL callers nobody does until
-- the provider is used, when every connection is checked anyway.
-- Raises: validation_failed (400).
create or replace function postern_internal.check_custom_urls(p_urls text[], p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_context ? 'answers' and cardinality(p_urls) > 0 then
    perform postern_internal.ask_about_custom_provider('urls', jsonb_build_object('urls', p_urls), p_context);
  end if;
  if not postern_internal.is_asking() and exists (select from unnest(p_urls) as url where url not like 'https://_%') then
    perform postern_internal.fail(400, 'validation_failed', 'URL must use HTTPS');
  end if;
end;
$$;

-- What the checks of the table would refuse with a database error. Raises: validation_failed (400).
create or replace function postern_internal.check_custom_shape(p_provider auth.custom_oauth_providers)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_field text;
  v_max int;
begin
  if p_provider.identifier !~ '^[a-z0-9][a-z0-9:-]{0,48}[a-z0-9]$' then
    perform postern_internal.fail(400, 'validation_failed', 'identifier must have at most 50 characters of a-z, 0-9, '
      || ''':'' and ''-'', the last of them a letter or digit');
  end if;
  for v_field, v_max in
    select l.field, l.max_length
    from (values ('name', 100, p_provider.name), ('client_id', 512, p_provider.client_id),
      ('issuer', 2048, p_provider.issuer), ('discovery_url', 2048, p_provider.discovery_url),
      ('authorization_url', 2048, p_provider.authorization_url), ('token_url', 2048, p_provider.token_url),
      ('userinfo_url', 2048, p_provider.userinfo_url), ('jwks_uri', 2048, p_provider.jwks_uri)
    ) as l (field, max_length, value)
    where char_length(l.value) > l.max_length
  loop
    perform postern_internal.fail(
      400, 'validation_failed', format('%s must have at most %s characters', v_field, v_max));
  end loop;
end;
$$;
