-- Who asked how often. Unlogged: a limit costs no write to the log and no wait for the disk; after a crash of PostgreSQL
-- every bucket is full again.

-- One bucket per limit and client, account or address. It is a point in time: when the bucket will be full again. Rows of
-- full buckets say nothing and are deleted.
create unlogged table postern.limits (
  name text not null,
  who text not null,
  full_at timestamptz not null,
  every float8 not null,
  burst int not null,
  primary key (name, who)
) with (fillfactor = 50);
comment on table postern.limits is
  'Buckets of the request limits that are not full; see postern.list_limits().';
comment on column postern.limits.who is
  'Address or key of the client; for accounts a hash of audience and address.';
comment on column postern.limits.every is 'Seconds until one more request is allowed.';
comment on column postern.limits.burst is 'Requests allowed at once when the bucket is full.';

-- How many messages were sent, in parts: a transaction locks one of them until it ends, the others stay free.
create unlogged table postern.quotas (
  kind text not null check (kind in ('mail', 'sms')),
  part int not null,
  used float8 not null,
  since timestamptz not null,
  capacity int not null,
  every float8,
  primary key (kind, part)
) with (fillfactor = 10);
comment on table postern.quotas is
  'Messages sent in this hour (every is null) or not yet made good at one per every seconds; see postern.list_limits().';

-- Wrong guesses of one-time codes.
create unlogged table postern.code_guesses (
  token_id uuid primary key,
  token_hash text not null,
  wrong int not null,
  last_at timestamptz not null
);
comment on table postern.code_guesses is
  'Wrong guesses per row of auth.one_time_tokens; the hash tells a newer code in the same row.';
