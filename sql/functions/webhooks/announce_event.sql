-- Tells of an event that is being written, in its transaction: rolled back, nobody is told. Called by a trigger on
-- postern.events, wherever events come from. Where nobody wants to be told it costs one look into two empty tables, a
-- few microseconds (docs/webhooks.md). Writes: outbox.
create or replace function postern_internal.announce_event()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_webhook postern.webhooks;
  v_is_queued boolean := false;
begin
  if not exists (
    select from postern.webhooks as w where w.is_enabled union all select from postern.event_notifications)
  then
    return new;
  end if;
  for v_webhook in
    select w.* from postern.webhooks as w
    where w.is_enabled and postern_internal.is_event_wanted(new.type, w.event_types)
  loop
    perform postern_internal.queue_event(new, v_webhook);
    v_is_queued := true;
  end loop;
  if v_is_queued then
    perform postern_internal.wake_outbox();
  end if;
  if exists (select from postern.event_notifications) then
    perform pg_catalog.pg_notify('postern_events', jsonb_build_object(
      'id', new.id, 'type', new.type, 'user_id', new.user_id, 'session_id', new.session_id,
      'created_at', postern_internal.rfc3339(new.created_at))::text);
  end if;
  return new;
end;
$$;

-- Queues the message that tells a webhook of an event. The body is made here, and is the same for each attempt:
-- {"type", "timestamp", "data"}, as Standard Webhooks have it. The row names no user: what is queued for a user goes
-- when the user is deleted, news about them does not. Writes: outbox.
create or replace function postern_internal.queue_event(p_event postern.events, p_webhook postern.webhooks)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  insert into postern.outbox (
    kind, template, recipient, webhook_id, event_id, payload, next_attempt_at, created_at)
  values (
    'webhook', p_event.type, p_webhook.url, p_webhook.id, p_event.id,
    jsonb_build_object(
      'type', p_event.type, 'timestamp', postern_internal.rfc3339(p_event.created_at),
      'data', p_event.data || jsonb_build_object(
        'event_id', p_event.id, 'user_id', p_event.user_id, 'session_id', p_event.session_id, 'actor', p_event.actor)),
    postern_internal.clock(), postern_internal.clock());
end;
$$;

-- Whether a list of types names the type of an event; an empty list names all, user.* all that begin with user. and a dot.
create or replace function postern_internal.is_event_wanted(p_type text, p_types text[])
returns boolean
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_wanted text;
begin
  foreach v_wanted in array p_types loop
    if v_wanted in (p_type, '*')
      or v_wanted like '%.*' and starts_with(p_type, left(v_wanted, -1))
    then
      return true;
    end if;
  end loop;
  return cardinality(p_types) = 0;
end;
$$;
