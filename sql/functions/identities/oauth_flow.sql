-- Sign-in with an OAuth provider: the two calls around the visit there (spec/02 sections 2 and 3).

-- GET /authorize: remembers the flow; its id is the state that the provider hands back.
-- Raises: user_not_found (404) for an invitation nobody has. Writes: flow_state.
create or replace function postern_internal.begin_oauth(
  p_provider text,
  p_code_challenge text,            -- '' for the implicit flow
  p_code_challenge_method text,
  p_invite_token text,              -- '' for none
  p_is_email_optional boolean,
  p_context jsonb
)
returns uuid
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_id uuid := gen_random_uuid();
begin
  if p_invite_token <> '' and not exists (
    select from auth.one_time_tokens as t
    where t.token_hash = p_invite_token and t.token_type = 'confirmation_token')
  then
    perform postern_internal.fail(404, 'user_not_found', 'User identified by token not found');
  end if;
  insert into auth.flow_state (
    id, provider_type, authentication_method, auth_code, code_challenge, code_challenge_method,
    provider_access_token, provider_refresh_token, referrer, invite_token, email_optional, created_at, updated_at)
  values (
    v_id, p_provider, 'oauth', case when p_code_challenge <> '' then gen_random_uuid()::text end,
    nullif(p_code_challenge, ''), nullif(p_code_challenge_method, '')::auth.code_challenge_method, '', '',
    p_context ->> 'redirect_to', nullif(p_invite_token, ''), p_is_email_optional,
    postern_internal.clock(), postern_internal.clock());
  return v_id;
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

-- /callback, first call: what the visit was about. Raises: as find_oauth_flow.
create or replace function postern_internal.resume_oauth(
  p_state uuid,
  p_context jsonb,
  out provider text,
  out referrer text,
  out is_email_optional boolean
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_flow auth.flow_state := postern_internal.find_oauth_flow(p_state, p_context);
begin
  provider := v_flow.provider_type;
  referrer := coalesce(v_flow.referrer, '');
  is_email_optional := v_flow.email_optional;
end;
$$;

-- /callback, second call: signs in who came back, or prepares the code exchange of a PKCE flow.
-- p_identity: sub, data (identity_data without the two flags), emails [{email, verified, primary}], access_token,
-- refresh_token.
-- Raises: as find_oauth_flow and sign_in_externally. Returns as failure: as sign_in_externally.
-- Locks: the flow, then the user. Writes: flow_state, and what sign_in_externally and issue_session write.
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
  failure := v_visit.failure;
  if failure is not null then
    return;
  end if;

  if v_flow.code_challenge is null then
    delete from auth.flow_state as f where f.id = v_flow.id;
    issued := postern_internal.issue_session(v_visit.account_id, 'oauth', p_context) || jsonb_build_object(
      'provider_token', coalesce(p_identity ->> 'access_token', ''),
      'provider_refresh_token', coalesce(p_identity ->> 'refresh_token', ''));
  else
    update auth.flow_state as f
    set user_id = v_visit.account_id, auth_code_issued_at = postern_internal.clock(), updated_at = postern_internal.clock(),
      provider_access_token = coalesce(p_identity ->> 'access_token', ''),
      provider_refresh_token = coalesce(p_identity ->> 'refresh_token', '')
    where f.id = v_flow.id
    returning f.auth_code into auth_code;
  end if;
end;
$$;
