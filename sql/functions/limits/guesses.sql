-- Wrong guesses of one-time codes (DESIGN section 9, row 3). A code of six digits lives for a day: without a cap per code,
-- limits per client alone would let many clients together find it.

-- Counts a wrong code against every token that it could have been meant for, and voids those that had too many
-- (otp_attempts in the context; missing: no cap). The caller answers as to any wrong code, and commits.
-- p_user_id is null where the address alone says whose token it is (e-mail changes).
-- Locks: the users whose tokens they are. Writes: code_guesses; users, one_time_tokens for a void token.
create or replace function postern_internal.count_wrong_code(
  p_types auth.one_time_token_type[],
  p_user_id uuid,
  p_address text,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_most int := (p_context ->> 'otp_attempts')::int;
  v_token record;
  v_wrong int;
begin
  if v_most is null then
    return;
  end if;
  for v_token in
    select t.id, t.user_id, t.token_type, t.token_hash
    from auth.one_time_tokens as t
    where t.token_type = any (p_types)
      and (t.user_id = p_user_id or p_user_id is null and t.relates_to = lower(p_address))
    order by t.user_id, t.token_type
  loop
    perform postern_internal.lock_user(v_token.user_id);
    insert into postern.code_guesses as g (token_id, token_hash, wrong, last_at)
    values (v_token.id, v_token.token_hash, 1, postern_internal.clock())
    on conflict (token_id) do update
      set wrong = case when g.token_hash = excluded.token_hash then g.wrong + 1 else 1 end,
        token_hash = excluded.token_hash, last_at = excluded.last_at
    returning g.wrong into v_wrong;
    if v_wrong >= v_most then
      perform postern_internal.void_token(v_token.user_id, v_token.token_type, v_token.token_hash);
    end if;
  end loop;
end;
$$;

-- Makes a token worthless, code and link, if it is still the one with that hash. The caller holds the user's lock.
-- Writes: users, one_time_tokens, code_guesses.
create or replace function postern_internal.void_token(
  p_user_id uuid,
  p_type auth.one_time_token_type,
  p_token_hash text
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from auth.one_time_tokens as t
  where t.user_id = p_user_id and t.token_type = p_type and t.token_hash = p_token_hash;
  update auth.users as u
  set confirmation_token = case u.confirmation_token when p_token_hash then '' else u.confirmation_token end,
    recovery_token = case u.recovery_token when p_token_hash then '' else u.recovery_token end,
    email_change_token_current = case u.email_change_token_current
      when p_token_hash then '' else u.email_change_token_current end,
    email_change_token_new = case u.email_change_token_new
      when p_token_hash then '' else u.email_change_token_new end,
    phone_change_token = case u.phone_change_token when p_token_hash then '' else u.phone_change_token end,
    reauthentication_token = case u.reauthentication_token
      when p_token_hash then '' else u.reauthentication_token end
  where u.id = p_user_id;
end;
$$;
