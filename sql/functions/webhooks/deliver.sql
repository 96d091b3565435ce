-- Hands the due message that has waited longest to a worker, of an enabled webhook that is not in p_busy: those that the
-- worker has enough calls under way to, so that one slow receiver does not take all. Everything else is as with
-- claim_outbox. Secrets are those that sign, the newest first: [{"id", "stored"}].
-- Locks: the first due message of each such webhook, skipping those that others hold. Writes: outbox.
create or replace function postern_internal.claim_webhook_message(p_busy uuid[], p_lease interval)
returns table (
  id bigint,
  type text,
  webhook_id uuid,
  event_id bigint,
  url text,
  secrets jsonb,
  payload jsonb,
  attempts int
)
language plpgsql volatile security invoker set search_path = ''
as $$
#variable_conflict use_column
declare
  v_now timestamptz := postern_internal.clock();
begin
  perform set_config('synchronous_commit', 'off', true); -- see claim_outbox()
  return query
  with due as (
    select m.id, w.id as webhook_id, w.url
    from postern.webhooks as w
    cross join lateral (
      select o.id, o.next_attempt_at from postern.outbox as o
      where o.webhook_id = w.id and o.kind = 'webhook' and o.state in ('queued', 'sending') and o.next_attempt_at <= v_now
      order by o.next_attempt_at
      limit 1
      for update skip locked
    ) as m
    where w.is_enabled and not w.id = any (p_busy)
    order by m.next_attempt_at
    limit 1
  )
  update postern.outbox as o
  set state = 'sending', attempts = o.attempts + 1, next_attempt_at = v_now + p_lease, recipient = d.url
  from due as d
  where o.id = d.id
  returning o.id, o.template, o.webhook_id, o.event_id, o.recipient, (
      select jsonb_agg(jsonb_build_object('id', s.id, 'stored', s.secret) order by s.expires_at desc, s.created_at desc)
      from postern.webhook_secrets as s
      where s.webhook_id = d.webhook_id and (s.expires_at is null or s.expires_at > v_now)
    ), o.payload, o.attempts;
end;
$$;

-- Records what became of a claimed message, as finish_outbox. p_retry_after: the receiver wants no further attempt before
-- that, a day at most; 0: it did not say. One more outcome, gone: the receiver wants no message ever (410); the
-- webhook is disabled, and this message dead. Returns whether the webhook was disabled.
-- Locks: for gone the webhook; the message. Writes: outbox; for gone webhooks, events.
create or replace function postern_internal.finish_webhook_message(
  p_id bigint,
  p_attempts int,
  p_outcome text,
  p_error text,
  p_retry_after interval
)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_webhook postern.webhooks;
begin
  if p_outcome <> 'gone' then
    perform postern_internal.finish_outbox(array[p_id], array[p_attempts], array[p_outcome], array[p_error]);
    update postern.outbox as o
    set next_attempt_at = greatest(o.next_attempt_at, v_now + least(p_retry_after, interval '1 day'))
    where o.id = p_id and o.state = 'queued' and p_retry_after > interval '0';
    return false;
  end if;
  select w.* into v_webhook
  from postern.outbox as o join postern.webhooks as w on w.id = o.webhook_id
  where o.id = p_id
  for update of w;
  update postern.outbox as o
  set state = 'dead', last_error = left(p_error, 1000), finished_at = v_now
  where o.id = p_id and o.state = 'sending' and o.attempts = p_attempts;
  if not found or v_webhook.is_enabled is not true then
    return false;
  end if;
  update postern.webhooks as w
  set is_enabled = false, disabled_reason = 'gone', updated_at = v_now
  where w.id = v_webhook.id
  returning w.* into v_webhook;
  perform postern_internal.record_webhook_event('disabled', v_webhook, '{"actor": "server"}');
  return true;
end;
$$;
