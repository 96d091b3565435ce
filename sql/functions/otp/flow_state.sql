-- Remembers the PKCE challenge of a flow that begins with a mail (spec/01 section 1.7); nothing without one.
-- Shape and method of the challenge were checked by the caller. Writes: flow_state, flow_devices.
create or replace function postern_internal.begin_flow(
  p_user_id uuid,
  p_provider_type text,
  p_authentication_method text,
  p_code_challenge text,            -- null or '' when the client uses no PKCE
  p_code_challenge_method text,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_id uuid := gen_random_uuid();
begin
  if coalesce(p_code_challenge, '') = '' then
    return;
  end if;
  insert into auth.flow_state (
    id, user_id, auth_code, code_challenge, code_challenge_method, provider_type, authentication_method,
    provider_access_token, provider_refresh_token, created_at, updated_at)
  values (
    v_id, p_user_id, gen_random_uuid()::text, p_code_challenge,
    p_code_challenge_method::auth.code_challenge_method, p_provider_type, p_authentication_method, '', '',
    postern_internal.clock(), postern_internal.clock());
  perform postern_internal.remember_device(v_id, p_context);
end;
$$;

-- POST /token?grant_type=pkce: exchanges the code of a followed link for a session (spec/01 section 4.2).
-- Raises: flow_state_not_found (404), flow_state_expired (422), bad_code_verifier (400; the code stays valid),
--   user_banned (403).
-- A code opens one session however many ask at once: they wait for the user's lock and then find it gone.
-- Writes: flow_state, audit, and what issue_session writes. The grant also holds the provider's tokens.
create or replace function postern_internal.exchange_code(
  p_auth_code text,
  p_code_verifier text,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  c_not_found constant text := 'invalid flow state, no valid flow state found';
  v_flow auth.flow_state;
  v_user auth.users;
begin
  perform postern_internal.take_limits(p_context);
  select f.* into v_flow from auth.flow_state as f where f.auth_code = p_auth_code;
  if v_flow.user_id is null then
    perform postern_internal.fail(404, 'flow_state_not_found', c_not_found);
  end if;
  if postern_internal.flow_expires_at(v_flow, p_context) < postern_internal.clock() then
    perform postern_internal.fail(
      422, 'flow_state_expired', 'invalid flow state, flow state has expired');
  end if;
  if v_flow.code_challenge is distinct from (case v_flow.code_challenge_method
      when 's256' then postern_internal.base64url(sha256(convert_to(p_code_verifier, 'UTF8')))
      else p_code_verifier
    end)
  then
    perform postern_internal.fail(
      400, 'bad_code_verifier', 'code challenge does not match previously saved code verifier');
  end if;

  v_user := postern_internal.lock_user(v_flow.user_id);
  delete from auth.flow_state as f where f.id = v_flow.id;
  if not found or v_user.id is null then
    perform postern_internal.fail(404, 'flow_state_not_found', c_not_found);
  end if;
  delete from postern.flow_devices as d where d.flow_id = v_flow.id;
  if postern_internal.is_banned(v_user) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  end if;
  perform postern_internal.audit_user(
    'login', v_user, p_context, jsonb_build_object('provider_type', v_flow.provider_type));
  return postern_internal.issue_session(v_user.id, v_flow.authentication_method, p_context)
    || jsonb_strip_nulls(jsonb_build_object(
      'provider_token', nullif(v_flow.provider_access_token, ''),
      'provider_refresh_token', nullif(v_flow.provider_refresh_token, '')));
end;
$$;

-- Ends what a user has begun and not finished: codes that wait for their exchange, and links of identities. Whoever takes an
-- account back must not find them open. A callback that runs right now has locked its flow and waits for the user: it finds
-- that no session is behind it. The caller holds the user's lock. Writes: flow_state, linking_flows.
create or replace function postern_internal.end_flows(p_user_id uuid)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from auth.flow_state as f where f.user_id = p_user_id;
  update postern.linking_flows as l set session_id = postern_internal.nil_uuid() where l.user_id = p_user_id;
  delete from auth.flow_state as f
  using (
    select i.id
    from postern.linking_flows as l join auth.flow_state as i on i.id = l.flow_id
    where l.user_id = p_user_id
    for update of i skip locked
  ) as idle
  where f.id = idle.id;
end;
$$;

-- When a flow ends: counted from its begin; for magic links from the opening of the link, once it was opened.
create or replace function postern_internal.flow_expires_at(p_flow auth.flow_state, p_context jsonb)
returns timestamptz
language sql stable security invoker
as $$
  select case
      when p_flow.authentication_method = 'magiclink' then coalesce(p_flow.auth_code_issued_at, p_flow.created_at)
      else p_flow.created_at
    end + make_interval(secs => (p_context ->> 'flow_expiry')::float)
$$;

-- The user's newest flow of a kind; no row where there is none.
create or replace function postern_internal.newest_flow(p_user_id uuid, p_authentication_method text)
returns setof auth.flow_state
language sql stable security invoker
as $$
  select f.*
  from auth.flow_state as f
  where f.user_id = p_user_id and f.authentication_method = p_authentication_method
  order by f.created_at desc
  limit 1
$$;

-- The code that a followed PKCE link hands to the client: of the user's newest flow of that kind.
-- Raises: flow_state_not_found (400).
create or replace function postern_internal.issue_auth_code(p_user_id uuid, p_authentication_method text)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_code text;
begin
  update auth.flow_state as f
  set auth_code_issued_at = postern_internal.clock(), updated_at = postern_internal.clock()
  where f.id = (select n.id from postern_internal.newest_flow(p_user_id, p_authentication_method) as n)
  returning f.auth_code into v_code;
  if v_code is null then
    perform postern_internal.fail(400, 'flow_state_not_found',
      'No associated flow state found. 422: No valid flow state found for user.');
  end if;
  return v_code;
end;
$$;
