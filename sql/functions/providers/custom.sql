-- Custom providers as administrators make them: OAuth 2 and OpenID Connect providers that are rows instead of settings
-- (spec/02 section 14, spec/08 section 5). Documents have the members of the HTTP API. The client secret never leaves by
-- any of these functions.

-- A provider as the API shows it. Members of the other type, and those that are not set, are left out.
create or replace function postern_internal.custom_provider_json(p_provider auth.custom_oauth_providers)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_build_object(
    'id', p_provider.id,
    'provider_type', p_provider.provider_type,
    'identifier', p_provider.identifier,
    'name', p_provider.name,
    'client_id', p_provider.client_id,
    'acceptable_client_ids', to_jsonb(p_provider.acceptable_client_ids),
    'scopes', to_jsonb(p_provider.scopes),
    'pkce_enabled', p_provider.pkce_enabled,
    'attribute_mapping', p_provider.attribute_mapping,
    'custom_claims_allowlist', to_jsonb(p_provider.custom_claims_allowlist),
    'authorization_params', p_provider.authorization_params,
    'enabled', p_provider.enabled,
    'email_optional', p_provider.email_optional,
    'skip_nonce_check', p_provider.skip_nonce_check,
    'created_at', postern_internal.rfc3339(p_provider.created_at),
    'updated_at', postern_internal.rfc3339(p_provider.updated_at)
  ) || jsonb_strip_nulls(jsonb_build_object(
    'issuer', p_provider.issuer,
    'discovery_url', p_provider.discovery_url,
    'discovery_document', (
      select jsonb_object_agg(d.key, d.value)
      from jsonb_each(p_provider.cached_discovery) as d
      where d.key in ('issuer', 'authorization_endpoint', 'token_endpoint', 'userinfo_endpoint', 'jwks_uri',
        'scopes_supported', 'response_types_supported', 'grant_types_supported', 'subject_types_supported')),
    'authorization_url', p_provider.authorization_url,
    'token_url', p_provider.token_url,
    'userinfo_url', p_provider.userinfo_url,
    'jwks_uri', p_provider.jwks_uri
  ));
end;
$$;

-- The texts of a JSON list; null for null and for anything else.
create or replace function postern_internal.texts_of(p_list jsonb)
returns text[]
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  if jsonb_typeof(p_list) = 'array' then
    return array(select t.value from jsonb_array_elements_text(p_list) with ordinality as t (value, n) order by t.n);
  end if;
  return null;
end;
$$;

-- The addresses among p_changes that a provider of this type has.
create or replace function postern_internal.custom_urls(p_type text, p_changes jsonb)
returns text[]
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  return array_remove(
    case p_type
      when 'oidc' then array[nullif(p_changes ->> 'issuer', ''), nullif(p_changes ->> 'discovery_url', '')]
      else array[nullif(p_changes ->> 'authorization_url', ''), nullif(p_changes ->> 'token_url', ''),
        nullif(p_changes ->> 'userinfo_url', ''), nullif(p_changes ->> 'jwks_uri', '')]
    end, null);
end;
$$;

-- A provider with changes: texts that are not empty, and lists, objects and switches that are not null. The secret is
-- left to custom_secret. Scopes of an OIDC provider begin with openid.
create or replace function postern_internal.changed_custom_provider(
  p_provider auth.custom_oauth_providers,
  p_changes jsonb
)
returns auth.custom_oauth_providers
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_is_oidc boolean := p_provider.provider_type = 'oidc';
begin
  p_provider.name := coalesce(nullif(p_changes ->> 'name', ''), p_provider.name);
  p_provider.client_id := coalesce(nullif(p_changes ->> 'client_id', ''), p_provider.client_id);
  p_provider.acceptable_client_ids := coalesce(
    postern_internal.texts_of(p_changes -> 'acceptable_client_ids'), p_provider.acceptable_client_ids);
  p_provider.scopes := coalesce(postern_internal.texts_of(p_changes -> 'scopes'), p_provider.scopes);
  if v_is_oidc and not 'openid' = any (p_provider.scopes) then
    p_provider.scopes := array['openid'] || p_provider.scopes;
  end if;
  p_provider.custom_claims_allowlist := coalesce(
    postern_internal.texts_of(p_changes -> 'custom_claims_allowlist'), p_provider.custom_claims_allowlist);
  p_provider.attribute_mapping := coalesce(nullif(p_changes -> 'attribute_mapping', 'null'), p_provider.attribute_mapping);
  p_provider.authorization_params := coalesce(
    nullif(p_changes -> 'authorization_params', 'null'), p_provider.authorization_params);
  p_provider.pkce_enabled := coalesce((p_changes ->> 'pkce_enabled')::boolean, p_provider.pkce_enabled);
  p_provider.enabled := coalesce((p_changes ->> 'enabled')::boolean, p_provider.enabled);
  p_provider.email_optional := coalesce((p_changes ->> 'email_optional')::boolean, p_provider.email_optional);
  p_provider.skip_nonce_check := coalesce((p_changes ->> 'skip_nonce_check')::boolean, p_provider.skip_nonce_check);
  if v_is_oidc then
    p_provider.issuer := coalesce(nullif(p_changes ->> 'issuer', ''), p_provider.issuer);
    p_provider.discovery_url := coalesce(nullif(p_changes ->> 'discovery_url', ''), p_provider.discovery_url);
  else
    p_provider.authorization_url := coalesce(nullif(p_changes ->> 'authorization_url', ''), p_provider.authorization_url);
    p_provider.token_url := coalesce(nullif(p_changes ->> 'token_url', ''), p_provider.token_url);
    p_provider.userinfo_url := coalesce(nullif(p_changes ->> 'userinfo_url', ''), p_provider.userinfo_url);
    p_provider.jwks_uri := coalesce(nullif(p_changes ->> 'jwks_uri', ''), p_provider.jwks_uri);
  end if;
  return p_provider;
end;
$$;

-- Makes a provider, in the order of checks of the wire. While a question waits, what it returns means nothing.
-- Raises: feature_disabled (404), validation_failed, over_custom_provider_quota, conflict (400).
-- Locks: the table, where there is a quota. Writes: custom_oauth_providers, events.
create or replace function postern_internal.create_custom_provider(
  p_provider jsonb,
  p_refusal jsonb,          -- what is wrong with the body
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_new auth.custom_oauth_providers;
  v_id uuid;
begin
  perform postern_internal.need_custom_providers(p_context);
  perform postern_internal.refuse(p_refusal);
  perform postern_internal.check_new_custom_provider(p_provider);
  perform postern_internal.check_custom_details(p_provider);
  perform postern_internal.check_custom_quota(p_context);
  v_new.id := postern_internal.random_uuid();
  v_new.provider_type := p_provider ->> 'provider_type';
  v_new.identifier := p_provider ->> 'identifier';
  v_new.created_at := postern_internal.clock();
  v_new.updated_at := v_new.created_at;
  v_new := postern_internal.changed_custom_provider(
    v_new, '{"acceptable_client_ids": [], "scopes": [], "custom_claims_allowlist": [], "attribute_mapping": {},
      "authorization_params": {}, "pkce_enabled": true, "enabled": true, "email_optional": false,
      "skip_nonce_check": false}');
  v_new := postern_internal.changed_custom_provider(v_new, p_provider);
  perform postern_internal.check_custom_urls(postern_internal.custom_urls(v_new.provider_type, p_provider), p_context);
  if postern_internal.is_asking() then
    return jsonb_build_object();
  end if;
  perform postern_internal.check_custom_shape(v_new);
  if exists (select from auth.custom_oauth_providers as p where p.identifier = v_new.identifier) then
    perform postern_internal.fail_custom_conflict();
  end if;
  if v_new.provider_type = 'oidc' then
    v_new := postern_internal.with_discovery(v_new, p_context);
  end if;
  v_new.client_secret := postern_internal.custom_secret(v_new.id, p_provider ->> 'client_secret', p_context);
  if postern_internal.is_asking() then
    return jsonb_build_object();
  end if;
  insert into auth.custom_oauth_providers as p select v_new.*
  on conflict (identifier) do nothing
  returning p.id into v_id;
  if v_id is null then
    perform postern_internal.fail_custom_conflict();
  end if;
  perform postern_internal.record_custom_event('created', v_new, p_context);
  return postern_internal.custom_provider_json(v_new);
end;
$$;

-- Raises: conflict (400).
create or replace function postern_internal.fail_custom_conflict()
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.fail(400, 'conflict', 'A custom OAuth provider with this identifier already exists');
end;
$$;

-- What happened to a provider. The wire has no audit entries for it (spec/08 section 5).
create or replace function postern_internal.record_custom_event(
  p_what text,
  p_provider auth.custom_oauth_providers,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.record_event('custom_provider.' || p_what, null, p_context, jsonb_build_object(
    'id', p_provider.id, 'identifier', p_provider.identifier, 'provider_type', p_provider.provider_type,
    'enabled', p_provider.enabled));
end;
$$;

-- Changes a provider; its identifier and its type stay. A new issuer or discovery_url makes the discovery document be read
-- anew. While a question waits, what it returns means nothing.
-- Raises: feature_disabled, custom_provider_not_found (404), validation_failed (400).
-- Locks: the provider. Writes: custom_oauth_providers, events.
create or replace function postern_internal.update_custom_provider(
  p_identifier text,
  p_changes jsonb,
  p_refusal jsonb,          -- what is wrong with the body
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_new auth.custom_oauth_providers;
begin
  v_new := postern_internal.need_custom_provider(p_identifier, p_context, p_to_change => true);
  perform postern_internal.refuse(p_refusal);
  perform postern_internal.check_custom_details(p_changes);
  v_new := postern_internal.changed_custom_provider(v_new, p_changes);
  perform postern_internal.check_custom_urls(postern_internal.custom_urls(v_new.provider_type, p_changes), p_context);
  if postern_internal.is_asking() then
    return jsonb_build_object();
  end if;
  perform postern_internal.check_custom_shape(v_new);
  if v_new.provider_type = 'oidc' and cardinality(postern_internal.custom_urls('oidc', p_changes)) > 0 then
    v_new := postern_internal.with_discovery(v_new, p_context);
  end if;
  if p_changes ->> 'client_secret' <> '' then
    v_new.client_secret := postern_internal.custom_secret(v_new.id, p_changes ->> 'client_secret', p_context);
  end if;
  if postern_internal.is_asking() then
    return jsonb_build_object();
  end if;
  -- servers tell by updated_at that what they know of a provider is out of date
  v_new.updated_at := greatest(postern_internal.clock(), v_new.updated_at + interval '1 microsecond');
  update auth.custom_oauth_providers as p
  set name = v_new.name, client_id = v_new.client_id, client_secret = v_new.client_secret,
    acceptable_client_ids = v_new.acceptable_client_ids, scopes = v_new.scopes, pkce_enabled = v_new.pkce_enabled,
    attribute_mapping = v_new.attribute_mapping, custom_claims_allowlist = v_new.custom_claims_allowlist,
    authorization_params = v_new.authorization_params, enabled = v_new.enabled, email_optional = v_new.email_optional,
    issuer = v_new.issuer, discovery_url = v_new.discovery_url, skip_nonce_check = v_new.skip_nonce_check,
    cached_discovery = v_new.cached_discovery, discovery_cached_at = v_new.discovery_cached_at,
    authorization_url = v_new.authorization_url, token_url = v_new.token_url, userinfo_url = v_new.userinfo_url,
    jwks_uri = v_new.jwks_uri, updated_at = v_new.updated_at
  where p.id = v_new.id;
  perform postern_internal.record_custom_event('updated', v_new, p_context);
  return postern_internal.custom_provider_json(v_new);
end;
$$;

-- A provider that there must be. p_to_change: it is locked.
-- Raises: feature_disabled, custom_provider_not_found (404), validation_failed (400).
create or replace function postern_internal.need_custom_provider(
  p_identifier text,
  p_context jsonb,
  p_to_change boolean default false
)
returns auth.custom_oauth_providers
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_provider auth.custom_oauth_providers;
begin
  perform postern_internal.need_custom_providers(p_context);
  perform postern_internal.check_custom_identifier(p_identifier);
  if p_to_change then
    select p.* into v_provider from auth.custom_oauth_providers as p where p.identifier = p_identifier for update;
  else
    select p.* into v_provider from auth.custom_oauth_providers as p where p.identifier = p_identifier;
  end if;
  if v_provider.id is null then
    perform postern_internal.fail(404, 'custom_provider_not_found', 'Custom OAuth provider not found');
  end if;
  return v_provider;
end;
$$;

-- One provider. Raises: as need_custom_provider.
create or replace function postern_internal.get_custom_provider(p_identifier text, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return postern_internal.custom_provider_json(postern_internal.need_custom_provider(p_identifier, p_context));
end;
$$;

-- Deletes a provider. Identities of it stay, and flows that are under way end with an error.
-- Raises: as need_custom_provider. Writes: custom_oauth_providers, events.
create or replace function postern_internal.delete_custom_provider(p_identifier text, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_provider auth.custom_oauth_providers
    := postern_internal.need_custom_provider(p_identifier, p_context, p_to_change => true);
begin
  delete from auth.custom_oauth_providers as p where p.id = v_provider.id;
  perform postern_internal.record_custom_event('deleted', v_provider, p_context);
end;
$$;

-- All providers, or those of one type ('' for all), newest first.
-- Raises: feature_disabled (404), validation_failed (400).
create or replace function postern_internal.list_custom_providers(p_type text, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.need_custom_providers(p_context);
  if p_type not in ('', 'oauth2', 'oidc') then
    perform postern_internal.fail(400, 'validation_failed', 'type must be either ''oauth2'' or ''oidc''');
  end if;
  return coalesce(
    jsonb_agg(postern_internal.custom_provider_json(p) order by p.created_at desc, p.id), '[]')
  from auth.custom_oauth_providers as p
  where p_type in ('', p.provider_type);
end;
$$;

-- A provider for somebody who signs in with it: its row with the stored secret, or {"refusal": "off" | "not_found" |
-- "disabled"}.
create or replace function postern_internal.usable_custom_provider(p_identifier text, p_context jsonb)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_provider auth.custom_oauth_providers;
begin
  if p_context ? 'custom_providers_off' then
    return jsonb_build_object('refusal', 'off');
  end if;
  select p.* into v_provider from auth.custom_oauth_providers as p where p.identifier = p_identifier;
  if v_provider.id is null then
    return jsonb_build_object('refusal', 'not_found');
  elsif not v_provider.enabled then
    return jsonb_build_object('refusal', 'disabled');
  end if;
  return to_jsonb(v_provider);
end;
$$;
