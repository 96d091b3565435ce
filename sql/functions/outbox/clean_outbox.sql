-- Deletes finished messages: delivered and dropped ones after 7 days, dead ones after 30 days, at
-- most 10,000 per call. Called by maintenance (maintenance/history.sql). What expired, and no worker wants to
-- claim, because none delivers that kind any more, is dead then; so is what waits for 7 days for a webhook to be enabled
-- again. What was queued for a webhook while it was being deleted is dropped.
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
  update postern.outbox as o
  set state = case when w.id is null then 'dropped' else 'dead' end,
    payload = case when w.id is null then '{}' else o.payload end, finished_at = v_now,
    last_error = case when w.id is null then 'the webhook was deleted' else 'the webhook is disabled' end
  from (
    select m.id, m.webhook_id from postern.outbox as m
    where m.kind = 'webhook' and m.state in ('queued', 'sending') and m.next_attempt_at < v_now
  ) as m
  left join postern.webhooks as w on w.id = m.webhook_id
  where o.id = m.id and (w.id is null or not w.is_enabled and o.created_at < v_now - interval '7 days');
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
