-- Takes a message that waits out of the outbox for good. Security definer: see admin/who.sql.
-- Raises: outbox_not_found (404), outbox_not_cancellable (422): it was delivered, dropped, given up, or is being sent.
-- Locks: the row. Writes: outbox.
create or replace function postern.cancel_outbox(p_id bigint)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_state text;
begin
  update postern.outbox as o
  set state = 'dropped', payload = '{}', finished_at = postern_internal.clock(),
    last_error = 'cancelled by ' || (postern_internal.context() ->> 'actor')
  where o.id = p_id and o.state = 'queued';
  if not found then
    select o.state into v_state from postern.outbox as o where o.id = p_id;
    if v_state is null then
      perform postern_internal.fail(404, 'outbox_not_found', 'No such message');
    end if;
    perform postern_internal.fail(422, 'outbox_not_cancellable',
      format('A message that is %s cannot be cancelled', v_state));
  end if;
end;
$$;
comment on function postern.cancel_outbox(bigint) is
  'Cancels a message that waits: it is dropped, with who did it as its last error, and its codes and links are erased from it. They stay good; expire_links() makes them void.
Errors: outbox_not_found (PT404), outbox_not_cancellable (PT422).
Example: select postern.cancel_outbox(id) from postern.list_outbox(''queued'', ''ann@example.com'');';

-- Queues dead messages again. Security definer: see admin/who.sql. Locks: the rows, in id order. Writes: outbox.
create or replace function postern.retry_dead_outbox(p_kind text, p_limit int default 10000)
returns int
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_count int;
begin
  if coalesce(p_kind, '') not in ('mail', 'sms', 'hook', 'webhook') then
    perform postern_internal.fail(400, 'validation_failed', 'The kind is mail, sms, hook or webhook');
  end if;
  with dead as (
    select o.id from postern.outbox as o
    where o.state = 'dead' and o.kind = p_kind and (o.expires_at is null or o.expires_at > v_now)
    order by o.id
    limit p_limit
    for update skip locked
  )
  update postern.outbox as o
  set state = 'queued', attempts = 0, next_attempt_at = v_now, finished_at = null
  from dead as d
  where o.id = d.id;
  get diagnostics v_count = row_count;
  perform postern_internal.wake_outbox();
  return v_count;
end;
$$;
comment on function postern.retry_dead_outbox(text, int) is
  'Sends the dead messages of a kind again, the oldest first, with a full set of attempts, and returns how many: after a mail server or a receiver was mended. Those that expired stay dead.
p_kind: mail, sms, hook or webhook.
p_limit: at most so many; default: 10000.
Errors: validation_failed (PT400).
Example: select postern.retry_dead_outbox(''webhook'');';
