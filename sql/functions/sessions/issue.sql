-- Signs a user in who proved who they are, and returns the grant of the new session (spec/01 section 1.4).
-- p_method is the authentication method of the AMR claim: password, otp, magiclink, recovery, ...
-- Raises: as open_session. Locks and updates the user. Writes: users, and what open_session writes.
create or replace function postern_internal.issue_session(p_user_id uuid, p_method text, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_user auth.users;
begin
  update auth.users set last_sign_in_at = v_now, updated_at = v_now where id = p_user_id returning * into v_user;
  return postern_internal.open_session(v_user, p_method, p_context);
end;
$$;

-- Opens the session of a user whose row the caller has just updated, and so locked. Most callers have refused the banned
-- before, in their own order of checks; nobody gets past here.
-- With encryption the server brings id and sealed key of a format 2 session along: a key is sealed for one row.
-- Raises: user_banned (403), and as session_grant. Writes: sessions, refresh_tokens (format 1), mfa_amr_claims, events.
create or replace function postern_internal.open_session(p_user auth.users, p_method text, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_session auth.sessions;
  v_refresh_token text;
  v_key text;
begin
  if postern_internal.is_banned(p_user) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  end if;
  v_session.id := coalesce((p_context #>> '{new_session,id}')::uuid, postern_internal.random_uuid());
  v_session.user_id := p_user.id;
  v_session.created_at := v_now;
  if (p_context ->> 'token_version')::int = 2 then
    v_key := coalesce(p_context #>> '{new_session,plain}', postern_internal.random_key());
    v_session.refresh_token_hmac_key := coalesce(p_context #>> '{new_session,stored}', v_key);
    v_session.refresh_token_counter := 0;
    v_refresh_token := postern_internal.refresh_token_v2(v_session.id, 0, v_key);
  else
    v_refresh_token := postern_internal.random_refresh_token();
  end if;

  with new_session as (
    insert into auth.sessions (
      id, user_id, created_at, updated_at, aal, user_agent, ip, refresh_token_hmac_key, refresh_token_counter)
    values (
      v_session.id, p_user.id, v_now, v_now, 'aal1', nullif(p_context ->> 'user_agent', ''),
      (p_context ->> 'ip')::inet, v_session.refresh_token_hmac_key, v_session.refresh_token_counter)
  ), new_refresh_token as (
    insert into auth.refresh_tokens (instance_id, token, user_id, session_id, revoked, created_at, updated_at)
    select postern_internal.nil_uuid(), v_refresh_token, p_user.id::text, v_session.id, false, v_now, v_now
    where v_session.refresh_token_counter is null
  ), new_event as (
    insert into postern.events (type, user_id, session_id, actor, data, created_at)
    values ('session.created', p_user.id, v_session.id, 'user', jsonb_build_object('method', p_method), v_now)
  )
  insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
  values (gen_random_uuid(), v_session.id, v_now, v_now, p_method);

  return postern_internal.session_grant(p_user, v_session, v_refresh_token, p_method, p_context);
end;
$$;
