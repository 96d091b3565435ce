-- Hands due messages of one kind to a worker, oldest first: queued ones, and those whose worker
-- let its lease pass. A message belongs to the worker until clock + p_lease; `attempts` is the
-- number of this attempt and must be given back to finish_outbox(). A message for a user who does
-- not exist (any more), or to an address that is suppressed, is dropped, one that came too late
-- (expires_at) is dead; they lose their payload and are not returned. Kind webhook has a way of its
-- own: claim_webhook_message().
-- Locks: the rows it returns, skipping those that others hold. Writes: outbox.
create or replace function postern_internal.claim_outbox(
  p_kind text,
  p_limit int,
  p_lease interval
)
returns table (
  id bigint,
  template text,
  recipient text,
  payload jsonb,
  attempts int,
  created_at timestamptz
)
language plpgsql volatile security invoker set search_path = ''
as $$
#variable_conflict use_column
declare
  v_now timestamptz := postern_internal.clock();
begin
  -- A crash of PostgreSQL that forgets a claim means that a message is sent twice, which "at least
  -- once" allows. So nobody waits for the disk here.
  perform set_config('synchronous_commit', 'off', true);
  return query
  with due as (
    select o.id, coalesce(o.expires_at <= v_now, false) as is_late, s.reason as suppression,
      s.reason is not null or o.user_id is not null and not exists (
        select from auth.users as u where u.id = o.user_id and u.deleted_at is null
      ) as is_unwanted
    from postern.outbox as o
    left join postern.suppressed_addresses as s on s.address = lower(o.recipient)
    where o.state in ('queued', 'sending') and o.next_attempt_at <= v_now and o.kind = p_kind
    order by o.next_attempt_at
    limit p_limit
    for update of o skip locked
  ),
  claimed as (
    update postern.outbox as o
    set state = case when d.is_unwanted then 'dropped' when d.is_late then 'dead' else 'sending' end,
      payload = case when d.is_unwanted or d.is_late then '{}' else o.payload end,
      finished_at = case when d.is_unwanted or d.is_late then v_now end,
      attempts = o.attempts + case when d.is_unwanted or d.is_late then 0 else 1 end,
      last_error = case
        when d.suppression is not null then 'the address is suppressed: ' || d.suppression
        when d.is_late then coalesce(o.last_error, 'expired before it was tried')
        else o.last_error
      end,
      next_attempt_at = v_now + p_lease
    from due as d
    where o.id = d.id
    returning o.*
  )
  select c.id, c.template, c.recipient, c.payload, c.attempts, c.created_at
  from claimed as c
  where c.state = 'sending'
  order by c.id;
end;
$$;
