-- Where a flow began that ends in a mailed link, so that the link can tell that it was opened somewhere else.
-- The browser's name and the operating system only, never the whole User-Agent.
create table postern.flow_devices (
  flow_id uuid primary key, -- of auth.flow_state
  browser text,
  platform text,
  created_at timestamptz not null
);
create index flow_devices_created_idx on postern.flow_devices (created_at);
comment on table postern.flow_devices is
  'Browser and operating system that began a PKCE flow, for a day at most; only with POSTERN_MAILER_OTHER_DEVICE_PAGE.';
