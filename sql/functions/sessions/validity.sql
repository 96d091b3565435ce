-- Why a session may no longer be used: a reason of postern.session_ends, or null (spec/01 section 5.3 step 4).
-- p_last_active is the last refresh, or what counts as that.
create or replace function postern_internal.session_expiry(
  p_session auth.sessions,
  p_last_active timestamptz,
  p_context jsonb
)
returns text
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
begin
  if p_session.not_after < v_now
    or p_session.created_at + make_interval(secs => (p_context ->> 'timebox')::float) < v_now
  then
    return 'timebox';
  end if;
  if p_last_active + make_interval(secs => (p_context ->> 'inactivity')::float) < v_now then
    return 'idle';
  end if;
  if p_session.created_at + make_interval(secs => (p_context ->> 'low_aal')::float) < v_now then
    if coalesce(p_session.aal, 'aal1') = 'aal1' and postern_internal.has_verified_factor(p_session.user_id) then
      return 'low_aal';
    end if;
  end if;
  return null;
end;
$$;

-- The last activity of a session: its last refresh (stored as UTC without a zone), else its begin.
create or replace function postern_internal.last_active(p_session auth.sessions)
returns timestamptz
language sql stable security invoker
as $$
  select coalesce(p_session.refreshed_at at time zone 'UTC', p_session.created_at)
$$;

-- SESSIONS_SINGLE_PER_USER: whether another valid session of the user with the same tag was active later.
create or replace function postern_internal.has_newer_session(p_session auth.sessions, p_context jsonb)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return exists (
    select from auth.sessions as s
    where s.user_id = p_session.user_id
      and s.id <> p_session.id
      and postern_internal.effective_tag(s.tag, p_context) = postern_internal.effective_tag(p_session.tag, p_context)
      and postern_internal.last_active(s) > postern_internal.last_active(p_session)
      and postern_internal.session_expiry(s, postern_internal.last_active(s), p_context) is null
  );
end;
$$;

-- The tag a session counts under: its own if SESSIONS_TAGS lists it, else the first of the list, else ''.
create or replace function postern_internal.effective_tag(p_tag text, p_context jsonb)
returns text
language sql stable security invoker
as $$
  select case
    when p_context -> 'tags' ? p_tag then p_tag
    else coalesce(p_context -> 'tags' ->> 0, '')
  end
$$;
