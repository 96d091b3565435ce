-- Rules of maintenance for sessions (spec/07 section 4, rows 2, 3 and 11 to 13). p_limit is the size of the batch.

-- Ends sessions whose rows the caller has locked, and records why, unless a request has found that out before.
-- Writes: sessions and what refers to them, session_ends, events. Returns how many ended.
create or replace function postern_internal.sweep_sessions(p_ids uuid[], p_reason text, p_now timestamptz)
returns bigint
language sql volatile security invoker set search_path = ''
as $$
  with ended as (
    delete from auth.sessions as s where s.id = any (p_ids) returning s.id, s.user_id
  ), why as (
    insert into postern.session_ends (session_id, user_id, reason, actor, ended_at)
    select e.id, e.user_id, p_reason, 'maintenance', p_now from ended as e
    on conflict (session_id) do nothing
    returning session_id, user_id
  ), told as (
    insert into postern.events (type, user_id, session_id, actor, data, created_at)
    select 'session.ended', w.user_id, w.session_id, 'maintenance', jsonb_build_object('reason', p_reason), p_now
    from why as w
  )
  select count(*) from ended
$$;

-- Row 2: tokens of sessions that ended a day ago are revoked.
create or replace function postern_internal.maintain_refresh_tokens_ended(
  p_now timestamptz, p_context jsonb, p_limit int
)
returns bigint
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_count bigint;
begin
  with live as (
    select t.id
    from auth.sessions as s
    join auth.refresh_tokens as t on t.session_id = s.id
    where s.not_after < p_now - interval '24 hours' and t.revoked is not true
    limit p_limit
    for update of t skip locked
  )
  update auth.refresh_tokens as t
  set revoked = true, updated_at = p_now
  from live as l
  where t.id = l.id;
  get diagnostics v_count = row_count;
  return v_count;
end;
$$;

-- Row 3: sessions whose hard end was three days ago.
create or replace function postern_internal.maintain_sessions_expired(p_now timestamptz, p_context jsonb, p_limit int)
returns bigint
language sql volatile security invoker set search_path = ''
as $$
  select postern_internal.sweep_sessions(array(
    select s.id from auth.sessions as s
    where s.not_after < p_now - interval '72 hours'
    limit p_limit
    for update skip locked), 'timebox', p_now)
$$;

-- Row 11: sessions that SESSIONS_TIMEBOX ended a day ago.
create or replace function postern_internal.maintain_sessions_timebox(p_now timestamptz, p_context jsonb, p_limit int)
returns bigint
language sql volatile security invoker set search_path = ''
as $$
  select postern_internal.sweep_sessions(array(
    select s.id from auth.sessions as s
    where s.created_at < p_now - interval '24 hours' - make_interval(secs => (p_context ->> 'timebox')::float)
    limit p_limit
    for update skip locked), 'timebox', p_now)
$$;

-- Row 12: sessions that SESSIONS_INACTIVITY_TIMEOUT ended a day ago.
create or replace function postern_internal.maintain_sessions_idle(p_now timestamptz, p_context jsonb, p_limit int)
returns bigint
language sql volatile security invoker set search_path = ''
as $$
  select postern_internal.sweep_sessions(array(
    select s.id from auth.sessions as s
    where s.refreshed_at at time zone 'UTC'
      < p_now - interval '24 hours' - make_interval(secs => (p_context ->> 'inactivity')::float)
    limit p_limit
    for update skip locked), 'idle', p_now)
$$;

-- Row 13: the same for sessions that were never refreshed: their live token's time counts, and without one (format 2
-- has no rows) their own.
create or replace function postern_internal.maintain_sessions_idle_unrefreshed(
  p_now timestamptz, p_context jsonb, p_limit int
)
returns bigint
language sql volatile security invoker set search_path = ''
as $$
  select postern_internal.sweep_sessions(array(
    select s.id from auth.sessions as s
    where s.refreshed_at is null
      and coalesce((
        select max(t.updated_at) from auth.refresh_tokens as t
        where t.session_id = s.id and t.revoked is not true), s.created_at)
        < p_now - interval '24 hours' - make_interval(secs => (p_context ->> 'inactivity')::float)
    limit p_limit
    for update of s skip locked), 'idle', p_now)
$$;
