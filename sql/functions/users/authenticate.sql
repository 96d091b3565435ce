-- The user whom a verified access token names (spec/00 section 8, steps 3 to 5).
-- p_session_id is null for tokens without a session. A session must belong to the user.
-- Raises: user_not_found (403), session_not_found (403), user_banned (403). Locks: with p_lock the user.
create or replace function postern_internal.authenticate(
  p_user_id uuid,
  p_session_id uuid,
  p_lock boolean default false
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  if p_lock then
    v_user := postern_internal.lock_user(p_user_id);
  else
    select u.* into v_user
    from auth.users as u
    where u.id = p_user_id and postern_internal.is_here(u.instance_id);
  end if;
  if v_user.id is null then
    perform postern_internal.fail(403, 'user_not_found', 'User from sub claim in JWT does not exist');
  end if;
  if p_session_id is not null
    and not exists (select from auth.sessions as s where s.id = p_session_id and s.user_id = p_user_id)
  then
    perform postern_internal.fail(
      403, 'session_not_found', 'Session from session_id claim in JWT does not exist');
  end if;
  if postern_internal.is_banned(v_user) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  end if;
  return v_user;
end;
$$;

-- GET /user: the caller's own user object. Raises: as authenticate.
create or replace function postern_internal.get_user(p_user_id uuid, p_session_id uuid)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return postern_internal.user_document(postern_internal.authenticate(p_user_id, p_session_id));
end;
$$;
