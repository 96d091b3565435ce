-- Claims the next pass: true for the one process that may begin it, because the last began at least p_interval ago.
-- Writes: postern.maintenance.
create or replace function postern_internal.begin_maintenance(p_interval interval)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
begin
  insert into postern.maintenance as m (rule, ran_at) values ('pass', v_now)
  on conflict (rule) do update set ran_at = v_now where m.ran_at <= v_now - p_interval;
  return found;
end;
$$;

-- One batch of one rule, to be a transaction of its own. rows: how many were changed, null while another process is at
-- it (an advisory lock, held until the transaction ends); is_done: nothing is left of the rule for now.
-- Rows that a request holds are left for the next pass. Children of a row are waited for two seconds at most
-- (55P03). Raises: validation_failed (400) for an unknown rule. Writes: as the rule says, and postern.maintenance.
create or replace function postern_internal.maintain(p_rule text, out rows bigint, out is_done boolean)
language plpgsql volatile security invoker
set search_path = '' set lock_timeout = '2s' set synchronize_seqscans = off
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_context jsonb := postern_internal.context() || '{"actor": "maintenance", "ip": null}';
  v_rule record;
begin
  if not pg_try_advisory_xact_lock(hashtext('postern'), hashtext('maintenance')) then
    return;
  end if;
  select r.* into v_rule from postern_internal.maintenance_rules() as r where r.rule = p_rule;
  if v_rule.rule is null then
    perform postern_internal.fail(400, 'validation_failed', format('There is no maintenance rule %L', p_rule));
  end if;
  if v_rule.target is null then
    execute format('select postern_internal.%I($1, $2, $3)', 'maintain_' || p_rule)
    into rows using v_now, v_context, v_rule.batch;
  else
    execute format(
      'delete from %1$s where ctid = any (array(select ctid from %1$s where %2$s limit $3 for update skip locked))',
      v_rule.target, v_rule.condition)
    using v_now, v_context, v_rule.batch;
    get diagnostics rows = row_count;
  end if;
  is_done := rows < v_rule.batch;
  insert into postern.maintenance as m (rule, ran_at, rows_total) values (p_rule, v_now, rows)
  on conflict (rule) do update set ran_at = v_now, rows_total = m.rows_total + excluded.rows_total;
end;
$$;

-- Remembers that a rule failed, for `postern doctor`.
create or replace function postern_internal.note_maintenance_failure(p_rule text, p_error text)
returns void
language sql volatile security invoker set search_path = ''
as $$
  insert into postern.maintenance as m (rule, ran_at, last_error, failed_at)
  values (p_rule, postern_internal.clock(), left(p_error, 1000), postern_internal.clock())
  on conflict (rule) do update set last_error = excluded.last_error, failed_at = excluded.failed_at
$$;

-- See the comment on the function. Security definer as all of schema postern: see admin/who.sql.
create or replace function postern.run_maintenance()
returns table (rule text, rows bigint)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_step record;
begin
  for rule in select r.rule from postern_internal.maintenance_rules() as r loop
    rows := 0;
    loop
      begin
        select m.rows, m.is_done into v_step from postern_internal.maintain(rule) as m;
      exception when lock_not_available then
        exit; -- what a request holds is left for the next pass
      end;
      if v_step.rows is null then
        perform postern_internal.fail(409, 'conflict', 'Maintenance is running in another session; try again later');
      end if;
      rows := rows + v_step.rows;
      exit when v_step.is_done;
    end loop;
    return next;
  end loop;
end;
$$;
comment on function postern.run_maintenance() is
'Runs one pass of maintenance now, in your transaction, and returns how many rows each rule changed. The server does the same once an hour in small transactions: prefer it on a database that was never cleaned.
Errors: conflict (PT409) while another session is at it.
Example: select * from postern.run_maintenance() where rows > 0;';
