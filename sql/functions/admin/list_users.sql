-- GET /admin/users (spec/01 section 12.1), users of one audience. p_filter '' for all, else part of the address
-- or (in any case) of user_metadata.full_name; % and _ are wildcards. User objects of lists have identities null.

-- By page, with the exact total. The count reads all users; so does the order, unless the optional index of the auth
-- schema on (created_at desc) is there (spec/05 section 4).
create or replace function postern_internal.list_users(
  p_filter text,
  p_is_ascending boolean,
  p_offset bigint,
  p_limit bigint,
  p_context jsonb,
  out total bigint,
  out users jsonb
)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_aud text := p_context ->> 'aud';
  v_pattern text := case when p_filter <> '' then '%' || p_filter || '%' end;
begin
  select count(*) into total from auth.users as u
  where postern_internal.is_here(u.instance_id) and (u.aud = v_aud or u.aud is null)
    and (v_pattern is null or u.email like v_pattern or u.raw_user_meta_data ->> 'full_name' ilike v_pattern);
  if p_offset >= total then
    users := '[]';
  elsif p_is_ascending then
    users := postern_internal.list_json(array(
      select u.id from auth.users as u
      where (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null) and (u.aud = v_aud or u.aud is null)
        and (v_pattern is null or u.email like v_pattern or u.raw_user_meta_data ->> 'full_name' ilike v_pattern)
      order by u.created_at, u.id
      offset p_offset limit p_limit));
  else
    users := postern_internal.list_json(array(
      select u.id from auth.users as u
      where (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null) and (u.aud = v_aud or u.aud is null)
        and (v_pattern is null or u.email like v_pattern or u.raw_user_meta_data ->> 'full_name' ilike v_pattern)
      order by u.created_at desc, u.id desc
      offset p_offset limit p_limit));
  end if;
end;
$$;

-- By cursor: the p_limit users after (p_created_at, p_id), oldest first. next_created_at and next_id are the cursor
-- of the next page, null at the end.
create or replace function postern_internal.list_users_after(
  p_filter text,
  p_created_at timestamptz,
  p_id uuid,                -- null: from the beginning
  p_limit int,
  p_context jsonb,
  out users jsonb,
  out next_created_at timestamptz,
  out next_id uuid
)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_pattern text := case when p_filter <> '' then '%' || p_filter || '%' end;
  v_ids uuid[];
begin
  v_ids := array(
    select u.id from auth.users as u
    where (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null)
      and (u.aud = p_context ->> 'aud' or u.aud is null)
      and (p_id is null or (u.created_at, u.id) > (p_created_at, p_id))
      and (v_pattern is null or u.email like v_pattern or u.raw_user_meta_data ->> 'full_name' ilike v_pattern)
    order by u.created_at, u.id
    limit p_limit + 1);
  if cardinality(v_ids) > p_limit then
    next_id := v_ids[p_limit];
    select u.created_at into next_created_at from auth.users as u where u.id = next_id;
  end if;
  users := postern_internal.list_json(v_ids[:p_limit]);
end;
$$;

-- GET /admin/users?email= and ?phone=: whoever has exactly that address (any case) and that number (digits only), SSO
-- accounts too, newest first. Null: it may be any; one of them is given. Found by the indexes on either.
create or replace function postern_internal.look_up_users(
  p_email text,
  p_phone text,
  p_context jsonb,
  out total bigint,
  out users jsonb
)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_ids uuid[];
begin
  if p_email is not null then
    v_ids := array(
      select u.id from auth.users as u
      where (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null)
        and lower(u.email) = lower(p_email) and coalesce(u.aud, p_context ->> 'aud') = p_context ->> 'aud'
        and (p_phone is null or u.phone = p_phone)
      order by u.created_at desc, u.id desc);
  else
    v_ids := array(
      select u.id from auth.users as u
      where postern_internal.is_here(u.instance_id) and u.phone = p_phone
        and coalesce(u.aud, p_context ->> 'aud') = p_context ->> 'aud');
  end if;
  total := cardinality(v_ids);
  users := postern_internal.list_json(v_ids);
end;
$$;

-- User objects of a list, in the order of the ids.
create or replace function postern_internal.list_json(p_ids uuid[])
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select coalesce(
    jsonb_agg(postern_internal.user_json(u) || '{"identities": null}' order by i.n), '[]')
  from unnest(p_ids) with ordinality as i (id, n) join auth.users as u on u.id = i.id
$$;

-- GET /admin/users/{id}. Raises: user_not_found (404).
create or replace function postern_internal.admin_get_user(p_user_id uuid)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  select u.* into v_user from auth.users as u
  where u.id = p_user_id and postern_internal.is_here(u.instance_id);
  if v_user.id is null then
    perform postern_internal.fail(404, 'user_not_found', 'User not found');
  end if;
  return postern_internal.user_document(v_user);
end;
$$;

-- See the comment on the function. Raises: user_not_found (404).
create or replace function postern.get_user(who text)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.find_user(who);
begin
  return postern_internal.user_document(v_user) || postern_internal.user_orders(v_user.id);
end;
$$;
comment on function postern.get_user(text) is
'Returns a user as GET /admin/users/{id} does: one JSON object with identities and factors, without secrets. Only here it has lock, while that of postern.lock_user() holds, and password_change, where postern.require_password_change() demands one.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select jsonb_pretty(postern.get_user(''ann@example.com''));';

-- Whether a text is part of the address, number or name of a user, in any case, or the user's id. It is about everybody
-- where it is empty or null. Inlined into its callers, therefore without a SET clause.
create or replace function postern_internal.is_about(p_user auth.users, p_query text)
returns boolean
language sql stable security invoker
as $$
  select coalesce(p_query, '') = ''
    or p_user.id::text = lower(p_query)
    or strpos(lower(p_user.email), lower(p_query)) > 0
    or p_query ~ '^[+0-9 ]+$' and strpos(p_user.phone, translate(p_query, '+ ', '')) > 0
    or strpos(lower(p_user.raw_user_meta_data ->> 'full_name'), lower(p_query)) > 0
$$;

-- The ids of the users that find_users lists: those after a user, newest first; whoever has no date, as rows made by hand,
-- comes last. Two statements, so that the index on created_at that the index worker makes gives the order of the first.
-- Raises: user_not_found (404) where p_after is gone.
create or replace function postern_internal.page_of_users(p_query text, p_max_rows int, p_after uuid)
returns uuid[]
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_at timestamptz := timestamptz 'infinity';
  v_ids uuid[] := array[]::uuid[];
begin
  if p_after is not null then
    select u.created_at into v_at from auth.users as u
    where u.id = p_after and postern_internal.is_here(u.instance_id);
    if not found then
      perform postern_internal.fail(
        404, 'user_not_found', format('The list cannot go on after user %s, who is gone', p_after));
    end if;
  end if;
  if v_at is not null then
    v_ids := array(
      select u.id from auth.users as u
      where (u.instance_id = postern_internal.nil_uuid() or u.instance_id is null)
        and postern_internal.is_about(u, p_query)
        and (u.created_at, u.id) < (v_at, coalesce(p_after, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
      order by u.created_at desc, u.id desc
      limit p_max_rows);
  end if;
  if cardinality(v_ids) >= p_max_rows then
    return v_ids;
  end if;
  return v_ids || array(
    select u.id from auth.users as u
    where postern_internal.is_here(u.instance_id)
      and postern_internal.is_about(u, p_query)
      and u.created_at is null and (v_at is not null or u.id < p_after)
    order by u.id desc
    limit p_max_rows - cardinality(v_ids));
end;
$$;

-- See the comment on the function. Raises: user_not_found (404).
create or replace function postern.find_users(query text default '', max_rows int default 50, after uuid default null)
returns table (
  id uuid,
  email text,
  phone text,
  full_name text,
  role text,
  created_at timestamptz,
  last_sign_in_at timestamptz,
  confirmed_at timestamptz,
  banned_until timestamptz,
  deleted_at timestamptz,
  lock_reason text
)
language sql stable security definer set search_path = ''
as $$
  select u.id, u.email::text, u.phone, u.raw_user_meta_data ->> 'full_name', u.role::text, u.created_at,
    u.last_sign_in_at, u.confirmed_at, case when postern_internal.is_banned(u) then u.banned_until end, u.deleted_at, l.reason
  from unnest(postern_internal.page_of_users(query, max_rows, after)) with ordinality as p (id, n)
  join auth.users as u on u.id = p.id
  left join postern.locked_users as l on l.user_id = u.id and l.banned_until = u.banned_until
  order by p.n
$$;
comment on function postern.find_users(text, int, uuid) is
'Lists users, newest first: all, or those whose address, number or user_metadata.full_name holds a text. lock_reason is that of postern.lock_user(), while the lock holds.
query: part of an e-mail address, phone number or name, in any case; or a whole id; default: everybody.
max_rows: at most so many; default: 50.
after: the id of the last user of the page before: a page begins after that user, whoever was added meanwhile; default: the first page. The whole list is read page by page through the index on created_at that GOTRUE_INDEX_WORKER_ENSURE_USER_SEARCH_INDEXES_EXIST makes.
Errors: user_not_found (PT404) where the user of after is gone.
Example: select email, last_sign_in_at from postern.find_users(''@example.com'');
Example: select id, email from postern.find_users(max_rows => 100, after => ''63c02ba7-b5f9-4b92-9a83-3d898f02d85b'');';

-- See the comment on the function.
create or replace function postern.count_users(query text default '')
returns bigint
language sql stable security definer set search_path = ''
as $$
  select count(*)
  from auth.users as u
  where postern_internal.is_here(u.instance_id) and postern_internal.is_about(u, query)
$$;
comment on function postern.count_users(text) is
'Counts the users that postern.find_users would list without a limit.
query: part of an e-mail address, phone number or name, in any case; or a whole id; default: everybody.
Example: select postern.count_users(''@example.com'');';
