-- The end of accounts that were deleted softly: what is left of them goes for good, by hand or by maintenance.

-- See the comment on the function.
-- Raises: validation_failed (400). Locks: the users, in id order. Writes: as remove_account.
create or replace function postern.purge_deleted(older_than interval)
returns table (outcome text, reason text, user_count bigint, user_ids uuid[])
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_context jsonb := postern_internal.context();
  v_user auth.users;
  v_ids uuid[] := array[]::uuid[];
  v_reasons text[] := array[]::text[]; -- of each of them; '' for those who are gone
begin
  if coalesce(older_than < interval '0', true) then
    perform postern_internal.fail(400, 'validation_failed', 'Say how long ago the users were deleted: 0 or more');
  end if;
  for v_user in
    select u.* from auth.users as u
    where u.deleted_at <= postern_internal.clock() - older_than and postern_internal.is_here(u.instance_id)
    order by u.id
    for update
  loop
    v_ids := v_ids || v_user.id;
    v_reasons := v_reasons || coalesce(postern_internal.retire_account(v_user, v_context), '');
  end loop;
  return query
    select case r.reason when '' then 'purged' else 'kept' end, nullif(r.reason, ''), count(*), array_agg(r.id order by r.n)
    from unnest(v_ids, v_reasons) with ordinality as r (id, reason, n)
    group by r.reason
    order by r.reason <> '', count(*) desc, r.reason;
end;
$$;
comment on function postern.purge_deleted(interval) is
'Deletes for good the users who were deleted softly at least so long ago, with their ids, and returns what became of them: one row for those who are gone (outcome purged), and one for each reason why some stay (outcome kept): a foreign key or a trigger of your tables that holds on to them. POSTERN_RETENTION_DELETED_USERS lets maintenance do the same.
older_than: how long ago the soft deletion must be; 0 takes all.
Errors: validation_failed (PT400).
Example: select * from postern.purge_deleted(''90 days'');
Example: select user_count, reason from postern.purge_deleted(''90 days'') where outcome = ''kept'';';

-- Deletes an account whose time has come, which the caller has locked. Returns null; or why it stays: a table or a trigger
-- of the application holds on to it, then nothing of it has changed. What is not this user's fault is raised.
-- Writes: as remove_account; retention_refusals.
create or replace function postern_internal.retire_account(p_user auth.users, p_context jsonb)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.end_sessions(p_user.id, 'retention', p_context);
  perform postern_internal.remove_account(p_user, false, p_context);
  delete from postern.retention_refusals as r where r.user_id = p_user.id;
  perform postern_internal.check_references();
  return null;
exception when others then
  if sqlstate ~ '^(40|53|55|57|58|XX)' then
    raise;
  end if;
  return sqlerrm;
end;
$$;

-- Checks now what foreign keys to users would check at the end of the transaction (initially deferred): so that one user
-- who is held on to does not take all others along. Raises: foreign_key_violation.
create or replace function postern_internal.check_references()
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_keys text := (
    select string_agg(format('%I.%I', n.nspname, c.conname), ', ')
    from pg_catalog.pg_constraint as c
    join pg_catalog.pg_namespace as n on n.oid = c.connamespace
    where c.contype = 'f' and c.condeferred and c.confrelid = 'auth.users'::regclass);
begin
  if v_keys is not null then
    execute format('set constraints %s immediate', v_keys);
    execute format('set constraints %s deferred', v_keys);
  end if;
end;
$$;
