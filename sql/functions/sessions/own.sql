-- What users see of their sessions, and how they end them one by one; POST /logout and DELETE /user/sessions are
-- postern_internal.log_out.

-- GET /user/sessions: those that are not over, newest first. p_session_id is the one that asks. Raises: as authenticate.
create or replace function postern_internal.list_own_sessions(p_user_id uuid, p_session_id uuid, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.authenticate(p_user_id, p_session_id);
  return postern_internal.sessions_json(p_user_id, true, p_session_id, p_context);
end;
$$;

-- DELETE /user/sessions/{id}. The session of somebody else is as unknown as one that never was.
-- Raises: as authenticate; session_not_found (404). Locks: the session. Writes: audit, sessions, session_ends, events.
create or replace function postern_internal.end_own_session(
  p_user_id uuid,
  p_session_id uuid,        -- that of the token
  p_ended_id uuid,          -- the one to end
  p_context jsonb
)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id);
  v_ended int := postern_internal.end_sessions(v_user.id, 'logout', p_context, p_only => p_ended_id);
begin
  if v_ended = 0 then
    perform postern_internal.fail(404, 'session_not_found', 'Session not found');
  end if;
  perform postern_internal.audit_user('logout', v_user, p_context);
  return v_ended;
end;
$$;
