-- Webhooks: who is told of events (functions/webhooks), and addresses that get no message any more.

create table postern.webhooks (
  id uuid primary key,
  url text not null,
  event_types text[] not null,   -- user.created, user.*; empty: all
  description text not null,
  is_enabled boolean not null,
  disabled_reason text,          -- null unless the receiver brought it about
  created_at timestamptz not null,
  updated_at timestamptz not null
);
comment on table postern.webhooks is
  'Addresses that are told of events; see postern.create_webhook() and docs/webhooks.md.';

create table postern.webhook_secrets (
  id uuid primary key,           -- the secret is sealed for it (spec/05 section 8)
  webhook_id uuid not null references postern.webhooks (id) on delete cascade,
  secret text not null,          -- whsec_..., may be sealed
  created_at timestamptz not null,
  expires_at timestamptz         -- signs until then; null for the newest one
);
create index webhook_secrets_webhook_idx on postern.webhook_secrets (webhook_id);
create index webhook_secrets_expires_idx on postern.webhook_secrets (expires_at) where expires_at is not null;
comment on table postern.webhook_secrets is
  'What deliveries are signed with: one secret for each webhook, several for a while after a rotation.';

-- Messages about events. They keep no foreign keys: an event may be past its retention, a webhook deleted.
alter table postern.outbox add column webhook_id uuid, add column event_id bigint;
comment on column postern.outbox.webhook_id is 'Of a message of kind webhook: whom it tells of the event.';

-- Calls of hooks that SQL callers queued are a kind of their own from now on.
alter table postern.outbox drop constraint outbox_kind_check;
update postern.outbox set kind = 'hook' where kind = 'webhook';
alter table postern.outbox add constraint outbox_kind_check check (kind in ('mail', 'sms', 'hook', 'webhook'));

-- Kind by kind, and webhook by webhook: the messages that pile up for one do not hide those of others.
drop index postern.outbox_due_idx;
create index outbox_due_idx on postern.outbox (kind, next_attempt_at) where state in ('queued', 'sending');
create index outbox_webhook_due_idx on postern.outbox (webhook_id, next_attempt_at)
  where kind = 'webhook' and state in ('queued', 'sending');
create index outbox_webhook_dead_idx on postern.outbox (webhook_id) where kind = 'webhook' and state = 'dead';
create index outbox_webhook_idx on postern.outbox (webhook_id, event_id) where kind = 'webhook';

-- Whether NOTIFY tells of events: a row is there while it does.
create table postern.event_notifications (
  is_only_row boolean primary key default true check (is_only_row),
  since timestamptz not null
);
comment on table postern.event_notifications is
  'Holds a row while NOTIFY postern_events tells of events; see postern.notify_events().';

-- A trigger, because events are written in several places, some of them many at a time. What it does is in
-- functions/webhooks/announce_event.sql, which takes the place of this body in the same transaction.
create function postern_internal.announce_event()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return new;
end;
$$;
create trigger announce_event before insert on postern.events
  for each row execute function postern_internal.announce_event();

create table postern.suppressed_addresses (
  address text primary key,      -- e-mail address in lower case, or the digits of a phone number
  reason text not null,
  actor text not null,
  created_at timestamptz not null
);
comment on table postern.suppressed_addresses is
  'Addresses and numbers that no message is sent to; see postern.suppress_address().';
