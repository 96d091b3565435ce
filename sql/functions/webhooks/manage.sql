-- Webhooks as administrators make them. Documents have the members of the HTTP API (docs/webhooks.md). A secret leaves
-- only where it is made.

-- A webhook as the API shows it.
create or replace function postern_internal.webhook_json(p_webhook postern.webhooks)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_build_object(
    'id', p_webhook.id,
    'url', p_webhook.url,
    'event_types', to_jsonb(p_webhook.event_types),
    'description', p_webhook.description,
    'enabled', p_webhook.is_enabled,
    'disabled_reason', p_webhook.disabled_reason,
    'created_at', postern_internal.rfc3339(p_webhook.created_at),
    'updated_at', postern_internal.rfc3339(p_webhook.updated_at));
end;
$$;

-- What happened to a webhook. The address stays out: it may hold a secret of the receiver's.
create or replace function postern_internal.record_webhook_event(
  p_what text,
  p_webhook postern.webhooks,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.record_event('webhook.' || p_what, null, p_context, jsonb_strip_nulls(jsonb_build_object(
    'webhook_id', p_webhook.id, 'event_types', p_webhook.event_types, 'enabled', p_webhook.is_enabled,
    'reason', p_webhook.disabled_reason)));
end;
$$;

-- A webhook with changes: members that are there and not null.
create or replace function postern_internal.changed_webhook(p_webhook postern.webhooks, p_changes jsonb)
returns postern.webhooks
language plpgsql stable security invoker set search_path = ''
as $$
begin
  p_webhook.url := coalesce(p_changes ->> 'url', p_webhook.url);
  p_webhook.event_types := coalesce(
    postern_internal.texts_of(p_changes -> 'event_types'), p_webhook.event_types, '{}');
  p_webhook.description := coalesce(p_changes ->> 'description', p_webhook.description, '');
  p_webhook.is_enabled := coalesce((p_changes ->> 'enabled')::boolean, p_webhook.is_enabled, true);
  if p_webhook.is_enabled then
    p_webhook.disabled_reason := null;
  end if;
  return p_webhook;
end;
$$;

-- Makes a webhook and returns it with its secret. It gets the event webhook.created first, unless its types leave that out.
-- While a question waits, what it returns means nothing.
-- Raises: validation_failed (400). Writes: webhooks, webhook_secrets, events.
create or replace function postern_internal.create_webhook(
  p_webhook jsonb,
  p_refusal jsonb,          -- what is wrong with the body
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_new postern.webhooks;
  v_secret text;
begin
  perform postern_internal.refuse(p_refusal);
  v_new := postern_internal.changed_webhook(v_new, p_webhook);
  v_new.id := postern_internal.random_uuid();
  v_new.created_at := postern_internal.clock();
  v_new.updated_at := v_new.created_at;
  perform postern_internal.check_webhook(v_new, p_context);
  if postern_internal.is_asking() then
    return jsonb_build_object();
  end if;
  insert into postern.webhooks select v_new.*;
  v_secret := postern_internal.add_webhook_secret(v_new.id, interval '0', p_context);
  if postern_internal.is_asking() then
    return jsonb_build_object();
  end if;
  perform postern_internal.record_webhook_event('created', v_new, p_context);
  return postern_internal.webhook_json(v_new) || jsonb_build_object('secret', v_secret);
end;
$$;

-- Changes a webhook. What is queued follows: it goes to the new address, and waits while the webhook is not enabled.
-- While a question waits, what it returns means nothing.
-- Raises: webhook_not_found (404), validation_failed (400). Locks: the webhook. Writes: webhooks, events.
create or replace function postern_internal.update_webhook(
  p_id uuid,
  p_changes jsonb,
  p_refusal jsonb,          -- what is wrong with the body
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_new postern.webhooks := postern_internal.need_webhook(p_id, p_to_change => true);
begin
  perform postern_internal.refuse(p_refusal);
  v_new := postern_internal.changed_webhook(v_new, p_changes);
  v_new.updated_at := postern_internal.clock();
  perform postern_internal.check_webhook(v_new, p_context);
  if postern_internal.is_asking() then
    return jsonb_build_object();
  end if;
  update postern.webhooks as w
  set url = v_new.url, event_types = v_new.event_types, description = v_new.description,
    is_enabled = v_new.is_enabled, disabled_reason = v_new.disabled_reason, updated_at = v_new.updated_at
  where w.id = v_new.id;
  perform postern_internal.record_webhook_event('updated', v_new, p_context);
  if v_new.is_enabled then
    perform postern_internal.wake_outbox();
  end if;
  return postern_internal.webhook_json(v_new);
end;
$$;

-- One webhook. Raises: webhook_not_found (404).
create or replace function postern_internal.get_webhook(p_id uuid)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return postern_internal.webhook_json(postern_internal.need_webhook(p_id));
end;
$$;

-- All webhooks, the newest first.
create or replace function postern_internal.list_webhooks()
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return coalesce(jsonb_agg(postern_internal.webhook_json(w) order by w.created_at desc, w.id), '[]')
  from postern.webhooks as w;
end;
$$;

-- Deletes a webhook with its secrets; what is queued for it or dead is dropped.
-- Raises: webhook_not_found (404). Locks: the webhook, its messages. Writes: webhooks, outbox, events.
create or replace function postern_internal.delete_webhook(p_id uuid, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_webhook postern.webhooks := postern_internal.need_webhook(p_id, p_to_change => true);
begin
  delete from postern.webhooks as w where w.id = p_id;
  update postern.outbox as o
  set state = 'dropped', payload = '{}', finished_at = postern_internal.clock(), last_error = 'the webhook was deleted'
  where o.webhook_id = p_id and o.kind = 'webhook' and o.state in ('queued', 'sending', 'dead');
  perform postern_internal.record_webhook_event('deleted', v_webhook, p_context);
end;
$$;

-- Queues events of the past for a webhook once more: those from p_from on, to p_to at most (null: to the last), that are of
-- its types and not waiting already. The messages have the ids of the first time. Returns {"queued": how many}.
-- Raises: webhook_not_found (404), validation_failed (400). Writes: outbox.
create or replace function postern_internal.replay_events(p_id uuid, p_from bigint, p_to bigint, p_refusal jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_webhook postern.webhooks := postern_internal.need_webhook(p_id);
  v_event postern.events;
  v_count int := 0;
begin
  perform postern_internal.refuse(p_refusal);
  if p_from is null then
    perform postern_internal.fail(400, 'validation_failed', 'Say from which event on: from_event_id');
  end if;
  for v_event in
    select e.* from postern.events as e
    where e.id between p_from and coalesce(p_to, 9223372036854775807)
      and postern_internal.is_event_wanted(e.type, v_webhook.event_types)
      and not exists (
        select from postern.outbox as o
        where o.webhook_id = p_id and o.event_id = e.id and o.kind = 'webhook' and o.state in ('queued', 'sending'))
    order by e.id
  loop
    perform postern_internal.queue_event(v_event, v_webhook);
    v_count := v_count + 1;
  end loop;
  perform postern_internal.wake_outbox();
  return jsonb_build_object('queued', v_count);
end;
$$;
