-- Sign-in with an OAuth provider: the two calls around the visit there (spec/02 sections 2 and 3).

-- GET /authorize: remembers the flow; its id is the state that the provider hands back.
-- p_flow: state (uuid), provider, secret (what this server needs for the exchange with the provider: a code verifier; '' for
-- none), code_challenge and code_challenge_method ('' for the implicit flow), invite_token ('' for none),
-- is_email_optional.
-- Raises: user_not_found (404) for an invitation nobody has. Writes: flow_state, oauth_client_states.
create or replace function postern_internal.begin_oauth(p_flow jsonb, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_challenge text := nullif(p_flow ->> 'code_challenge', '');
  v_invite_token text := nullif(p_flow ->> 'invite_token', '');
  v_client_state_id uuid;
begin
  if v_invite_token is not null
    and (postern_internal.find_link(v_invite_token, '{confirmation_token}')).id is null
  then
    perform postern_internal.fail(404, 'user_not_found', 'User identified by token not found');
  end if;
  if p_flow ->> 'secret' <> '' then
    insert into auth.oauth_client_states (id, provider_type, code_verifier, created_at)
    values (gen_random_uuid(), p_flow ->> 'provider', p_flow ->> 'secret', v_now)
    returning id into v_client_state_id;
  end if;
  insert into auth.flow_state (
    id, provider_type, authentication_method, auth_code, code_challenge, code_challenge_method,
    provider_access_token, provider_refresh_token, referrer, invite_token, oauth_client_state_id, email_optional,
    created_at, updated_at)
  values (
    (p_flow ->> 'state')::uuid, p_flow ->> 'provider', 'oauth',
    case when v_challenge is not null then gen_random_uuid()::text end, v_challenge,
    lower(nullif(p_flow ->> 'code_challenge_method', ''))::auth.code_challenge_method, '', '',
    p_context ->> 'redirect_to', v_invite_token, v_client_state_id, (p_flow ->> 'is_email_optional')::boolean,
    v_now, v_now);
end;
$$;

-- The flow of a state that came back. With p_lock it is kept from parallel callbacks until the end of the transaction.
-- Raises: bad_oauth_state, flow_state_already_used (400), user_not_found (422).
create or replace function postern_internal.find_oauth_flow(
  p_state uuid,
  p_context jsonb,
  p_lock boolean default false
)
returns auth.flow_state
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_flow auth.flow_state;
begin
  if p_lock then
    select f.* into v_flow from auth.flow_state as f where f.id = p_state for update;
  else
    select f.* into v_flow from auth.flow_state as f where f.id = p_state;
  end if;
  if v_flow.id is null then
    perform postern_internal.fail(400, 'bad_oauth_state', 'OAuth state not found or expired');
  elsif v_flow.created_at + make_interval(secs => (p_context ->> 'flow_expiry')::float) < postern_internal.clock() then
    perform postern_internal.fail(400, 'bad_oauth_state', 'OAuth state has expired');
  elsif v_flow.code_challenge is not null and v_flow.user_id is not null then
    perform postern_internal.fail(400, 'flow_state_already_used', 'State has already been used');
  elsif v_flow.linking_target_id is not null
    and not exists (select from auth.users as u where u.id = v_flow.linking_target_id)
  then
    perform postern_internal.fail(422, 'user_not_found', 'Linking target user not found');
  end if;
  return v_flow;
end;
$$;

-- /callback, first call: what the visit was about, and the secret for the exchange, which is given out once.
-- Raises: as find_oauth_flow. Returns as failure, because a stale secret goes: oauth_client_state_not_found,
-- oauth_client_state_expired (422), oauth_invalid_state (400). Writes: oauth_client_states.
create or replace function postern_internal.resume_oauth(
  p_state uuid,
  p_has_code boolean,       -- false: the provider refused, and there will be no exchange
  p_context jsonb,
  out provider text,
  out referrer text,
  out is_email_optional boolean,
  out secret text,          -- '' for none
  out custom jsonb,         -- the row of a custom provider (usable_custom_provider); null for others
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_flow auth.flow_state := postern_internal.find_oauth_flow(p_state, p_context);
  v_taken record;
begin
  provider := v_flow.provider_type;
  referrer := coalesce(v_flow.referrer, '');
  is_email_optional := v_flow.email_optional;
  if p_has_code and starts_with(lower(provider), 'custom:') then
    custom := postern_internal.usable_custom_provider(lower(provider), p_context);
  end if;
  if p_has_code and v_flow.oauth_client_state_id is not null then
    v_taken := postern_internal.take_client_state(v_flow);
    failure := v_taken.failure;
    secret := v_taken.secret;
  end if;
  secret := coalesce(secret, '');
end;
$$;

-- Takes what the server kept for the exchange with the provider: one callback gets it, and only within five minutes.
create or replace function postern_internal.take_client_state(
  p_flow auth.flow_state,
  out secret text,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_state auth.oauth_client_states;
begin
  delete from auth.oauth_client_states as s where s.id = p_flow.oauth_client_state_id
  returning s.* into v_state;
  if v_state.id is null then
    failure := postern_internal.failure(422, 'oauth_client_state_not_found', 'OAuth state not found');
  elsif v_state.provider_type is distinct from p_flow.provider_type then
    failure := postern_internal.failure(400, 'oauth_invalid_state', 'OAuth provider mismatch');
  elsif v_state.created_at + interval '5 minutes' < postern_internal.clock() then
    failure := postern_internal.failure(422, 'oauth_client_state_expired', 'OAuth state expired');
  else
    secret := v_state.code_verifier;
  end if;
end;
$$;

-- /callback, second call: signs in who came back, or prepares the code exchange of a PKCE flow.
-- p_identity: sub, data (identity_data without the two flags), emails [{email, verified, primary}] (email is absent where
-- the provider vouches for a person without telling the address), access_token, refresh_token, and kept (see
-- keep_provider_tokens).
-- Raises: as find_oauth_flow, check_linking_flow and sign_in_externally. Returns as failure: as sign_in_externally.
-- Locks: the flow, then the user. Writes: flow_state, provider_tokens, and what sign_in_externally and issue_session write.
create or replace function postern_internal.finish_oauth(
  p_state uuid,
  p_identity jsonb,
  p_context jsonb,
  out issued jsonb,
  out auth_code text,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_flow auth.flow_state := postern_internal.find_oauth_flow(p_state, p_context, p_lock => true);
  v_visit record;
begin
  v_visit := postern_internal.sign_in_externally(v_flow.provider_type, p_identity, p_context,
    p_is_email_optional => v_flow.email_optional, p_linking_target_id => v_flow.linking_target_id,
    p_invite_token => v_flow.invite_token);
  if v_flow.linking_target_id is not null then
    perform postern_internal.check_linking_flow(v_flow.id);
  end if;
  failure := v_visit.failure;
  if failure is not null then
    return;
  end if;
  perform postern_internal.keep_provider_tokens(v_flow.provider_type, p_identity);

  if v_flow.code_challenge is null then
    delete from auth.flow_state as f where f.id = v_flow.id;
    issued := postern_internal.issue_session(v_visit.account_id, 'oauth', p_context) || jsonb_build_object(
      'provider_token', coalesce(p_identity ->> 'access_token', ''),
      'provider_refresh_token', coalesce(p_identity ->> 'refresh_token', ''));
  else
    update auth.flow_state as f
    set user_id = v_visit.account_id, auth_code_issued_at = postern_internal.clock(),
      updated_at = postern_internal.clock(),
      provider_access_token = coalesce(p_identity ->> 'access_token', ''),
      provider_refresh_token = coalesce(p_identity ->> 'refresh_token', '')
    where f.id = v_flow.id
    returning f.auth_code into auth_code;
  end if;
end;
$$;
