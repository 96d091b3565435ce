-- Sessions as an administrator sees them.

-- See the comment on the function. Raises: user_not_found (404).
create or replace function postern.list_sessions(who text)
returns table (
  session_id uuid,
  created_at timestamptz,
  last_active_at timestamptz,
  aal text,
  methods text[],
  ip inet,
  user_agent text
)
language sql stable security definer set search_path = ''
as $$
  select s.*
  from postern_internal.sessions_of((select (postern_internal.find_user(who)).id)) as s
  order by s.created_at desc, s.session_id
$$;
comment on function postern.list_sessions(text) is
'Lists the sessions of a user, newest first: when they began and were last refreshed, how the user signed in, from where.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select session_id, last_active_at, user_agent from postern.list_sessions(''ann@example.com'');';

-- GET /admin/users/{id}/sessions: the same as JSON. Raises: user_not_found (404).
create or replace function postern_internal.admin_list_sessions(p_user_id uuid)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if not exists (
    select from auth.users as u where u.id = p_user_id and postern_internal.is_here(u.instance_id))
  then
    perform postern_internal.fail(404, 'user_not_found', 'User not found');
  end if;
  return postern_internal.sessions_json(p_user_id, false, null, '{}');
end;
$$;

-- An administrator ends the sessions of a user, or only p_session_id: POST /admin/users/{id}/logout,
-- DELETE /admin/users/{id}/sessions and below, postern.sign_out. Returns how many ended.
-- Raises: user_not_found, session_not_found (404). Locks: user, sessions. Writes: audit, sessions, session_ends, events.
create or replace function postern_internal.admin_sign_out(p_user_id uuid, p_session_id uuid, p_context jsonb)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.need_user(p_user_id);
  v_ended int := postern_internal.end_sessions(v_user.id, 'admin', p_context, p_only => p_session_id);
begin
  if p_session_id is not null and v_ended = 0 then
    perform postern_internal.fail(404, 'session_not_found', format('The user has no session %s', p_session_id));
  end if;
  perform postern_internal.audit_admin('logout', v_user, p_context);
  return v_ended;
end;
$$;

-- See the comment on the function. Raises, locks and writes: as admin_sign_out.
create or replace function postern.sign_out(who text, session_id uuid default null)
returns int
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return postern_internal.admin_sign_out(
    (postern_internal.find_user(who)).id, session_id, postern_internal.context());
end;
$$;
comment on function postern.sign_out(text, uuid) is
'Ends all sessions of a user, or one, and returns how many ended. Access tokens are refused by this server at once, by others when they expire.
who: the user''s id, e-mail address, or phone number with a leading +.
session_id: the one session to end; default: all of them.
Errors: user_not_found, session_not_found (PT404).
Example: select postern.sign_out(''ann@example.com'');
Example: select postern.sign_out(who => ''ann@example.com'', session_id => s.session_id) from postern.list_sessions(''ann@example.com'') s where s.ip = ''203.0.113.7'';';

-- See the comment on the function. Raises: user_not_found (404) for an address or number of nobody.
create or replace function postern.why_signed_out(who text, max_rows int default 20)
returns table (
  session_id uuid,
  ended_at timestamptz,
  reason text,
  explanation text,
  actor text
)
language plpgsql stable security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  -- an id is enough for somebody who was deleted
  v_id uuid := case when postern_internal.is_uuid(btrim(who)) then btrim(who)::uuid
    else (postern_internal.find_user(who)).id end;
begin
  return query
    select null::uuid,
      coalesce(l.locked_at, (
        select max(e.created_at) from postern.events as e where e.user_id = v_id and e.type = 'user.banned')),
      case when l.user_id is null then 'ban' else 'lock' end,
      coalesce('An administrator locked the account: ' || l.reason,
        'The user is banned until ' || postern_internal.rfc3339(u.banned_until)
        || ': sessions exist, but cannot be refreshed'),
      l.actor
    from auth.users as u
    left join postern.locked_users as l on l.user_id = u.id and l.banned_until = u.banned_until
    where u.id = v_id and postern_internal.is_banned(u);
  return query
    select e.session_id, e.ended_at, e.reason, postern_internal.explain_session_end(e.reason), e.actor
    from postern.session_ends as e
    where e.user_id = v_id or e.session_id = v_id
    order by e.ended_at desc
    limit max_rows;
end;
$$;
comment on function postern.why_signed_out(text, int) is
'Tells why sessions ended, newest first, and whether the user is banned or locked at the moment.
who: the user''s id, e-mail address, or phone number with a leading +; or the id of one session. Ids also work for users who were deleted.
max_rows: at most so many; default: 20.
Errors: user_not_found (PT404).
Example: select ended_at, explanation, actor from postern.why_signed_out(''ann@example.com'');';

-- A reason of postern.session_ends in a sentence.
create or replace function postern_internal.explain_session_end(p_reason text)
returns text
language sql immutable security invoker
as $$
  select case p_reason
    when 'logout' then 'The user signed out'
    when 'reuse' then 'A refresh token was used again after its time: stolen, or kept by a second client'
    when 'timebox' then 'The session reached its greatest age (GOTRUE_SESSIONS_TIMEBOX)'
    when 'idle' then 'The session was not used for too long (GOTRUE_SESSIONS_INACTIVITY_TIMEOUT)'
    when 'low_aal' then 'The user has a second factor and did not use it in time (GOTRUE_SESSIONS_ALLOW_LOW_AAL)'
    when 'newer_login' then 'The user signed in elsewhere (GOTRUE_SESSIONS_SINGLE_PER_USER)'
    when 'ban' then 'The account was locked'
    when 'password_change' then 'The password was changed'
    when 'admin' then 'An administrator ended the session'
    when 'user_deleted' then 'The user was deleted'
    when 'hook' then 'A hook of the operator demanded it'
    when 'mfa' then 'A second factor was verified, refused or removed'
    when 'reclaimed' then 'The owner of the e-mail address came; somebody else had registered the account with it'
    when 'retention' then 'The account was removed after its time (retention)'
    else p_reason
  end
$$;
