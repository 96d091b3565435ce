-- The time of this transaction. Tests freeze it: set local postern.clock = '2026-01-01 12:00Z'.
-- Inlined into its callers, therefore without a SET clause.
create or replace function postern_internal.clock()
returns timestamptz
language sql stable security invoker
as $$
  select coalesce(nullif(current_setting('postern.clock', true), '')::timestamptz, now())
$$;

-- The time of this moment, for what several transactions count together: one that waited for another has begun before
-- that one ended. Where a server asks questions (core/ask.sql) the time of the transaction stands still, this one does not.
create or replace function postern_internal.wall_clock()
returns timestamptz
language sql volatile security invoker
as $$
  select case
    when coalesce(current_setting('postern.seed', true), '') <> '' then clock_timestamp()
    else coalesce(nullif(current_setting('postern.clock', true), '')::timestamptz, clock_timestamp())
  end
$$;

-- A time as clients read it: RFC 3339, UTC, microseconds, trailing zeros trimmed (spec/00 section 7).
create or replace function postern_internal.rfc3339(p_at timestamptz)
returns text
language sql stable security invoker
as $$
  select (to_json(p_at at time zone 'UTC') #>> '{}') || 'Z'
$$;

-- The id that the auth schema writes into every instance_id, and the actor id of administrators.
create or replace function postern_internal.nil_uuid()
returns uuid
language sql immutable parallel safe security invoker
as $$
  select '00000000-0000-0000-0000-000000000000'::uuid
$$;

-- Whether a user belongs to this server. NULL, which users have that were made by hand, is read as what new users get. No
-- index fits this, and the planner takes it for rare. Where one on instance_id and address has to fit, or a list is read in
-- the order of one, it is said in full: (= nil_uuid() or is null).
create or replace function postern_internal.is_here(p_instance_id uuid)
returns boolean
language sql immutable parallel safe security invoker
as $$
  select coalesce(p_instance_id, postern_internal.nil_uuid()) = postern_internal.nil_uuid()
$$;
