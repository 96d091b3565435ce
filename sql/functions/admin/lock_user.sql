-- Accounts that may be in wrong hands. A lock is a ban of a hundred years, so that it holds with whatever reads schema auth,
-- and a row of postern.locked_users that says why and what ban there would be without it. Bans that are set or lifted
-- meanwhile wait there (set_ban), so that nobody opens a locked account by lifting a ban.

-- See the comment on the function. A sign-in that is on its way has the user's lock, so its session ends as well, or waits
-- for it and finds the ban.
-- Raises: user_not_found (404), validation_failed (400). Locks: user, sessions.
-- Writes: locked_users, users, sessions, session_ends, one_time_tokens, flow_state, audit, events.
create or replace function postern.lock_user(who text, reason text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_user auth.users := postern_internal.need_user((postern_internal.find_user(who)).id);
  v_until timestamptz := postern_internal.clock() + interval '100 years';
  v_reason text := btrim(reason);
begin
  if coalesce(v_reason, '') = '' then
    perform postern_internal.fail(400, 'validation_failed', 'Say why the account is locked');
  end if;
  insert into postern.locked_users as l (user_id, reason, actor, locked_at, banned_until, other_ban)
  values (v_user.id, v_reason, v_context ->> 'actor', postern_internal.clock(), v_until, v_user.banned_until)
  on conflict (user_id) do update
    set reason = excluded.reason, actor = excluded.actor, locked_at = excluded.locked_at,
      banned_until = excluded.banned_until,
      other_ban = case when l.banned_until = v_user.banned_until then l.other_ban else v_user.banned_until end;
  update auth.users as u set banned_until = v_until, updated_at = postern_internal.clock() where u.id = v_user.id;
  perform postern_internal.end_sessions(v_user.id, 'ban', v_context);
  perform postern_internal.void_tokens(v_user.id);
  perform postern_internal.end_flows(v_user.id);
  perform postern_internal.audit_admin('user_modified', v_user, v_context,
    jsonb_build_object('user_phone', coalesce(v_user.phone, ''), 'lock_reason', v_reason));
  perform postern_internal.record_event('user.locked', v_user.id, v_context, jsonb_build_object('reason', v_reason));
  return v_user.id;
end;
$$;
comment on function postern.lock_user(text, text) is
'Locks an account that may be in wrong hands, and returns the user''s id: all sessions end, links and codes that were sent are void, and nobody signs in, by whatever means, until postern.unlock_user(). Clients see a ban, and so does Supabase Auth. Lifting a ban does not open it. Locked again, it gets the new reason.
who: the user''s id, e-mail address, or phone number with a leading +.
reason: why; shown by get_user(), find_users() and why_signed_out(), and in the event user.locked.
Errors: user_not_found (PT404), validation_failed (PT400) without a reason.
Example: select postern.lock_user(''ann@example.com'', ''phone was stolen, ticket 4711'');
Example: select postern.lock_user(user_id::text, ''signed in from a leaked list'') from suspects;';

-- See the comment on the function. A ban that somebody else wrote into auth.users meanwhile is not the lock's, and stays.
-- Raises: user_not_found (404), user_not_locked (422). Locks: the user.
-- Writes: locked_users, users, one_time_tokens, flow_state, audit, events.
create or replace function postern.unlock_user(who text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_user auth.users := postern_internal.need_user((postern_internal.find_user(who)).id);
  v_lock postern.locked_users;
begin
  delete from postern.locked_users as l where l.user_id = v_user.id returning l.* into v_lock;
  if v_lock.user_id is null then
    perform postern_internal.fail(422, 'user_not_locked', 'The user is not locked; postern.unban_user() lifts a ban');
  end if;
  perform postern_internal.void_tokens(v_user.id);
  perform postern_internal.end_flows(v_user.id);
  update auth.users as u
  set banned_until = case when u.banned_until = v_lock.banned_until then v_lock.other_ban else u.banned_until end
  where u.id = v_user.id
  returning u.* into v_user;
  perform postern_internal.audit_admin(
    'user_modified', v_user, v_context, jsonb_build_object('user_phone', coalesce(v_user.phone, '')));
  perform postern_internal.record_event('user.unlocked', v_user.id, v_context, jsonb_strip_nulls(jsonb_build_object(
    'reason', v_lock.reason,
    'banned_until', case when postern_internal.is_banned(v_user) then postern_internal.rfc3339(v_user.banned_until) end)));
  return v_user.id;
end;
$$;
comment on function postern.unlock_user(text) is
'Opens an account that postern.lock_user() locked, and returns the user''s id. Links and codes that were sent meanwhile are void. A ban of its own, set before the lock or while it held, goes on. Sessions do not come back; where somebody else may know the password, set_password() or require_password_change() comes first.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404), user_not_locked (PT422).
Example: select postern.unlock_user(''ann@example.com'');';

-- What administrators ordered about a user, for get_user(): members lock and password_change, where there are any.
create or replace function postern_internal.user_orders(p_user_id uuid)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'lock', (
      select jsonb_build_object('reason', l.reason, 'actor', l.actor, 'at', postern_internal.rfc3339(l.locked_at))
      from postern.locked_users as l
      join auth.users as u on u.id = l.user_id and u.banned_until = l.banned_until
      where l.user_id = p_user_id),
    'password_change', (
      select jsonb_build_object('actor', d.actor, 'at', postern_internal.rfc3339(d.demanded_at))
      from postern.password_demands as d where d.user_id = p_user_id)));
end;
$$;
