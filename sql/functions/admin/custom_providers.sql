-- Custom providers as SQL callers make them. The rules are those of the HTTP API (providers/custom.sql).

-- What a caller gave, without what they left out.
create or replace function postern_internal.given(p_members jsonb)
returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  return coalesce((select jsonb_object_agg(m.key, m.value) from jsonb_each(p_members) as m where m.value <> 'null'), '{}');
end;
$$;

-- See the comment on the function. Raises and writes: as create_custom_provider.
create or replace function postern.create_custom_provider(
  identifier text,
  name text,
  client_id text,
  client_secret text,
  issuer text default null,
  authorization_url text default null,
  token_url text default null,
  userinfo_url text default null,
  scopes text[] default null,
  discovery_url text default null,
  jwks_uri text default null,
  acceptable_client_ids text[] default null,
  pkce_enabled boolean default null,
  enabled boolean default null,
  email_optional boolean default null,
  skip_nonce_check boolean default null,
  attribute_mapping jsonb default null,
  custom_claims_allowlist text[] default null,
  authorization_params jsonb default null
)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return postern_internal.create_custom_provider(
    postern_internal.given(jsonb_build_object(
      'provider_type', case when issuer is null then 'oauth2' else 'oidc' end,
      'identifier', identifier, 'name', name, 'client_id', client_id, 'client_secret', client_secret, 'issuer', issuer,
      'authorization_url', authorization_url, 'token_url', token_url, 'userinfo_url', userinfo_url,
      'scopes', to_jsonb(scopes), 'discovery_url', discovery_url, 'jwks_uri', jwks_uri,
      'acceptable_client_ids', to_jsonb(acceptable_client_ids), 'pkce_enabled', pkce_enabled, 'enabled', enabled,
      'email_optional', email_optional, 'skip_nonce_check', skip_nonce_check, 'attribute_mapping', attribute_mapping,
      'custom_claims_allowlist', to_jsonb(custom_claims_allowlist), 'authorization_params', authorization_params)),
    null, postern_internal.context());
end;
$$;
comment on function postern.create_custom_provider(
  text, text, text, text, text, text, text, text, text[], text, text, text[], boolean, boolean, boolean, boolean, jsonb, text[], jsonb) is
'Adds a provider to sign in with: an OpenID Connect provider when issuer is given, otherwise an OAuth 2 provider, which needs the three URLs. Returns it as the HTTP API does, without the secret. All servers know it at once.
identifier: what apps ask for, custom: and at most 43 characters of a-z, 0-9, : and -.
client_secret: stored as it is; a server that encrypts seals it when the provider is first used, and postern key rotate-encryption at once. Statements with a secret may end up in the log of the database or in a history of psql.
issuer: of an OpenID Connect provider; its discovery document is read when the provider is first used.
scopes: default none; openid is put in front for OpenID Connect.
acceptable_client_ids: further audiences of its ID tokens.
pkce_enabled, enabled: default true.
email_optional, skip_nonce_check: default false. Without email_optional only people with an address get in; skip_nonce_check is for the ID-token grant.
attribute_mapping: {claim: name of the claim to copy, or a value that is no text}.
custom_claims_allowlist: claims that are copied into custom_claims.
authorization_params: sent along to the provider.
Errors: validation_failed, conflict, over_custom_provider_quota (PT400); feature_disabled (PT404).
Example: select postern.create_custom_provider(''custom:acme'', ''Acme'', ''client-1'', ''secret-1'', issuer => ''https://login.acme.example'');
Example: select postern.create_custom_provider(''custom:shop'', ''Shop'', ''client-1'', ''secret-1'', authorization_url => ''https://shop.example/authorize'', token_url => ''https://shop.example/token'', userinfo_url => ''https://shop.example/me'', attribute_mapping => ''{"sub": "id"}'');';

-- See the comment on the function. Raises and writes: as update_custom_provider.
create or replace function postern.update_custom_provider(
  identifier text,
  name text default null,
  client_id text default null,
  client_secret text default null,
  issuer text default null,
  authorization_url text default null,
  token_url text default null,
  userinfo_url text default null,
  scopes text[] default null,
  discovery_url text default null,
  jwks_uri text default null,
  acceptable_client_ids text[] default null,
  pkce_enabled boolean default null,
  enabled boolean default null,
  email_optional boolean default null,
  skip_nonce_check boolean default null,
  attribute_mapping jsonb default null,
  custom_claims_allowlist text[] default null,
  authorization_params jsonb default null
)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return postern_internal.update_custom_provider(
    identifier,
    postern_internal.given(jsonb_build_object(
      'name', name, 'client_id', client_id, 'client_secret', client_secret, 'issuer', issuer,
      'authorization_url', authorization_url, 'token_url', token_url, 'userinfo_url', userinfo_url,
      'scopes', to_jsonb(scopes), 'discovery_url', discovery_url, 'jwks_uri', jwks_uri,
      'acceptable_client_ids', to_jsonb(acceptable_client_ids), 'pkce_enabled', pkce_enabled, 'enabled', enabled,
      'email_optional', email_optional, 'skip_nonce_check', skip_nonce_check, 'attribute_mapping', attribute_mapping,
      'custom_claims_allowlist', to_jsonb(custom_claims_allowlist), 'authorization_params', authorization_params)),
    null, postern_internal.context());
end;
$$;
comment on function postern.update_custom_provider(
  text, text, text, text, text, text, text, text, text[], text, text, text[], boolean, boolean, boolean, boolean, jsonb, text[], jsonb) is
'Changes a provider of create_custom_provider(): what is given and neither null nor an empty text. Identifier and type stay. Returns the provider without its secret. All servers follow at once.
Errors: validation_failed (PT400); custom_provider_not_found, feature_disabled (PT404).
Example: select postern.update_custom_provider(''custom:acme'', enabled => false);
Example: select postern.update_custom_provider(''custom:acme'', scopes => ''{email,profile}'');';

-- See the comment on the function. Raises and writes: as delete_custom_provider.
create or replace function postern.delete_custom_provider(identifier text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform postern_internal.delete_custom_provider(identifier, postern_internal.context());
end;
$$;
comment on function postern.delete_custom_provider(text) is
'Deletes a provider of create_custom_provider(). Users and their identities stay; they cannot sign in with it any more.
Errors: custom_provider_not_found, feature_disabled (PT404); validation_failed (PT400).
Example: select postern.delete_custom_provider(''custom:acme'');';

-- See the comment on the function. Raises: as list_custom_providers.
create or replace function postern.list_custom_providers(provider_type text default null)
returns table (
  identifier text,
  name text,
  type text,
  is_enabled boolean,
  is_secret_encrypted boolean,
  updated_at timestamptz,
  provider jsonb
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  select p.identifier, p.name, p.provider_type, p.enabled, p.client_secret like '{%"alg":"aes-gcm-hkdf"%', p.updated_at, l.provider
  from jsonb_array_elements(postern_internal.list_custom_providers(
    coalesce(list_custom_providers.provider_type, ''), postern_internal.context())) with ordinality as l (provider, n)
  join auth.custom_oauth_providers as p on p.id = (l.provider ->> 'id')::uuid
  order by l.n;
end;
$$;
comment on function postern.list_custom_providers(text) is
'Lists the providers of create_custom_provider(), the newest first. provider is the whole of one as the HTTP API shows it. Secrets are not shown.
provider_type: oauth2 or oidc; default: both.
Errors: validation_failed (PT400); feature_disabled (PT404).
Example: select identifier, name, is_enabled from postern.list_custom_providers();
Example: select provider ->> ''client_id'' from postern.list_custom_providers(''oidc'') where identifier = ''custom:acme'';';
