-- Replaces a format 1 token (spec/01 section 5.4). The caller holds the locks of user and session.
--   live token                            -> a new one, the old one revoked
--   parent of the live token              -> the live one again: the client missed the answer
--   older, used within the reuse interval -> a new one
--   from before a second factor           -> refused, even within the reuse interval
--   older                                 -> refused, and with rotation on all tokens of the session revoked
create or replace function postern_internal.rotate_v1(
  p_user auth.users,
  p_session auth.sessions,
  p_token auth.refresh_tokens,
  p_context jsonb,
  out issued jsonb,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_live auth.refresh_tokens;
  v_is_late boolean;
  v_next text;
  v_key text;
begin
  if coalesce(p_token.revoked, false) then
    select t.* into v_live from auth.refresh_tokens as t
    where t.session_id = p_session.id and t.revoked is not true
    order by t.id desc limit 1;
    if v_live.parent = p_token.token then
      perform postern_internal.audit_user('token_refreshed', p_user, p_context);
      p_session := postern_internal.touch_session(p_session, p_context);
      issued := postern_internal.session_grant(p_user, p_session, v_live.token, 'token_refresh', p_context, true);
      return;
    end if;
    v_is_late := coalesce(p_token.updated_at, '-infinity')
      + make_interval(secs => (p_context ->> 'reuse_interval')::int) <= v_now;
    if v_is_late or postern_internal.is_before_upgrade(p_session.id, p_token.id, null) then
      if v_is_late and (p_context ->> 'rotation')::boolean then
        update auth.refresh_tokens set revoked = true, updated_at = v_now
        where session_id = p_session.id and revoked is not true;
        perform postern_internal.note_session_end(p_session, 'reuse', p_context);
      end if;
      failure := postern_internal.failure(
        400, 'refresh_token_already_used', 'Invalid Refresh Token: Already Used');
      return;
    end if;
  end if;

  v_next := postern_internal.random_refresh_token();
  perform postern_internal.write_audit(
    array['token_refreshed', 'token_revoked'], p_user.id, coalesce(nullif(p_user.phone, ''), p_user.email),
    p_user.is_sso_user, p_user.raw_user_meta_data ->> 'full_name', null, p_context);
  with revoked as (
    update auth.refresh_tokens set revoked = true, updated_at = v_now
    where id = p_token.id
  )
  insert into auth.refresh_tokens (
    instance_id, token, user_id, session_id, parent, revoked, created_at, updated_at)
  values (
    postern_internal.nil_uuid(), v_next, p_user.id::text, p_session.id, p_token.token,
    postern_internal.upgrades_to_v2(p_session.id, p_context), v_now, v_now);
  if postern_internal.upgrades_to_v2(p_session.id, p_context) then
    v_key := postern_internal.upgraded_session_key(p_session, p_context);
    p_session.refresh_token_counter := coalesce(p_session.refresh_token_counter + 1, 0);
    v_next := postern_internal.refresh_token_v2(p_session.id, p_session.refresh_token_counter, v_key);
  end if;
  p_session := postern_internal.touch_session(p_session, p_context);
  issued := postern_internal.session_grant(p_user, p_session, v_next, 'token_refresh', p_context, false);
end;
$$;

-- The key of a session that moves to format 2; made where there is none yet. Writes: sessions.
create or replace function postern_internal.upgraded_session_key(p_session auth.sessions, p_context jsonb)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_new record;
begin
  if p_session.refresh_token_hmac_key is not null then
    return postern_internal.session_key(p_session, p_context);
  end if;
  v_new := postern_internal.new_session_key(p_session.id, p_context);
  update auth.sessions set refresh_token_hmac_key = v_new.stored where id = p_session.id;
  return v_new.plain;
end;
$$;

-- Moves the counter of a format 2 token (spec/01 section 5.5), the same way.
create or replace function postern_internal.rotate_v2(
  p_user auth.users,
  p_session auth.sessions,
  p_key text,               -- what session_key returned
  p_counter bigint,
  p_last_active timestamptz,
  p_context jsonb,
  out issued jsonb,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_behind bigint := p_session.refresh_token_counter - p_counter;
  v_causes text;            -- why a used token is accepted
  v_is_fresh boolean := p_last_active + make_interval(secs => (p_context ->> 'reuse_interval')::int)
    > postern_internal.clock();
begin
  if v_behind < 0 then
    perform postern_internal.fail(
      400, 'validation_failed', 'Invalid Refresh Token: Not Issued By This Server');
  elsif v_behind > 0 then
    v_causes := concat_ws(',',
      case
        when v_is_fresh and not postern_internal.is_before_upgrade(p_session.id, null, p_counter)
          then 'concurrent-refresh'
      end,
      case when v_behind = 1 then 'fail-to-save' end,
      case when (p_context ->> 'allow_reuse')::boolean then 'always-allow' end);
    if v_causes = '' then
      failure := postern_internal.failure(
        400, 'refresh_token_already_used', 'Invalid Refresh Token: Already Used');
      if (p_context ->> 'rotation')::boolean and not v_is_fresh then
        perform postern_internal.end_sessions(
          p_user.id, 'reuse', p_context || '{"actor": "server"}', p_only => p_session.id);
        failure := failure || '{"rotated": true}';
      end if;
      return;
    end if;
  else
    p_session.refresh_token_counter := p_session.refresh_token_counter + 1;
  end if;
  perform postern_internal.audit_user('token_refreshed', p_user, p_context);
  p_session := postern_internal.touch_session(p_session, p_context);
  issued := postern_internal.session_grant(
    p_user, p_session,
    postern_internal.refresh_token_v2(p_session.id, p_session.refresh_token_counter, p_key),
    'token_refresh', p_context, v_behind > 0, v_causes);
end;
$$;

-- Whether a used token is from before the session reached aal2 (postern.session_upgrades): by its row for format 1, by its
-- counter for format 2.
create or replace function postern_internal.is_before_upgrade(p_session_id uuid, p_token_id bigint, p_counter bigint)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return exists (
    select from postern.session_upgrades as u
    where u.session_id = p_session_id and (p_token_id < u.first_token_id or p_counter < u.first_counter));
end;
$$;

-- Writes what a refresh changes about a session: time, client, token counter.
create or replace function postern_internal.touch_session(p_session auth.sessions, p_context jsonb)
returns auth.sessions
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update auth.sessions
  set refreshed_at = postern_internal.clock() at time zone 'UTC',
    updated_at = postern_internal.clock(),
    user_agent = nullif(p_context ->> 'user_agent', ''),
    ip = (p_context ->> 'ip')::inet,
    refresh_token_counter = p_session.refresh_token_counter
  where id = p_session.id
  returning * into p_session;
  return p_session;
end;
$$;

-- Whether tokens of this session move to format 2: that share of all sessions, always the same ones.
create or replace function postern_internal.upgrades_to_v2(p_session_id uuid, p_context jsonb)
returns boolean
language sql stable security invoker
as $$
  select (p_context ->> 'token_version')::int = 2
    and get_byte(uuid_send(p_session_id), 15) * 256 + get_byte(uuid_send(p_session_id), 14)
      < (p_context ->> 'upgrade_percentage')::int * 65536 / 100
$$;
