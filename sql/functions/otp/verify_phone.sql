-- POST /verify with a phone number (spec/01 section 10): a code by text message, once.
-- p_type is sms (the number of an account) or phone_change (the pending one). A test code counts as long as it is set,
-- whatever was sent. Where the provider makes the codes, it is asked (core/ask.sql), but only about codes that somebody
-- waits for.
-- Raises: otp_expired, user_banned (403), phone_exists (422). Nothing is left then, so the code stays usable.
-- Locks: the user, who therefore redeems one code at a time: of parallel calls one succeeds.
-- Writes: one_time_tokens, users, identities, audit, events, outbox, and what issue_session writes.
-- issued is the grant of a new session. Returned as failure, because it was counted: otp_expired for a wrong code, unless the
-- provider says so, who counts by itself.
create or replace function postern_internal.verify_phone_otp(
  p_type text,
  p_phone text,
  p_token text,
  p_context jsonb,
  out issued jsonb,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_is_test boolean := coalesce(postern_internal.test_otp(p_phone, p_context) = p_token, false);
  v_token_type constant auth.one_time_token_type :=
    (case p_type when 'sms' then 'confirmation_token' else 'phone_change_token' end)::auth.one_time_token_type;
  v_user auth.users;
  v_claimed text;           -- the number as the locked row has it
begin
  perform postern_internal.take_limits(p_context);
  v_user := postern_internal.lock_user(
    postern_internal.find_phone_claimant(p_type, p_phone, p_token, v_is_test, p_context));
  v_claimed := case p_type when 'sms' then v_user.phone else v_user.phone_change end;
  if v_claimed is distinct from p_phone
    or not (v_is_test or postern_internal.redeem_phone_otp(v_user, v_token_type, p_phone, p_token, p_context))
  then
    if postern_internal.is_foreign_code(p_phone, p_context) then
      perform postern_internal.fail_otp(false);
    end if;
    if v_user.id is not null then
      perform postern_internal.count_wrong_code(
        array[v_token_type], case p_type when 'sms' then v_user.id end, p_phone, p_context);
    end if;
    failure := postern_internal.failure(403, 'otp_expired', 'Token has expired or is invalid');
    return;
  end if;
  if postern_internal.is_banned(v_user) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  end if;
  case p_type
    when 'sms' then
      perform postern_internal.accept_phone(v_user, p_context);
    when 'phone_change' then
      perform postern_internal.audit_user('user_modified', v_user, p_context);
      perform postern_internal.apply_phone_change(v_user, p_context);
  end case;
  perform postern_internal.recompute_providers(v_user.id);
  issued := postern_internal.issue_session(v_user.id, 'otp', p_context);
end;
$$;

-- Whose a code may be. Several people can have asked for the same new number: it is the one for whom the code was made,
-- else, as a test code or one of the provider says nothing about that, the one who asked last.
-- Null when nobody's.
create or replace function postern_internal.find_phone_claimant(
  p_type text,
  p_phone text,
  p_token text,
  p_is_test boolean,
  p_context jsonb
)
returns uuid
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if p_type = 'sms' then
    return (select u.id from postern_internal.find_users_by_phone(p_phone, p_context ->> 'aud') as u);
  elsif p_is_test then  -- no index helps, which tests can bear
    return (
      select u.id
      from auth.users as u
      where postern_internal.is_here(u.instance_id) and u.phone_change = p_phone
        and coalesce(u.aud, p_context ->> 'aud') = p_context ->> 'aud' and not u.is_sso_user
      order by u.phone_change_sent_at desc nulls last limit 1);
  end if;
  return (
    select u.id
    from auth.one_time_tokens as t
    join auth.users as u on u.id = t.user_id
    where t.relates_to = p_phone and t.token_type = 'phone_change_token'
      and postern_internal.is_here(u.instance_id) and u.phone_change = p_phone
      and coalesce(u.aud, p_context ->> 'aud') = p_context ->> 'aud' and not u.is_sso_user
    order by t.token_hash = postern_internal.otp_hash(p_phone, p_token) desc,
      u.phone_change_sent_at desc nulls last
    limit 1);
end;
$$;

-- Uses up a code sent to a phone number and tells whether it was right. The caller holds the user's lock.
-- The provider that makes the codes knows when they expire. Writes: one_time_tokens.
create or replace function postern_internal.redeem_phone_otp(
  p_user auth.users,
  p_token_type auth.one_time_token_type,
  p_phone text,
  p_token text,
  p_context jsonb
)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_is_foreign boolean := postern_internal.is_foreign_code(p_phone, p_context);
begin
  delete from auth.one_time_tokens as t
  where t.user_id = p_user.id and t.token_type = p_token_type and t.relates_to = p_phone
    and (v_is_foreign
      or t.token_hash = postern_internal.otp_hash(p_phone, p_token)
        and postern_internal.is_sms_otp_alive(postern_internal.token_sent_at(p_user, p_token_type), p_context));
  return found and (not v_is_foreign or postern_internal.ask_about_code(p_phone, p_token, p_context));
end;
$$;
