-- Queues a call of a hook over HTTP that carries a mail or a text message, for SQL callers: nobody waits for the answer,
-- so it is delivered after the commit, with retries, like the message itself would be. Writes: outbox.
create or replace function postern_internal.queue_hook(
  p_name text,
  p_recipient text,
  p_user_id uuid,
  p_payload jsonb,          -- all but metadata
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  insert into postern.outbox (kind, template, recipient, user_id, payload, next_attempt_at, created_at)
  values ('hook', p_name, p_recipient, p_user_id,
    postern_internal.hook_metadata(p_name, p_context) || p_payload,
    postern_internal.clock(), postern_internal.clock());
  perform postern_internal.wake_outbox();
end;
$$;
