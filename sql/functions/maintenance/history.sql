-- Rules of maintenance for Postern's own history.

-- Delivered and given-up messages: see outbox/clean_outbox.sql.
create or replace function postern_internal.maintain_outbox(p_now timestamptz, p_context jsonb, p_limit int)
returns bigint
language sql volatile security invoker set search_path = ''
as $$
  select postern_internal.clean_outbox()::bigint
$$;

-- The partitions of postern.events that hold one month each, by the first day of the month (UTC).
create or replace function postern_internal.event_months()
returns table (partition regclass, month timestamptz)
language sql stable security invoker set search_path = ''
as $$
  select i.inhrelid::regclass, (replace(substr(c.relname, 8), '_', '-') || '-01 00:00:00+00')::timestamptz
  from pg_catalog.pg_inherits as i
  join pg_catalog.pg_class as c on c.oid = i.inhrelid
  where i.inhparent = 'postern.events'::regclass and c.relname ~ '^events_\d{4}_\d{2}$'
$$;

-- Events past their retention: whole months by dropping their table, single rows where no month was made ahead. A table
-- is not waited for longer than the lock_timeout of maintain(), because requests would queue behind.
create or replace function postern_internal.maintain_events(p_now timestamptz, p_context jsonb, p_limit int)
returns bigint
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_before timestamptz := p_now - make_interval(secs => (p_context #>> '{retention,events}')::float);
  v_partition regclass;
  v_rows bigint;
  v_count bigint := 0;
begin
  for v_partition in
    select m.partition from postern_internal.event_months() as m where m.month + interval '1 month' <= v_before
  loop
    select greatest(c.reltuples, 0)::bigint into v_rows from pg_catalog.pg_class as c where c.oid = v_partition;
    execute format('drop table %s', v_partition);
    v_count := v_count + v_rows;
  end loop;
  delete from postern.events_default as e
  where e.ctid = any (array(
    select o.ctid from postern.events_default as o where o.created_at < v_before limit p_limit for update skip locked));
  get diagnostics v_rows = row_count;
  return v_count + v_rows;
end;
$$;

-- Tables for the events of the next two months. Never for the running one: its rows may be in the default partition,
-- and moving them would stop requests. Attaching locks only the default partition against writers, which nobody
-- writes to any more once months are made.
create or replace function postern_internal.maintain_event_partitions(p_now timestamptz, p_context jsonb, p_limit int)
returns bigint
language plpgsql volatile security invoker set search_path = '' set timezone = 'UTC'
as $$
declare
  v_first timestamptz;
  v_next timestamptz;
  v_name text;
  v_count bigint := 0;
begin
  for i in 1..2 loop
    v_first := date_trunc('month', p_now) + make_interval(months => i);
    v_next := v_first + interval '1 month';
    v_name := 'events_' || to_char(v_first, 'YYYY_MM');
    continue when to_regclass('postern.' || v_name) is not null
      or exists (
        select from postern.events_default as e where e.created_at >= v_first and e.created_at < v_next);
    execute format(
      'create table postern.%I (like postern.events including defaults including indexes)', v_name);
    execute format(
      'alter table postern.events attach partition postern.%I for values from (%L) to (%L)', v_name, v_first, v_next);
    v_count := v_count + 1;
  end loop;
  return v_count;
end;
$$;
