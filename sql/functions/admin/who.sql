-- Whom an administrator means. Functions of schema postern name a user by id, e-mail address or phone number; their
-- arguments have no prefix, because callers write them: postern.delete_user('ann@example.com', soft => true).
--
-- They are security definer: role postern_admin gets these functions and nothing else, no table of schema auth.
-- The audit log and the events name the session user, which neither set role nor security definer changes.

-- The user with that id (a UUID), e-mail address (any case) or phone number (with a leading +).
-- Raises: validation_failed (400) for text that is none of them, user_not_found (404), conflict (409) where several
-- SSO accounts share an address.
create or replace function postern_internal.find_user(p_who text)
returns auth.users
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_who text := btrim(p_who);
  v_user auth.users;
begin
  if postern_internal.is_uuid(v_who) then
    select u.* into v_user from auth.users as u
    where u.id = v_who::uuid and postern_internal.is_here(u.instance_id);
  elsif v_who like '+%' then
    select u.* into v_user from auth.users as u
    where u.phone = translate(v_who, '+ ', '') and postern_internal.is_here(u.instance_id);
  elsif v_who like '%@%' then
    select u.* into v_user from auth.users as u
    where lower(u.email) = lower(v_who) and (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null)
    order by u.is_sso_user
    limit 1;
    if v_user.is_sso_user and exists (
      select from auth.users as u
      where lower(u.email) = lower(v_who) and (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null) and u.id <> v_user.id)
    then
      perform postern_internal.fail(
        409, 'conflict', format('Several SSO accounts have the address %s; say which by its id', v_who));
    end if;
  else
    perform postern_internal.fail(400, 'validation_failed', format(
      'Name a user by id, e-mail address or phone number with a leading +, not by %L', coalesce(v_who, '')));
  end if;
  if v_user.id is null then
    perform postern_internal.fail(404, 'user_not_found', format('There is no user %s', v_who));
  end if;
  return v_user;
end;
$$;

-- The same, for somebody who can sign in by mail. Raises: as find_user; validation_failed (400) for others.
create or replace function postern_internal.find_mail_user(p_who text)
returns auth.users
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.find_user(p_who);
begin
  if coalesce(v_user.email, '') = '' or v_user.is_sso_user then
    perform postern_internal.fail(
      400, 'validation_failed', format('The user %s cannot sign in by mail', p_who));
  end if;
  return v_user;
end;
$$;

-- Whether text is a UUID in the form with dashes.
create or replace function postern_internal.is_uuid(p_text text)
returns boolean
language sql immutable security invoker
as $$
  select p_text ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
$$;

-- Locks the user that an administrator changes. For a deletion the lock is the strongest at once: taking it in two
-- steps could deadlock with a transaction that refers to the user and wants to change it next.
-- Raises: user_not_found (404).
create or replace function postern_internal.need_user(p_user_id uuid, p_to_delete boolean default false)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  if p_to_delete then
    select u.* into v_user from auth.users as u
    where u.id = p_user_id and postern_internal.is_here(u.instance_id)
    for update;
  else
    v_user := postern_internal.lock_user(p_user_id);
  end if;
  if v_user.id is null then
    perform postern_internal.fail(404, 'user_not_found', 'User not found');
  end if;
  return v_user;
end;
$$;

-- Raises what the HTTP handler found wrong with a request, if anything. Handlers send it along where the order of
-- checks puts a look-up before it, so that one call is enough: {"status", "code", "message", "extra"} or null.
create or replace function postern_internal.refuse(p_refusal jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_refusal is not null then
    perform postern_internal.fail((p_refusal ->> 'status')::int, p_refusal ->> 'code', p_refusal ->> 'message',
      nullif(p_refusal -> 'extra', 'null'));
  end if;
end;
$$;
