-- Limits, seen and reset. Security definer as all of schema postern: see who.sql.

-- The names under which limits may know what an administrator calls `who`: as it is, an IPv6 address as its network, an
-- e-mail address or phone number as the hash of every audience that has it. Null: all.
create or replace function postern_internal.limit_keys(p_who text)
returns text[]
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_who text := btrim(p_who);
  v_keys text[] := array[v_who];
begin
  if v_who is null then
    return null;
  end if;
  if v_who like '%:%' and v_who !~ '[^0-9a-fA-F:.]' then
    begin
      v_keys := v_keys || host(v_who::inet) || network(set_masklen(v_who::inet, 64))::text;
    exception when invalid_text_representation then
      null; -- the key of a header that looks like an address
    end;
  end if;
  if v_who like '+%' then
    v_who := translate(v_who, '+ ', '');
  end if;
  return v_keys || array(
    select postern_internal.account_key(a.aud, v_who)
    from (
      select postern_internal.context() ->> 'aud' as aud
      union
      select u.aud from auth.users as u where lower(u.email) = lower(v_who) or u.phone = v_who
    ) as a);
end;
$$;

-- See the comment on the function. Reads: limits, quotas.
create or replace function postern.list_limits(who text default null)
returns table (name text, client text, remaining int, burst int, next_at timestamptz, full_at timestamptz)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_now timestamptz := postern_internal.wall_clock();
  v_keys text[] := postern_internal.limit_keys(who);
begin
  return query
  select l.name, l.who,
    greatest(floor(l.burst - greatest(extract(epoch from l.full_at - v_now) / l.every, 0)), 0)::int, l.burst,
    greatest(l.full_at - (l.burst - 1) * make_interval(secs => l.every), v_now), l.full_at
  from postern.limits as l
  where l.full_at > v_now and (v_keys is null or l.who = any (v_keys))
  union all
  select q.kind || '_sent', 'everybody', sum(floor(greatest(q.capacity - q.spent, 0)))::int, sum(q.capacity)::int,
    case when bool_or(q.spent + 1 <= q.capacity) then v_now
      else min(v_now + make_interval(secs => case
        when q.every is null then 3600 - mod(extract(epoch from v_now - q.since), 3600)
        else (q.spent + 1 - q.capacity) * q.every end))
    end,
    max(v_now + make_interval(secs => case
      when q.every is null then 3600 - mod(extract(epoch from v_now - q.since), 3600) else q.spent * q.every end))
  from (
    select q.*, postern_internal.part_used(q.used, q.since, q.every, v_now) as spent from postern.quotas as q
  ) as q
  where v_keys is null or 'everybody' = any (v_keys)
  group by q.kind
  order by 3, 1, 2;
end;
$$;
comment on function postern.list_limits(text) is
'Lists the request limits that somebody has begun to use up, the most used first. name is the limit: signup, anonymous, token, otp, magiclink, recover, resend, user, verify and others per client; passwords (wrong ones) and messages per account, where client is a hash; mail_sent and sms_sent for everybody. next_at is when one more request is allowed.
who: only those of a client (address, network or key), an e-mail address, a phone number with a leading +, or everybody.
Example: select * from postern.list_limits() where remaining = 0;
Example: select name, remaining, next_at from postern.list_limits(''ann@example.com'');';

-- See the comment on the function. Writes: limits, quotas.
create or replace function postern.reset_limit(who text, limit_name text default null)
returns int
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_keys text[] := postern_internal.limit_keys(who);
  v_count int;
  v_quotas int := 0;
begin
  delete from postern.limits as l
  where l.who = any (v_keys) and (limit_name is null or l.name = limit_name);
  get diagnostics v_count = row_count;
  if 'everybody' = any (v_keys) then
    with reset as (
      delete from postern.quotas as q where limit_name is null or q.kind || '_sent' = limit_name returning q.kind
    )
    select count(distinct r.kind) into v_quotas from reset as r;
  end if;
  return v_count + v_quotas;
end;
$$;
comment on function postern.reset_limit(text, text) is
'Lets somebody begin again with full limits, and returns how many limits that were. Servers notice within a second.
who: a client (address, network or key), an e-mail address, a phone number with a leading +, or everybody for the limits on all mails and messages.
limit_name: only this limit, as list_limits() names it.
Example: select postern.reset_limit(''203.0.113.9'');
Example: select postern.reset_limit(''ann@example.com'', ''passwords'');
Example: select postern.reset_limit(''everybody'', ''mail_sent'');';
