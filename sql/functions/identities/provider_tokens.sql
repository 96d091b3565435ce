-- Tokens of providers that are kept on request (POSTERN_PROVIDER_TOKENS), so that an app can act for its users while they
-- are away. The server seals and opens them and refreshes them at the provider; a row without its identity is dead.

-- Keeps the tokens of a sign-in. p_identity.kept, absent where they are not wanted: id (of the row), access_token and
-- refresh_token (sealed, null for none), scope, expires_at. A provider that gives a refresh token only the first time
-- does not lose it the second time. Writes: provider_tokens.
create or replace function postern_internal.keep_provider_tokens(p_provider text, p_identity jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_kept jsonb := p_identity -> 'kept';
  v_now timestamptz := postern_internal.clock();
begin
  if v_kept is null then
    return;
  end if;
  insert into postern.provider_tokens as t (
    id, identity_id, user_id, provider, access_token, refresh_token, scope, expires_at, created_at, updated_at)
  select (v_kept ->> 'id')::uuid, i.id, i.user_id, i.provider, v_kept ->> 'access_token', v_kept ->> 'refresh_token',
    v_kept ->> 'scope', (v_kept ->> 'expires_at')::timestamptz, v_now, v_now
  from auth.identities as i
  where i.provider = p_provider and i.provider_id = p_identity ->> 'sub'
  on conflict (id) do update
  set identity_id = excluded.identity_id, user_id = excluded.user_id, access_token = excluded.access_token,
    refresh_token = case
      when t.identity_id = excluded.identity_id then coalesce(excluded.refresh_token, t.refresh_token)
      else excluded.refresh_token
    end,
    scope = excluded.scope, expires_at = excluded.expires_at, refusal = null, refreshing_until = null,
    updated_at = excluded.updated_at;
end;
$$;

-- What a user is told of a kept token besides the token.
create or replace function postern_internal.provider_token_json(p_token postern.provider_tokens)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_build_object(
    'identity_id', p_token.identity_id, 'provider', p_token.provider, 'scope', p_token.scope,
    'expires_at', postern_internal.rfc3339(p_token.expires_at), 'is_refreshable', p_token.refresh_token is not null);
end;
$$;

-- The tokens of a user, without the tokens themselves. Raises: as authenticate.
create or replace function postern_internal.list_provider_tokens(p_user_id uuid, p_session_id uuid)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id);
begin
  return coalesce(jsonb_agg(postern_internal.provider_token_json(t) order by t.created_at, t.id), '[]')
  from postern.provider_tokens as t
  join auth.identities as i on i.id = t.identity_id and i.user_id = t.user_id
  where t.user_id = v_user.id;
end;
$$;

-- The tokens of one identity of the caller. is_due: the access token is at its end, and this caller is the one to refresh
-- it; is_busy: another one is at it, ask again.
-- Raises: as authenticate; provider_token_not_found (404), provider_token_expired (422). Writes: provider_tokens.
create or replace function postern_internal.take_provider_token(
  p_user_id uuid,
  p_session_id uuid,
  p_identity_id uuid,
  out id uuid,
  out provider text,
  out access_token text,   -- sealed, like the next
  out refresh_token text,  -- '' for none
  out document jsonb,
  out is_due boolean,
  out is_busy boolean
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_token postern.provider_tokens;
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id);
  v_now timestamptz := postern_internal.clock();
begin
  select t.* into v_token
  from postern.provider_tokens as t
  join auth.identities as i on i.id = t.identity_id and i.user_id = t.user_id
  where t.identity_id = p_identity_id and t.user_id = v_user.id;
  if v_token.id is null then
    perform postern_internal.fail(404, 'provider_token_not_found', 'No token of this identity is kept');
  end if;
  id := v_token.id;
  provider := v_token.provider;
  access_token := v_token.access_token;
  refresh_token := coalesce(v_token.refresh_token, '');
  document := postern_internal.provider_token_json(v_token);
  is_due := false;
  is_busy := false;
  if v_token.expires_at is null or v_token.expires_at > v_now + interval '1 minute' then
    return;
  elsif v_token.refresh_token is null then
    perform postern_internal.fail(422, 'provider_token_expired',
      format('The token of %s has expired. Sign in with %1$s again', v_token.provider));
  end if;
  update postern.provider_tokens as t set refreshing_until = v_now + interval '30 seconds'
  where t.id = v_token.id and t.refresh_token = v_token.refresh_token
    and coalesce(t.refreshing_until < v_now, true);
  is_due := found;
  is_busy := not found;
end;
$$;

-- Tokens that expire within p_ahead seconds, for a server that refreshes them before anybody asks. Writes: provider_tokens.
create or replace function postern_internal.claim_due_provider_tokens(p_ahead float, p_limit int)
returns setof postern.provider_tokens
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
begin
  return query
  update postern.provider_tokens as t set refreshing_until = v_now + interval '30 seconds'
  from (
    select d.id from postern.provider_tokens as d
    where d.refresh_token is not null and d.expires_at < v_now + make_interval(secs => p_ahead)
      and coalesce(d.refreshing_until < v_now, true)
      and exists (select from auth.identities as i where i.id = d.identity_id and i.user_id = d.user_id)
    order by d.expires_at
    limit p_limit
    for update skip locked
  ) as due
  where t.id = due.id
  returning t.*;
end;
$$;

-- The end of a refresh. p_kept: as in keep_provider_tokens, null when nothing came of it; p_refusal: why the provider takes
-- the refresh token no more. p_used is the sealed refresh token that was tried: a later one stays. Writes: provider_tokens.
create or replace function postern_internal.finish_provider_refresh(
  p_id uuid,
  p_used text,
  p_kept jsonb,
  p_refusal text
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update postern.provider_tokens as t
  set access_token = coalesce(p_kept ->> 'access_token', t.access_token),
    refresh_token = case when p_refusal is null then coalesce(p_kept ->> 'refresh_token', t.refresh_token) end,
    scope = coalesce(p_kept ->> 'scope', t.scope),
    expires_at = case when p_kept is null then t.expires_at else (p_kept ->> 'expires_at')::timestamptz end,
    refusal = p_refusal, refreshing_until = null, updated_at = postern_internal.clock()
  where t.id = p_id and t.refresh_token = p_used;
end;
$$;
