-- Wrong passwords per account (DESIGN section 9, row 2): `account_limits`, `passwords` in the context. The account is
-- `account` in the context, the address that was typed in: it need not exist, so that nobody learns whether it does.
-- Only wrong passwords count, and the right one forgets them.

-- Refuses before anything is hashed. Raises: over_request_rate_limit (429).
create or replace function postern_internal.check_password_limit(p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_limit jsonb := p_context -> 'account_limits' -> 'passwords';
  v_wait float8;
begin
  if v_limit is null or coalesce(p_context ->> 'account', '') = '' then
    return;
  end if;
  v_wait := postern_internal.token_wait(
    'passwords', postern_internal.account_key(p_context ->> 'aud', p_context ->> 'account'),
    (v_limit ->> 'every')::float8, (v_limit ->> 'burst')::int);
  if v_wait > 0 then
    perform postern_internal.fail_limit(v_wait);
  end if;
end;
$$;

-- Counts the outcome of a comparison. Of parallel attempts those that end after the last allowed one are refused, even
-- with the right password: otherwise many at once would be many guesses.
-- Returns the failure over_request_rate_limit (429), or null. Locks and writes: the account's bucket.
create or replace function postern_internal.count_password(p_is_right boolean, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_limit jsonb := p_context -> 'account_limits' -> 'passwords';
  v_every float8 := (v_limit ->> 'every')::float8;
  v_burst int := (v_limit ->> 'burst')::int;
  v_who text;
  v_wait float8;
begin
  if v_limit is null or coalesce(p_context ->> 'account', '') = '' then
    return null;
  end if;
  v_who := postern_internal.account_key(p_context ->> 'aud', p_context ->> 'account');
  if not p_is_right then
    v_wait := postern_internal.take_token('passwords', v_who, v_every, v_burst);
  else
    v_wait := postern_internal.token_wait('passwords', v_who, v_every, v_burst);
    if v_wait = 0 then
      delete from postern.limits where name = 'passwords' and who = v_who;
    end if;
  end if;
  if v_wait > 0 then
    return postern_internal.failure(429, 'over_request_rate_limit', 'Request rate limit reached')
      || jsonb_build_object('retry_after', v_wait);
  end if;
  return null;
end;
$$;
