-- Ends sessions of a user and records why: all, only p_only, or all but p_except.
-- Refresh tokens and AMR claims go with them (cascade). Locks: the sessions, in id order; callers that
-- also change the user lock the user first. Writes: sessions, session_ends, events. Returns how many ended.
create or replace function postern_internal.end_sessions(
  p_user_id uuid,
  p_reason text,            -- see postern.session_ends
  p_context jsonb,
  p_only uuid default null,
  p_except uuid default null
)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return postern_internal.end_locked_sessions(
    array(
      select s.id
      from auth.sessions as s
      where s.user_id = p_user_id
        and (p_only is null or s.id = p_only)
        and s.id is distinct from p_except
      order by s.id
      for update),
    p_reason, p_context);
end;
$$;

-- Ends sessions whose rows the caller has locked, of one user or of many, and records why.
-- Writes: sessions and what refers to them, session_ends, events. Returns how many ended.
create or replace function postern_internal.end_locked_sessions(p_ids uuid[], p_reason text, p_context jsonb)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_actor text := coalesce(p_context ->> 'actor', 'user');
  v_count int;
begin
  if p_ids = '{}' then
    return 0;
  end if;
  with ended as (
    delete from auth.sessions as s using unnest(p_ids) as l (id) where s.id = l.id returning s.id, s.user_id
  ), why as (
    insert into postern.session_ends (session_id, user_id, reason, actor, ended_at)
    select e.id, e.user_id, p_reason, v_actor, v_now from ended as e
    on conflict (session_id) do nothing
  ), told as (
    insert into postern.events (type, user_id, session_id, actor, data, created_at)
    select 'session.ended', e.user_id, e.id, v_actor,
      jsonb_build_object('reason', p_reason) || postern_internal.said_actor(p_context), v_now
    from ended as e
    where (p_context ? 'silent') is not true
    order by e.id
  )
  select count(*) into v_count from ended;
  return v_count;
end;
$$;

-- Remembers why a session can no longer be used although its row stays (an expired one, a reused token).
create or replace function postern_internal.note_session_end(p_session auth.sessions, p_reason text, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  with why as (
    insert into postern.session_ends (session_id, user_id, reason, actor, ended_at)
    values (p_session.id, p_session.user_id, p_reason, 'server', postern_internal.clock())
    on conflict (session_id) do nothing
    returning session_id
  )
  insert into postern.events (type, user_id, session_id, actor, data, created_at)
  select 'session.ended', p_session.user_id, session_id, 'server', jsonb_build_object('reason', p_reason),
    postern_internal.clock()
  from why;
end;
$$;

-- POST /logout. p_session_id is null for a token without a session: that always means global.
-- Raises: as authenticate. Locks: the user's sessions. Writes: audit, sessions, session_ends, events.
create or replace function postern_internal.log_out(
  p_user_id uuid,
  p_session_id uuid,
  p_scope text,             -- global | local | others
  p_context jsonb,
  out ended int
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id);
begin
  perform postern_internal.audit_user('logout', v_user, p_context);
  ended := postern_internal.end_sessions(
    p_user_id, 'logout', p_context,
    p_only => case when p_scope = 'local' then p_session_id end,
    p_except => case when p_scope = 'others' then p_session_id end);
end;
$$;
