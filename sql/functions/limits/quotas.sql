-- GOTRUE_RATE_LIMIT_EMAIL_SENT and _SMS_SENT: how many messages in all (spec/06 section 10), for all servers together.
-- The context of a server's call holds `quotas`: {mail, sms: {events, every}}; every is missing for a limit per fixed hour.
-- A kind that is missing has no limit: so it is under autoconfirm, and for SQL callers, whose bulk invitation is deliberate.

-- Takes one message out of the quota; given back when the transaction rolls back.
-- Transactions that send at the same time would wait for each other at a single row, until commit. So the quota is kept in
-- parts: each takes from a part that nobody holds, and waits only where all free parts are used up.
-- Raises: over_email_send_rate_limit, over_sms_send_rate_limit (429). Locks: one part. Writes: quotas.
create or replace function postern_internal.take_quota(p_kind text, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_quota jsonb := p_context -> 'quotas' -> p_kind;
  v_events int := least(floor((v_quota ->> 'events')::float8), 2000000000)::int;
  v_every float8 := (v_quota ->> 'every')::float8;
  v_parts int := postern_internal.quota_parts(v_events, v_every);
begin
  if v_quota is null
    or postern_internal.take_part(p_kind, v_parts, v_events, v_every, p_may_wait => false)
  then
    return;
  end if;
  perform postern_internal.prepare_parts(p_kind, v_parts, v_events, v_every);
  if not postern_internal.take_part(p_kind, v_parts, v_events, v_every, p_may_wait => true) then
    perform postern_internal.fail_quota(p_kind, v_parts);
  end if;
end;
$$;

-- How many parts a quota has: at least one message each, and where it gains one message per duration all of them together
-- gain one each second or more, so that dividing it is not noticed.
create or replace function postern_internal.quota_parts(p_events int, p_every float8)
returns int
language sql immutable security invoker -- inlined into its caller
as $$
  select least(32, p_events, case when p_every is not null then greatest(1, floor(1 / p_every)) end)::int
$$;

-- The share of a part, and what is used of it now. Fixed hours follow each other from the first message on.
create or replace function postern_internal.part_capacity(p_part int, p_parts int, p_events int)
returns int
language sql immutable security invoker
as $$
  select p_events / p_parts + case when p_part < p_events % p_parts then 1 else 0 end
$$;

create or replace function postern_internal.part_used(
  p_used float8,
  p_since timestamptz,
  p_every float8,           -- seconds per message of this part; null: fixed hours
  p_now timestamptz
)
returns float8
language sql stable security invoker -- not immutable: it could not be inlined, and would be planned at every call
as $$
  select case
    when p_every is not null then greatest(p_used - greatest(extract(epoch from p_now - p_since), 0) / p_every, 0)
    when p_now >= p_since + interval '1 hour' then 0
    else p_used
  end
$$;

-- Makes the parts that are missing, all with the same beginning, and gives all of them the limit of this server.
create or replace function postern_internal.prepare_parts(p_kind text, p_parts int, p_events int, p_every float8)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_since timestamptz;
begin
  if (select count(*) from postern.quotas where kind = p_kind and part < p_parts) >= p_parts then
    return;
  end if;
  select min(q.since) into v_since from postern.quotas as q where q.kind = p_kind;
  insert into postern.quotas (kind, part, used, since, capacity, every)
  select p_kind, n, 0, coalesce(v_since, postern_internal.wall_clock()),
    postern_internal.part_capacity(n, p_parts, p_events), p_every * p_parts
  from generate_series(0, p_parts - 1) as n
  on conflict (kind, part) do nothing;
end;
$$;

-- Takes from one part that has something left. Without p_may_wait parts that others hold are passed over, and the first to
-- be tried belongs to this connection, so that few meet there.
create or replace function postern_internal.take_part(
  p_kind text,
  p_parts int,
  p_events int,
  p_every float8,
  p_may_wait boolean
)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.wall_clock();
  v_every float8 := p_every * p_parts;
  v_part int;
  v_used float8;
  v_since timestamptz;
begin
  if p_parts < 1 then
    return false;
  elsif p_may_wait then
    select q.part, q.used, q.since into v_part, v_used, v_since
    from postern.quotas as q
    where q.kind = p_kind and q.part < p_parts
      and postern_internal.part_used(q.used, q.since, v_every, v_now) + 1
        <= postern_internal.part_capacity(q.part, p_parts, p_events)
    order by q.part
    limit 1
    for update;
  else
    v_part := pg_backend_pid() % p_parts;
    select q.used, q.since into v_used, v_since
    from postern.quotas as q where q.kind = p_kind and q.part = v_part for update skip locked;
    if not found or postern_internal.part_used(v_used, v_since, v_every, v_now) + 1
      > postern_internal.part_capacity(v_part, p_parts, p_events)
    then
      select q.part, q.used, q.since into v_part, v_used, v_since
      from postern.quotas as q
      where q.kind = p_kind and q.part < p_parts
        and postern_internal.part_used(q.used, q.since, v_every, v_now) + 1
          <= postern_internal.part_capacity(q.part, p_parts, p_events)
      order by random()
      limit 1
      for update skip locked;
    end if;
  end if;
  if v_part is null then
    return false;
  end if;
  update postern.quotas as q
  set used = postern_internal.part_used(v_used, v_since, v_every, v_now) + 1,
    since = case
      when p_every is not null then greatest(v_now, v_since)
      else v_since + floor(extract(epoch from greatest(v_now - v_since, '0')) / 3600) * interval '1 hour'
    end,
    capacity = postern_internal.part_capacity(v_part, p_parts, p_events), every = v_every
  where q.kind = p_kind and q.part = v_part;
  return true;
end;
$$;

-- Raises what a used-up quota answers (spec/00 section 11), with the time until the next message.
create or replace function postern_internal.fail_quota(p_kind text, p_parts int)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_wait float8;
  v_extra jsonb;
begin
  select min(case
      when q.every is null then 3600 - extract(epoch from postern_internal.wall_clock() - q.since)
      else (q.used + 1 - q.capacity) * q.every - extract(epoch from postern_internal.wall_clock() - q.since)
    end)
  into v_wait
  from postern.quotas as q
  where q.kind = p_kind and q.part < p_parts;
  v_extra := jsonb_build_object('retry_after', greatest(coalesce(v_wait, 3600), 0.001));
  if p_kind = 'mail' then
    perform postern_internal.fail(429, 'over_email_send_rate_limit', 'email rate limit exceeded', v_extra);
  end if;
  perform postern_internal.fail(429, 'over_sms_send_rate_limit', 'SMS rate limit exceeded', v_extra);
end;
$$;
