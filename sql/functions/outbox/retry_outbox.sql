-- Sends a message that is dead, or waiting for its next attempt, now, with a full set of attempts. Security definer: see
-- admin/who.sql.
-- Raises: outbox_not_found (404), outbox_not_retryable (422): delivered, dropped, being sent, or
--   expired.
-- Locks: the row. Writes: outbox.
create or replace function postern.retry_outbox(p_id bigint)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_state text;
begin
  update postern.outbox as o
  set state = 'queued', attempts = 0, next_attempt_at = postern_internal.clock(), finished_at = null
  where o.id = p_id and o.state in ('dead', 'queued')
    and (o.expires_at is null or o.expires_at > postern_internal.clock());
  if not found then
    select case when o.state in ('dead', 'queued') then 'expired' else o.state end into v_state
    from postern.outbox as o where o.id = p_id;
    if v_state is null then
      perform postern_internal.fail(404, 'outbox_not_found', 'No such message');
    end if;
    perform postern_internal.fail(422, 'outbox_not_retryable',
      format('A message that is %s cannot be sent again', v_state));
  end if;
  perform postern_internal.wake_outbox();
end;
$$;
comment on function postern.retry_outbox(bigint) is
  'Sends a dead or waiting message now. Its link or code may have expired meanwhile; a text message whose code has is not sent again.
Example: select postern.retry_outbox(id) from postern.list_outbox(''dead'');';
