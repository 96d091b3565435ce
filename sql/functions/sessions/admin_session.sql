-- Checks the session that an administrator's token names, if it names one (spec/00 section 8, admin credentials).
-- Bans do not count here. Raises: user_not_found, session_not_found, session_expired (403).
create or replace function postern_internal.check_admin_session(
  p_user_id uuid,
  p_session_id uuid,
  p_context jsonb
)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_session auth.sessions;
begin
  if not exists (select from auth.users as u where u.id = p_user_id) then
    perform postern_internal.fail(403, 'user_not_found', 'User from sub claim in JWT does not exist');
  end if;
  select s.* into v_session from auth.sessions as s where s.id = p_session_id and s.user_id = p_user_id;
  if v_session.id is null then
    perform postern_internal.fail(
      403, 'session_not_found', 'Session from session_id claim in JWT does not exist');
  end if;
  if postern_internal.session_expiry(v_session, postern_internal.last_active(v_session), p_context) is not null then
    perform postern_internal.fail(403, 'session_expired', 'Session is no longer valid');
  end if;
end;
$$;
