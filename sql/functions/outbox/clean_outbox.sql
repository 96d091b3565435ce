-- Deletes finished messages: delivered and dropped ones after 7 days, dead ones after 30 days, at
-- most 10,000 per call; and what limits need no longer. Called by every worker once an hour.
-- Returns: how many were deleted. Locks: the rows it deletes, skipping those that others hold.
create or replace function postern_internal.clean_outbox()
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_count int;
begin
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
