-- Webhooks as SQL callers make them. The rules are those of the HTTP API (webhooks/manage.sql).

-- See the comment on the function. Raises and writes: as create_webhook.
create or replace function postern.create_webhook(
  url text,
  event_types text[] default '{}',
  description text default '',
  enabled boolean default true,
  out id uuid,
  out secret text
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_variable
declare
  v_webhook jsonb := postern_internal.create_webhook(
    jsonb_build_object(
      'url', url, 'event_types', to_jsonb(event_types), 'description', description, 'enabled', enabled),
    null, postern_internal.context());
begin
  id := (v_webhook ->> 'id')::uuid;
  secret := v_webhook ->> 'secret';
end;
$$;
comment on function postern.create_webhook(text, text[], text, boolean) is
'Has an address told of events: each becomes a message of the outbox in the transaction of what happened, signed as Standard Webhooks describe it and delivered with retries (docs/webhooks.md). Returns the id and the secret to verify signatures with, which nobody can read afterwards.
url: https; where it leads is checked at each delivery. Addresses in networks of your own take POSTERN_OUTBOUND_ALLOWED_NETWORKS.
event_types: such as {user.created,session.*}; default: all events.
description: for people.
enabled: default true.
Errors: validation_failed (PT400).
Example: select * from postern.create_webhook(''https://app.example.com/events'');
Example: select id, secret from postern.create_webhook(''https://crm.example.com/hook'', ''{user.*}'', ''CRM'');';

-- See the comment on the function. Raises and writes: as update_webhook.
create or replace function postern.update_webhook(
  webhook_id uuid,
  url text default null,
  event_types text[] default null,
  description text default null,
  enabled boolean default null
)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return postern_internal.update_webhook(
    webhook_id,
    jsonb_build_object(
      'url', url, 'event_types', to_jsonb(event_types), 'description', description, 'enabled', enabled),
    null, postern_internal.context());
end;
$$;
comment on function postern.update_webhook(uuid, text, text[], text, boolean) is
'Changes a webhook: what is given and not null. Returns it as the HTTP API does. Messages that wait follow: they go to the new address. While a webhook is disabled no new messages are made for it, and those that wait stay, for 7 days.
webhook_id: as create_webhook() and list_webhooks() give it.
event_types: an empty list for all events.
Errors: validation_failed (PT400); webhook_not_found (PT404).
Example: select postern.update_webhook(id, enabled => true) from postern.list_webhooks() where disabled_reason = ''gone'';';

-- See the comment on the function. Raises and writes: as delete_webhook.
create or replace function postern.delete_webhook(webhook_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform postern_internal.delete_webhook(webhook_id, postern_internal.context());
end;
$$;
comment on function postern.delete_webhook(uuid) is
'Deletes a webhook with its secrets. Messages that wait for it are dropped.
webhook_id: as create_webhook() and list_webhooks() give it.
Errors: webhook_not_found (PT404).
Example: select postern.delete_webhook(id) from postern.list_webhooks() where url like ''https://old.example.com/%'';';

-- See the comment on the function. Reads: webhooks, webhook_secrets, outbox.
create or replace function postern.list_webhooks()
returns table (
  id uuid,
  url text,
  event_types text[],
  description text,
  is_enabled boolean,
  disabled_reason text,
  secrets int,
  waiting bigint,
  dead bigint,
  created_at timestamptz,
  updated_at timestamptz
)
language sql stable security definer set search_path = ''
as $$
  select w.id, w.url, w.event_types, w.description, w.is_enabled, w.disabled_reason, (
      select count(*)::int from postern.webhook_secrets as s
      where s.webhook_id = w.id and (s.expires_at is null or s.expires_at > postern_internal.clock())),
    (select count(*) from postern.outbox as o
      where o.webhook_id = w.id and o.kind = 'webhook' and o.state in ('queued', 'sending')),
    (select count(*) from postern.outbox as o where o.webhook_id = w.id and o.kind = 'webhook' and o.state = 'dead'),
    w.created_at, w.updated_at
  from postern.webhooks as w
  order by w.created_at desc, w.id
$$;
comment on function postern.list_webhooks() is
'Lists the webhooks, the newest first: how many secrets sign at the moment, how many messages wait, and how many are dead. disabled_reason is gone where the receiver answered 410.
Example: select url, is_enabled, waiting, dead from postern.list_webhooks();';

-- See the comment on the function. Raises and writes: as rotate_webhook_secret.
create or replace function postern.rotate_webhook_secret(webhook_id uuid, keep_old interval default '1 day')
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return postern_internal.rotate_webhook_secret(webhook_id, keep_old, null, postern_internal.context()) ->> 'secret';
end;
$$;
comment on function postern.rotate_webhook_secret(uuid, interval) is
'Gives a webhook a new secret and returns it. For a while deliveries are signed with the old one as well, so that no receiver has to change at the same moment.
webhook_id: as create_webhook() and list_webhooks() give it.
keep_old: how long, 0 to 30 days; default: a day.
Errors: validation_failed (PT400); webhook_not_found (PT404).
Example: select postern.rotate_webhook_secret(id) from postern.list_webhooks() where description = ''CRM'';
Example: select postern.rotate_webhook_secret(id, keep_old => ''0'') from postern.list_webhooks(); -- it leaked';

-- See the comment on the function. Reads: outbox.
create or replace function postern.list_webhook_deliveries(
  only_webhook uuid default null,
  only_state text default null,
  max_rows int default 100
)
returns table (
  id bigint,
  webhook_id uuid,
  event_id bigint,
  event_type text,
  url text,
  state text,
  attempts int,
  last_error text,
  next_attempt_at timestamptz,
  created_at timestamptz,
  finished_at timestamptz
)
language sql stable security definer set search_path = ''
as $$
  select o.id, o.webhook_id, o.event_id, o.template, o.recipient, o.state, o.attempts, o.last_error, o.next_attempt_at,
    o.created_at, o.finished_at
  from postern.outbox as o
  where o.kind = 'webhook'
    and (only_webhook is null or o.webhook_id = only_webhook)
    and (only_state is null or o.state = only_state)
  order by o.event_id desc, o.id desc
  limit max_rows
$$;
comment on function postern.list_webhook_deliveries(uuid, text, int) is
'Lists messages to webhooks, those about the newest events first: delivered ones for 7 days, dead ones for 30. Dead ones are sent again by retry_outbox(id), or all of them by retry_dead_outbox(''webhook'').
only_webhook: those to this webhook; default: to all.
only_state: queued, sending, sent, dead or dropped; default: all.
max_rows: at most so many; default: 100.
Example: select event_type, url, attempts, last_error from postern.list_webhook_deliveries(only_state => ''dead'');';

-- See the comment on the function. Raises and writes: as replay_events of the HTTP API.
create or replace function postern.replay_events(webhook_id uuid, from_id bigint, to_id bigint default null)
returns int
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return (postern_internal.replay_events(webhook_id, from_id, to_id, null) ->> 'queued')::int;
end;
$$;
comment on function postern.replay_events(uuid, bigint, bigint) is
'Sends a webhook events of the past, of its types, and returns how many. The messages carry the ids of the first time, so a receiver that remembers ids does nothing twice. Those that wait already are left out.
webhook_id: as create_webhook() and list_webhooks() give it; a disabled one gets them when it is enabled.
from_id: the first event, an id of list_events().
to_id: the last one; default: the newest.
Errors: validation_failed (PT400); webhook_not_found (PT404).
Example: select postern.replay_events(w.id, 4711) from postern.list_webhooks() as w where w.description = ''CRM'';';
