-- NULL in instance_id and aud, which users have that were made by hand, is read as what new users get: each of them
-- belongs to this server and, as far as look-ups go, to the audience that is asked for.

-- Users by e-mail address: any case, of one audience, no SSO accounts (spec/00 section 7).
-- Inlined into its callers, therefore without a SET clause. At most one row. The sub-selects are for the planner: with a
-- plain lower(p_email) it takes users_instance_id_idx, which finds everybody, while it believes that there are few users.
create or replace function postern_internal.find_users_by_email(p_email text, p_aud text)
returns setof auth.users
language sql stable security invoker
as $$
  select u.*
  from auth.users as u
  where u.instance_id = postern_internal.nil_uuid()
    and lower(u.email) = (select lower(p_email))
    and coalesce(u.aud, p_aud) is not distinct from p_aud
    and not u.is_sso_user
  union all
  select u.*
  from auth.users as u
  where u.instance_id is null
    and lower(u.email) = (select lower(p_email))
    and coalesce(u.aud, p_aud) is not distinct from p_aud
    and not u.is_sso_user
  limit 1
$$;

-- Users by phone number (digits only), the same way. Here and where a user is found by id, the other conditions are said
-- so that no index fits them: while there are few users, the planner would as soon read all of users_instance_id_idx.
create or replace function postern_internal.find_users_by_phone(p_phone text, p_aud text)
returns setof auth.users
language sql stable security invoker
as $$
  select u.*
  from auth.users as u
  where u.phone = p_phone
    and postern_internal.is_here(u.instance_id)
    and coalesce(u.aud, p_aud) is not distinct from p_aud
    and u.is_sso_user is not true
$$;

-- Whose account an e-mail address is for sign-up and e-mail change: the owner of any identity with that
-- address in the default linking domain, else the user with it. Null when nobody's.
-- A sub-select, no join: planned while the tables are empty, that would read all users.
create or replace function postern_internal.owner_of_email(p_email text, p_context jsonb)
returns uuid
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_owner uuid;
begin
  select i.user_id into v_owner
  from auth.identities as i
  where i.email = lower(p_email)
    and postern_internal.linking_domain(i.provider, p_context) = 'default'
    and (select coalesce(u.aud, p_context ->> 'aud') from auth.users as u where u.id = i.user_id) = p_context ->> 'aud'
  order by i.created_at, i.id
  limit 1;
  if v_owner is null then
    select u.id into v_owner from postern_internal.find_users_by_email(p_email, p_context ->> 'aud') as u;
  end if;
  return v_owner;
end;
$$;

-- Locks a user's row until the end of the transaction; null when there is none. First in the lock order.
create or replace function postern_internal.lock_user(p_user_id uuid)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  select u.* into v_user
  from auth.users as u
  where u.id = p_user_id and postern_internal.is_here(u.instance_id)
  for no key update;
  return v_user;
end;
$$;

-- The same, by e-mail address or phone number. Nobody is found who lost it while this waited for the lock.
create or replace function postern_internal.lock_user_by_email(p_email text, p_aud text)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  select u.* into v_user
  from auth.users as u
  where u.id = (select f.id from postern_internal.find_users_by_email(p_email, p_aud) as f)
    and lower(u.email) = lower(p_email)
  for no key update;
  return v_user;
end;
$$;

create or replace function postern_internal.lock_user_by_phone(p_phone text, p_aud text)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  select u.* into v_user
  from auth.users as u
  where u.id = (select f.id from postern_internal.find_users_by_phone(p_phone, p_aud) as f)
    and u.phone = p_phone
  for no key update;
  return v_user;
end;
$$;

-- Whether the user is banned at this moment.
create or replace function postern_internal.is_banned(p_user auth.users)
returns boolean
language sql stable security invoker
as $$
  select coalesce(p_user.banned_until > postern_internal.clock(), false)
$$;
