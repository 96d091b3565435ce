-- Rules of maintenance for users and their tokens.

-- Row 10 of spec/07: anonymous users that nobody has used for the time of retention. Other than in the reference a user
-- counts from the last sign of life, not from the first: someone who comes every day keeps the account.
-- Deleted as by an administrator: audit, events and session_ends tell. Whom a table or a trigger of the application
-- holds on to is noted and tried again after a week, so that others get their turn.
create or replace function postern_internal.maintain_anonymous_users(p_now timestamptz, p_context jsonb, p_limit int)
returns bigint
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_before timestamptz := p_now - make_interval(secs => (p_context #>> '{retention,anonymous_users}')::float);
begin
  return postern_internal.sweep_users(array(
    select u.id
    from auth.users as u
    where u.is_anonymous and u.deleted_at is null and postern_internal.is_here(u.instance_id)
      and u.created_at < v_before
      and coalesce(u.last_sign_in_at < v_before, true)
      and not exists (
        select from auth.sessions as s where s.user_id = u.id and postern_internal.last_active(s) >= v_before)
      and not exists (select from postern.retention_refusals as r where r.user_id = u.id)
    limit p_limit
    for update of u skip locked), p_now, p_context);
end;
$$;

-- Users who were deleted softly longer ago than the time of retention: what postern.purge_deleted does by hand.
create or replace function postern_internal.maintain_deleted_users(p_now timestamptz, p_context jsonb, p_limit int)
returns bigint
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_before timestamptz := p_now - make_interval(secs => (p_context #>> '{retention,deleted_users}')::float);
begin
  return postern_internal.sweep_users(array(
    select u.id
    from auth.users as u
    where u.deleted_at < v_before and postern_internal.is_here(u.instance_id)
      and not exists (select from postern.retention_refusals as r where r.user_id = u.id)
    limit p_limit
    for update of u skip locked), p_now, p_context);
end;
$$;

-- Deletes users whom the caller has locked, and notes who stays, because something of the application holds on to them.
-- Returns how many went. Writes: as retire_account; retention_refusals.
create or replace function postern_internal.sweep_users(p_ids uuid[], p_now timestamptz, p_context jsonb)
returns bigint
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
  v_reason text;
  v_count bigint := 0;
begin
  for v_user in select u.* from auth.users as u where u.id = any (p_ids) order by u.id loop
    v_reason := postern_internal.retire_account(v_user, p_context);
    if v_reason is null then
      v_count := v_count + 1;
    else
      insert into postern.retention_refusals (user_id, reason, refused_at) values (v_user.id, v_reason, p_now);
    end if;
  end loop;
  return v_count;
end;
$$;

comment on table postern.retention_refusals is
  'Users that maintenance could not delete, and why; it tries again after a week.';

-- Mailed and texted tokens that expired a day ago, with their copies in auth.users: one without the other would be a
-- dead or a stale token for Supabase Auth (spec/05 section 9). updated_at stays: nobody changed the user.
create or replace function postern_internal.maintain_one_time_tokens(p_now timestamptz, p_context jsonb, p_limit int)
returns bigint
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_before timestamp := (p_now - interval '24 hours'
    - make_interval(secs => (p_context #>> '{retention,tokens}')::float)) at time zone 'UTC';
  v_ids uuid[];
begin
  v_ids := array(
    select t.id
    from auth.one_time_tokens as t
    join auth.users as u on u.id = t.user_id
    where greatest(t.created_at, t.updated_at) < v_before
    limit p_limit
    for update skip locked);
  with old as (
    select t.user_id, array_agg(t.token_hash) as hashes
    from auth.one_time_tokens as t
    where t.id = any (v_ids)
    group by t.user_id
  )
  update auth.users as u
  set confirmation_token = case when u.confirmation_token = any (o.hashes) then '' else u.confirmation_token end,
    recovery_token = case when u.recovery_token = any (o.hashes) then '' else u.recovery_token end,
    email_change_token_new =
      case when u.email_change_token_new = any (o.hashes) then '' else u.email_change_token_new end,
    email_change_token_current =
      case when u.email_change_token_current = any (o.hashes) then '' else u.email_change_token_current end,
    phone_change_token = case when u.phone_change_token = any (o.hashes) then '' else u.phone_change_token end,
    reauthentication_token =
      case when u.reauthentication_token = any (o.hashes) then '' else u.reauthentication_token end
  from old as o
  where u.id = o.user_id;
  delete from auth.one_time_tokens as t where t.id = any (v_ids);
  return cardinality(v_ids);
end;
$$;
