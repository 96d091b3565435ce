-- POST /token?grant_type=refresh_token: exchanges a refresh token of either format (spec/01 section 5).
-- Calls for one session wait for each other on its row, so parallel ones all get the same successor.
-- Raises: validation_failed, refresh_token_not_found, user_banned (400).
-- Returns as failure, because something was recorded: session_not_found, session_expired,
--   refresh_token_already_used (400).
-- Locks: user, session. Writes: sessions, users, refresh_tokens, audit; session_ends, events on a failure.
create or replace function postern_internal.refresh_session(
  p_token text,
  p_context jsonb,
  out issued jsonb,         -- the grant, plus reuse (is it an old token handed out again) and reuse_causes
  out failure jsonb         -- may hold user_id, session_id, rotated for diagnostic headers
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_session_id uuid;
  v_counter bigint;         -- of a format 2 token
  v_user_id uuid;
  v_user auth.users;
  v_session auth.sessions;
  v_token auth.refresh_tokens;
  v_last_active timestamptz;
  v_expiry text;
  v_key text;               -- of a format 2 token
begin
  perform postern_internal.take_limits(p_context);
  if p_token ~ '^[a-z0-9]{12}$' then
    select t.session_id, s.user_id into v_session_id, v_user_id
    from auth.refresh_tokens as t left join auth.sessions as s on s.id = t.session_id
    where t.token = p_token;
    if found and v_session_id is null then
      delete from auth.refresh_tokens as t where t.token = p_token;
      failure := postern_internal.failure(
        400, 'session_not_found', 'Invalid Refresh Token: No Valid Session Found');
      return;
    end if;
  else
    select p.session_id, p.counter into v_session_id, v_counter
    from postern_internal.parse_refresh_token_v2(p_token) as p;
    select s.user_id into v_user_id from auth.sessions as s where s.id = v_session_id;
  end if;

  update auth.users set updated_at = postern_internal.clock()
  where id = v_user_id and postern_internal.is_here(instance_id)
  returning * into v_user;
  select s.* into v_session from auth.sessions as s
  where s.id = v_session_id and s.user_id = v_user.id for no key update;
  if v_counter is null then
    select t.* into v_token from auth.refresh_tokens as t
    where t.token = p_token and t.session_id = v_session.id;
  end if;
  if v_counter is not null then
    v_key := postern_internal.session_key(v_session, p_context);
    if postern_internal.is_asking() then
      return;
    end if;
  end if;
  if v_session.id is null
    or (v_counter is null and v_token.id is null)
    or (v_counter is not null and sha256(p_token::bytea) is distinct from sha256(
      postern_internal.refresh_token_v2(v_session.id, v_counter, v_key)::bytea))
  then
    perform postern_internal.fail(
      400, 'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found');
  end if;
  if postern_internal.is_banned(v_user) then
    perform postern_internal.fail(400, 'user_banned', 'Invalid Refresh Token: User Banned');
  end if;

  v_last_active := postern_internal.last_active(v_session);
  if v_session.refreshed_at is null and v_token.updated_at > v_last_active then
    v_last_active := v_token.updated_at;
  end if;
  v_expiry := postern_internal.session_expiry(v_session, v_last_active, p_context);
  if v_expiry is null and (p_context ->> 'single_per_user')::boolean
    and postern_internal.has_newer_session(v_session, p_context)
  then
    v_expiry := 'newer_login';
  end if;

  if v_expiry is not null then
    perform postern_internal.note_session_end(v_session, v_expiry, p_context);
    failure := postern_internal.failure(400, 'session_expired', 'Invalid Refresh Token: Session Expired'
      || case v_expiry
        when 'idle' then ' (Inactivity)'
        when 'low_aal' then ' (Low AAL: User Needs MFA Verification)'
        when 'newer_login' then ' (Revoked by Newer Login)'
        else ''
      end);
  elsif v_counter is null then
    select r.issued, r.failure into issued, failure
    from postern_internal.rotate_v1(v_user, v_session, v_token, p_context) as r;
  else
    select r.issued, r.failure into issued, failure
    from postern_internal.rotate_v2(v_user, v_session, v_key, v_counter, v_last_active, p_context) as r;
  end if;
  if failure is not null then
    failure := jsonb_build_object('user_id', v_user.id, 'session_id', v_session.id) || failure;
  end if;
end;
$$;
