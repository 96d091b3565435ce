-- Users by e-mail address: any case, of one audience, no SSO accounts (spec/00 section 7).
-- Inlined into its callers, therefore without a SET clause. At most one row.
create or replace function postern_internal.find_users_by_email(p_email text, p_aud text)
returns setof auth.users
language sql stable security invoker
as $$
  select u.*
  from auth.users as u
  where u.instance_id = postern_internal.nil_uuid()
    and lower(u.email) = lower(p_email)
    and u.aud = p_aud
    and not u.is_sso_user
$$;

-- Users by phone number (digits only), the same way.
create or replace function postern_internal.find_users_by_phone(p_phone text, p_aud text)
returns setof auth.users
language sql stable security invoker
as $$
  select u.*
  from auth.users as u
  where u.instance_id = postern_internal.nil_uuid()
    and u.phone = p_phone
    and u.aud = p_aud
    and not u.is_sso_user
$$;

-- Whose account an e-mail address is for sign-up and e-mail change: the owner of any identity with that
-- address in the default linking domain, else the user with it. Null when nobody's.
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
    -- no join: before tables are analysed, as in an import, it would begin with all users of the audience
    and (select u.aud from auth.users as u where u.id = i.user_id) = p_context ->> 'aud'
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
  where u.id = p_user_id and u.instance_id = postern_internal.nil_uuid()
  for no key update;
  return v_user;
end;
$$;

-- The same, by e-mail address.
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
