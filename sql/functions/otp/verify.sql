-- GET and POST /verify (spec/01 section 10): a mailed link or code, once.
-- p_token_hash is what a link says (otp/links.sql); or p_token is a code and p_email (or p_phone) where it was sent.
-- p_gives_code: a pkce_ token ends in a code for the client (GET), not in a session (POST).
-- Such a link confirms the address in any browser and gives the code only to the one that began, as far as that can
-- be told (sql/functions/otp/device.sql).
-- Raises: otp_expired, user_banned (403), validation_failed, flow_state_not_found (400), over_request_rate_limit (429).
-- Nothing is left then, so the link stays usable.
-- Returns as failure, because it was counted: otp_expired (403) for a wrong code.
-- Locks: the user, who therefore redeems one token at a time: of parallel calls one succeeds.
-- Writes: one_time_tokens, users, identities, audit, events, outbox; flow_state or what issue_session writes.
create or replace function postern_internal.verify_otp(
  p_type text,
  p_token_hash text,
  p_token text,
  p_email text,
  p_phone text,
  p_gives_code boolean,
  p_context jsonb,
  out issued jsonb,         -- the grant of a new session
  out auth_code text,       -- or the code for the client
  out is_half_done boolean, -- or the first of the two confirmations of an e-mail change
  out effective_type text,  -- email became signup or magiclink
  out began_on jsonb,       -- or, in another browser, where the user began: {"browser", "platform"}
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_token auth.one_time_tokens;
  v_user auth.users;
  v_method text; -- of the flow whose code is wanted
begin
  perform postern_internal.take_limits(p_context);
  is_half_done := false;
  effective_type := p_type;
  v_token := case
    when p_token_hash <> '' then postern_internal.find_token_by_link(p_type, p_token_hash)
    else postern_internal.find_token_by_code(p_type, p_token, p_email, p_phone, p_context)
  end;
  if v_token.id is null then
    failure := postern_internal.failure(403, 'otp_expired', 'Token has expired or is invalid');
    return;
  end if;
  v_user := postern_internal.lock_user(v_token.user_id);
  if postern_internal.is_banned(v_user) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  end if;
  delete from auth.one_time_tokens as t
  where t.id = v_token.id and t.token_hash = v_token.token_hash
    and postern_internal.is_otp_alive(postern_internal.token_sent_at(v_user, v_token.token_type), p_context);
  if not found then
    perform postern_internal.fail_otp(p_token_hash <> '');
  end if;

  effective_type := case
    when p_type <> 'email' then p_type
    when v_token.token_type = 'recovery_token' then 'magiclink'
    else 'signup'
  end;
  if p_gives_code and v_token.token_hash like 'pkce\_%' then
    v_method := case effective_type when 'signup' then 'email/signup' else effective_type end;
    began_on := postern_internal.begun_elsewhere(v_user.id, v_method, p_context);
    if began_on is not null and effective_type <> 'email_change' then
      perform postern_internal.confirm_elsewhere(v_user, v_token, p_context);
      return;
    end if;
  end if;
  case
    when effective_type in ('signup', 'invite') then
      perform postern_internal.accept_signup(v_user, p_context);
    when effective_type in ('recovery', 'magiclink') then
      perform postern_internal.accept_recovery(v_user, p_context);
    when effective_type = 'email_change' then
      is_half_done := postern_internal.accept_email_change(v_user, v_token.token_type, p_context);
  end case;
  if is_half_done then
    began_on := null; -- the second link is what finishes it
    return;
  end if;

  perform postern_internal.recompute_providers(v_user.id);
  if v_method is not null and began_on is null then
    auth_code := postern_internal.issue_auth_code(v_user.id, v_method);
  elsif v_method is null then
    issued := postern_internal.issue_session(v_user.id, 'otp', p_context);
  end if;
end;
$$;

-- Raises otp_expired (403) in the words for a link or for a code.
create or replace function postern_internal.fail_otp(p_is_link boolean)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.fail(403, 'otp_expired', case
    when p_is_link then 'Email link is invalid or has expired'
    else 'Token has expired or is invalid'
  end);
end;
$$;

-- The types of stored tokens that a verification type accepts; null for an unknown type.
create or replace function postern_internal.accepted_token_types(p_type text)
returns auth.one_time_token_type[]
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  return case
    when p_type in ('signup', 'invite') then '{confirmation_token}'
    when p_type in ('recovery', 'magiclink') then '{recovery_token}'
    when p_type = 'email_change' then '{email_change_token_current,email_change_token_new}'
    when p_type = 'email' then '{confirmation_token,recovery_token}'
  end::auth.one_time_token_type[];
end;
$$;

-- When a token of that type was sent: its clock.
create or replace function postern_internal.token_sent_at(p_user auth.users, p_type auth.one_time_token_type)
returns timestamptz
language sql immutable security invoker
as $$
  select case p_type
    when 'confirmation_token' then p_user.confirmation_sent_at
    when 'recovery_token' then p_user.recovery_sent_at
    when 'reauthentication_token' then p_user.reauthentication_sent_at
    when 'phone_change_token' then p_user.phone_change_sent_at
    else p_user.email_change_sent_at
  end
$$;

-- The token of a link. Raises: validation_failed (400) for an unknown type, otp_expired (403).
create or replace function postern_internal.find_token_by_link(p_type text, p_link text)
returns auth.one_time_tokens
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_types auth.one_time_token_type[] := postern_internal.accepted_token_types(p_type);
  v_token auth.one_time_tokens;
begin
  if v_types is null then
    perform postern_internal.fail(400, 'validation_failed', 'Invalid email verification type');
  end if;
  v_token := postern_internal.find_link(p_link, v_types);
  if v_token.id is null then
    perform postern_internal.fail_otp(true);
  end if;
  return v_token;
end;
$$;

-- The token of a typed-in code: of the user with that address, or for an e-mail change of whoever the address was
-- hashed for. None for a wrong code, which is counted. Locks and writes: as count_wrong_code.
create or replace function postern_internal.find_token_by_code(
  p_type text,
  p_token text,
  p_email text,
  p_phone text,
  p_context jsonb
)
returns auth.one_time_tokens
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_types auth.one_time_token_type[] := postern_internal.accepted_token_types(p_type);
  v_hash text := postern_internal.otp_hash(lower(p_email), p_token);
  v_user_id uuid;
  v_token auth.one_time_tokens;
begin
  if p_type <> 'email_change' then
    select u.id into v_user_id
    from postern_internal.find_users_by_email(p_email, p_context ->> 'aud') as u;
  end if;
  select t.* into v_token
  from auth.one_time_tokens as t
  where t.token_hash in (v_hash, 'pkce_' || v_hash)
    and t.token_type = any (v_types)
    and (p_type = 'email_change' or t.user_id = v_user_id)
  order by t.token_type, t.token_hash
  limit 1;
  if v_token.id is null and (v_user_id is not null or p_type = 'email_change') then
    perform postern_internal.count_wrong_code(v_types, v_user_id, p_email, p_context);
  end if;
  return v_token;
end;
$$;
