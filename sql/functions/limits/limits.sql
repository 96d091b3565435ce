-- Limits on requests, exact over all servers of a database (spec/06 section 10, DESIGN section 9 rows 2 and 3).
-- A bucket holds `burst` tokens and gains one every `every` seconds. It is stored as the time when it will be full: a
-- request moves that time by `every` and is refused when it would lie further off than `burst` tokens take. One row, one
-- comparison, and nothing to do while nobody asks.

-- Takes a token. Returns 0, or the seconds until there is one; a refusal takes none.
-- Locks: the bucket, until the transaction ends. Writes: limits.
create or replace function postern_internal.take_token(
  p_name text,
  p_who text,
  p_every float8,           -- seconds
  p_burst int
)
returns float8
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_every interval := make_interval(secs => p_every);
begin
  if p_burst < 1 then
    return greatest(p_every, 1);
  end if;
  insert into postern.limits as l (name, who, full_at, every, burst)
  values (p_name, p_who, postern_internal.wall_clock() + v_every, p_every, p_burst)
  on conflict (name, who) do update
    set full_at = greatest(l.full_at, postern_internal.wall_clock()) + v_every, every = p_every, burst = p_burst
    where l.full_at <= postern_internal.wall_clock() + (p_burst - 1) * v_every;
  if found then
    return 0;
  end if;
  return greatest(postern_internal.token_wait(p_name, p_who, p_every, p_burst), 0.001);
end;
$$;

-- Seconds until there is a token; 0 when there is one. Takes none, locks nothing.
create or replace function postern_internal.token_wait(p_name text, p_who text, p_every float8, p_burst int)
returns float8
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_wait float8;
begin
  select extract(epoch from
    l.full_at - (p_burst - 1) * make_interval(secs => p_every) - postern_internal.wall_clock())
  into v_wait
  from postern.limits as l
  where l.name = p_name and l.who = p_who;
  return greatest(coalesce(v_wait, 0), 0);
end;
$$;

-- The limits of a request: takes a token of the client's bucket (`limit` in the context: name, who, every, burst), and
-- where p_address is given one of the address that mail or a message would go to (`account_limits`, `messages`), which is
-- the same for addresses nobody has. The first statement of every function that a limited route calls, so that a limit
-- costs no round trip. When the call fails and is rolled back, the server charges it afterwards (charge_limit).
-- Raises: over_request_rate_limit (429). Locks: the buckets. Writes: limits.
create or replace function postern_internal.take_limits(p_context jsonb, p_address text default null)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_limit jsonb := p_context -> 'limit';
  v_wait float8;
begin
  if v_limit is not null then
    v_wait := postern_internal.take_token(
      v_limit ->> 'name', v_limit ->> 'who', (v_limit ->> 'every')::float8, (v_limit ->> 'burst')::int);
    if v_wait > 0 then
      perform postern_internal.fail_limit(v_wait, v_limit ->> 'name');
    end if;
  end if;
  v_limit := p_context -> 'account_limits' -> 'messages';
  if p_address <> '' and v_limit is not null then
    v_wait := postern_internal.take_token(
      'messages', postern_internal.account_key(p_context ->> 'aud', p_address),
      (v_limit ->> 'every')::float8, (v_limit ->> 'burst')::int);
    if v_wait > 0 then
      perform postern_internal.fail_limit(v_wait);
    end if;
  end if;
end;
$$;

-- Takes a token for a request that made no call, or whose call was rolled back. p_limit: name, who, every, burst.
-- Returns 0, or the seconds until there is one. Locks: the bucket. Writes: limits.
create or replace function postern_internal.charge_limit(p_limit jsonb)
returns float8
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return postern_internal.take_token(
    p_limit ->> 'name', p_limit ->> 'who', (p_limit ->> 'every')::float8, (p_limit ->> 'burst')::int);
end;
$$;

-- Raises over_request_rate_limit (429). retry_after (seconds) becomes a header, limit tells the server whose bucket it was;
-- clients see neither in the body.
create or replace function postern_internal.fail_limit(p_wait float8, p_name text default null)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.fail(429, 'over_request_rate_limit', 'Request rate limit reached',
    jsonb_strip_nulls(jsonb_build_object('retry_after', p_wait, 'limit', p_name)));
end;
$$;

-- Under which key limits know an account: a hash, because the addresses of strangers are nobody's business.
-- Stable, because convert_to is: so it is inlined.
create or replace function postern_internal.account_key(p_aud text, p_address text)
returns text
language sql stable security invoker
as $$
  select encode(sha256(convert_to(coalesce(p_aud, '') || chr(10) || lower(p_address), 'UTF8')), 'hex')
$$;

-- Deletes buckets that are full again and counts of codes that are gone, at most 10,000 each.
-- Locks: the rows it deletes, skipping those that others hold.
create or replace function postern_internal.clean_limits()
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from postern.limits as l
  using (
    select f.ctid from postern.limits as f where f.full_at < postern_internal.clock() limit 10000
    for update skip locked
  ) as idle
  where l.ctid = idle.ctid;
  delete from postern.code_guesses as g
  using (
    select o.ctid from postern.code_guesses as o
    where not exists (select from auth.one_time_tokens as t where t.id = o.token_id)
    limit 10000
    for update skip locked
  ) as gone
  where g.ctid = gone.ctid;
end;
$$;
