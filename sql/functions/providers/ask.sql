-- What only the server can do for a custom provider: look up addresses, read a discovery document, seal a secret. SQL
-- callers go without: the server that first needs a document reads it, and the one that first uses a secret seals it.

-- The server's answer to a question; null while it waits (is_asking).
-- Raises: validation_failed (400) with what the server has against it.
create or replace function postern_internal.ask_about_custom_provider(p_what text, p_payload jsonb, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_answer jsonb := postern_internal.ask('custom-provider:' || p_what, p_payload, p_context);
begin
  if v_answer ? 'refusal' then
    perform postern_internal.fail(400, 'validation_failed', v_answer ->> 'refusal');
  end if;
  return v_answer;
end;
$$;

-- An OIDC provider with the discovery document of its issuer; without, where nobody can read it now.
-- Raises: as ask_about_custom_provider.
create or replace function postern_internal.with_discovery(p_provider auth.custom_oauth_providers, p_context jsonb)
returns auth.custom_oauth_providers
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_answer jsonb;
begin
  p_provider.cached_discovery := null;
  p_provider.discovery_cached_at := null;
  if p_context ? 'answers' then
    -- The name tells documents apart: somebody may change the other half of the question between two rounds.
    v_answer := postern_internal.ask_about_custom_provider(
      'document:' || md5(p_provider.issuer || ' ' || coalesce(p_provider.discovery_url, '')),
      jsonb_build_object('issuer', p_provider.issuer, 'discovery_url', coalesce(p_provider.discovery_url, '')), p_context);
    p_provider.cached_discovery := v_answer -> 'document';
    p_provider.discovery_cached_at := postern_internal.clock();
  end if;
  return p_provider;
end;
$$;

-- A new client secret as it is stored. Sealed values are bound to the id of their row (spec/05 section 8).
create or replace function postern_internal.custom_secret(p_id uuid, p_secret text, p_context jsonb)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_context ? 'seals' and p_context ? 'answers' then
    return postern_internal.ask_about_custom_provider(
      'seal:' || p_id, jsonb_build_object('id', p_id, 'plain', p_secret), p_context) ->> 'stored';
  end if;
  return p_secret;
end;
$$;
