-- Lists messages, newest first, without their payload (it holds secrets). Security definer as all of schema postern: see
-- admin/who.sql. Reads: outbox.
create or replace function postern.list_outbox(
  p_state text default null,  -- queued | sending | sent | dead | dropped; null: all
  p_recipient text default null,
  p_limit int default 100
)
returns table (
  id bigint,
  kind text,
  template text,
  recipient text,
  user_id uuid,
  state text,
  attempts int,
  last_error text,
  next_attempt_at timestamptz,
  created_at timestamptz,
  finished_at timestamptz
)
language sql stable security definer set search_path = ''
as $$
  select o.id, o.kind, o.template, o.recipient, o.user_id, o.state, o.attempts, o.last_error,
    o.next_attempt_at, o.created_at, o.finished_at
  from postern.outbox as o
  where (p_state is null or o.state = p_state)
    and (p_recipient is null or lower(o.recipient) = lower(p_recipient))
  order by o.id desc
  limit p_limit;
$$;
comment on function postern.list_outbox(text, text, int) is
  'Mails and other messages, newest first: all, or those of one state or recipient.
Example: select id, recipient, attempts, last_error from postern.list_outbox(''dead'');';
