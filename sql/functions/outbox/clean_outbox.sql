-- Deletes finished messages: delivered and dropped ones after 7 days, dead ones after 30 days, at
-- most 10,000 per call. Called by maintenance (maintenance/history.sql). What expired, and no worker wants to
-- claim, because none delivers that kind any more, is dead then.
-- Returns: how many were deleted. Locks: the rows it deletes, skipping those that others hold.
create or replace function postern_internal.clean_outbox()
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_count int;
begin
  update postern.outbox as o
  set state = 'dead', payload = '{}', finished_at = v_now,
    last_error = coalesce(o.last_error, 'expired before it was tried')
  where o.state = 'queued' and o.expires_at < v_now - interval '1 hour';
  with old as (
    select o.id
    from postern.outbox as o
    where o.finished_at < v_now - interval '7 days'
      and (o.state in ('sent', 'dropped') or o.finished_at < v_now - interval '30 days')
    limit 10000
    for update skip locked
  )
  delete from postern.outbox as o using old where o.id = old.id;
  get diagnostics v_count = row_count;
  perform postern_internal.clean_limits();
  return v_count;
end;
$$;
