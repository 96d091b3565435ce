-- The tables of schema postern: what Postern knows beyond the auth schema.
-- Keyed by the ids of auth.users and auth.sessions, without foreign keys to them: a foreign key would
-- hang our triggers on tables that belong to Supabase Auth as well (DESIGN section 3).

-- What the server last published of its settings, for calls that do not come from a server.
create table postern.settings (
  is_only_row boolean primary key default true check (is_only_row),
  value jsonb not null,
  published_at timestamptz not null default now()
);
comment on table postern.settings is
  'Settings of the server that started last; SQL administration follows them. One row.';

-- Messages to deliver: written in the transaction of the change they announce.
create table postern.outbox (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('mail', 'sms', 'webhook')),
  template text not null,
  recipient text not null,
  user_id uuid,
  payload jsonb not null default '{}',
  state text not null default 'queued'
    check (state in ('queued', 'sending', 'sent', 'dead', 'dropped')),
  attempts int not null default 0,
  last_error text,
  next_attempt_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  finished_at timestamptz
);
create index outbox_due_idx on postern.outbox (next_attempt_at) where state in ('queued', 'sending');
create index outbox_finished_idx on postern.outbox (finished_at) where finished_at is not null;
comment on table postern.outbox is
  'Mails and other messages, delivered at least once; see postern.list_outbox().';

-- One row for each thing that happened to a user, a session, a factor or an identity.
create table postern.events (
  id bigint generated always as identity primary key,
  type text not null,
  user_id uuid,
  session_id uuid,
  actor text not null,
  data jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index events_user_idx on postern.events (user_id, id);
comment on table postern.events is
  'Append-only history: type, whom it concerns, who did it. Same transaction as the change.';

-- Why a session ended: the row in auth.sessions is gone by then.
create table postern.session_ends (
  session_id uuid primary key,
  user_id uuid not null,
  reason text not null check (reason in (
    'logout', 'reuse', 'timebox', 'idle', 'low_aal', 'newer_login', 'ban', 'password_change', 'admin', 'user_deleted'
  )),
  actor text not null,
  ended_at timestamptz not null
);
create index session_ends_user_idx on postern.session_ends (user_id, ended_at desc);
comment on table postern.session_ends is
  'The reason of every ended session; see postern.why_signed_out().';
