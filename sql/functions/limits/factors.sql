-- Wrong codes per second factor: `account_limits`, `factors` in the context. A challenge allows a few guesses and is made
-- in a moment, so without this somebody who knows the password could go on for ever, from many addresses.

-- Refuses before a code is compared. Raises: over_request_rate_limit (429).
create or replace function postern_internal.check_factor_limit(p_factor_id uuid, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_limit jsonb := p_context -> 'account_limits' -> 'factors';
  v_wait float8;
begin
  if v_limit is not null then
    v_wait := postern_internal.token_wait(
      'factors', p_factor_id::text, (v_limit ->> 'every')::float8, (v_limit ->> 'burst')::int);
    if v_wait > 0 then
      perform postern_internal.fail_limit(v_wait);
    end if;
  end if;
end;
$$;

-- Counts the outcome of a comparison: a wrong code takes a token, a right one forgets the wrong ones. The caller holds the
-- lock of the factor's user, and commits. Writes: limits.
create or replace function postern_internal.count_factor_code(p_factor_id uuid, p_is_right boolean, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_limit jsonb := p_context -> 'account_limits' -> 'factors';
begin
  if v_limit is null then
    return;
  elsif p_is_right then
    delete from postern.limits where name = 'factors' and who = p_factor_id::text;
  else
    perform postern_internal.take_token(
      'factors', p_factor_id::text, (v_limit ->> 'every')::float8, (v_limit ->> 'burst')::int);
  end if;
end;
$$;
