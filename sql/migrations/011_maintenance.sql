-- What maintenance needs: events by month, so that old ones go by dropping a table, and its own bookkeeping.
-- Only a default partition is made here; maintenance makes those of the months to come (functions/maintenance).

create sequence postern.event_ids;
create table postern.events_by_time (
  id bigint not null default nextval('postern.event_ids'),
  type text not null,
  user_id uuid,
  session_id uuid,
  actor text not null,
  data jsonb not null default '{}',
  created_at timestamptz not null default now()
) partition by range (created_at);
create table postern.events_default partition of postern.events_by_time default;

insert into postern.events_by_time (id, type, user_id, session_id, actor, data, created_at)
select id, type, user_id, session_id, actor, data, created_at from postern.events;
select setval('postern.event_ids', coalesce(max(id), 0) + 1, false) from postern.events_by_time;
drop table postern.events;
alter table postern.events_by_time rename to events;
alter sequence postern.event_ids owned by postern.events.id;
alter table postern.events add constraint events_pkey primary key (id, created_at);
create index events_user_idx on postern.events (user_id, id);
comment on table postern.events is
  'Append-only history: type, whom it concerns, who did it. Same transaction as the change. Partitioned by month.';

create index session_ends_ended_at_idx on postern.session_ends (ended_at);

-- When maintenance last ran, as a whole (rule pass) and each of its rules.
create table postern.maintenance (
  rule text primary key,
  ran_at timestamptz not null,
  rows_total bigint not null default 0,
  last_error text,
  failed_at timestamptz
);
comment on table postern.maintenance is
  'Per rule of maintenance: the last run, the rows it changed since ever, the last failure.';

-- Anonymous users that could not be deleted: a table or a trigger of the application holds on to them.
create table postern.retention_refusals (
  user_id uuid primary key,
  reason text not null,
  refused_at timestamptz not null
);
create index retention_refusals_refused_at_idx on postern.retention_refusals (refused_at);
comment on table postern.retention_refusals is
  'Anonymous users that maintenance could not delete, and why; it tries again after a week.';
