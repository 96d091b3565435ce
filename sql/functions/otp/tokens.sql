-- The hash under which a one-time code is stored and mailed (spec/01 section 1.1): hex SHA-224 of address and code.
-- Example: select postern_internal.otp_hash('gl@example.com', '608185')
--   = '2ccb291ec3c2849006dddd7622775645a07e3f07d3a2c377737731dd'
create or replace function postern_internal.otp_hash(p_address text, p_otp text)
returns text
language sql stable security invoker -- like convert_to: so it is inlined
as $$
  select encode(sha224(convert_to(p_address || p_otp, 'UTF8')), 'hex')
$$;

-- A new code for an address and its hash. p_is_pkce marks links that end in a code exchange.
create or replace function postern_internal.make_otp(
  p_address text,
  p_is_pkce boolean,
  p_context jsonb,
  out otp text,
  out token_hash text
)
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  otp := postern_internal.random_otp((p_context ->> 'otp_length')::int);
  token_hash := case when p_is_pkce then 'pkce_' else '' end || postern_internal.otp_hash(p_address, otp);
end;
$$;

-- Makes a hash findable; it replaces the user's earlier token of that type. Returns what a link says to mean it. The
-- caller holds the user's lock and writes the same hash to the matching column of auth.users.
-- Writes: one_time_tokens, link_secrets.
create or replace function postern_internal.store_one_time_token(
  p_user_id uuid,
  p_type auth.one_time_token_type,
  p_token_hash text,
  p_relates_to text
)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_id uuid := postern_internal.random_uuid();
begin
  insert into auth.one_time_tokens as t (id, user_id, token_type, token_hash, relates_to, created_at, updated_at)
  values (
    v_id, p_user_id, p_type, p_token_hash, lower(p_relates_to),
    postern_internal.clock() at time zone 'UTC', postern_internal.clock() at time zone 'UTC')
  on conflict (user_id, token_type) do update
    set token_hash = excluded.token_hash, relates_to = excluded.relates_to,
      created_at = excluded.created_at, updated_at = excluded.updated_at
  returning t.id into v_id;
  return postern_internal.make_link(v_id, p_token_hash);
end;
$$;

-- Refuses a second mail of one kind within SMTP_MAX_FREQUENCY of the first.
-- Raises: over_email_send_rate_limit (429).
create or replace function postern_internal.check_mail_frequency(p_last_sent_at timestamptz, p_context jsonb)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_wait interval := p_last_sent_at + make_interval(secs => (p_context ->> 'mail_frequency')::float)
    - postern_internal.clock();
begin
  if v_wait > '0' then
    perform postern_internal.fail_too_soon('over_email_send_rate_limit', v_wait);
  end if;
end;
$$;

-- Refuses a second text message of one kind within SMS_MAX_FREQUENCY of the first.
-- Raises: over_sms_send_rate_limit (429).
create or replace function postern_internal.check_sms_frequency(p_last_sent_at timestamptz, p_context jsonb)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_wait interval := p_last_sent_at + make_interval(secs => (p_context ->> 'sms_frequency')::float)
    - postern_internal.clock();
begin
  if v_wait > '0' then
    perform postern_internal.fail_too_soon('over_sms_send_rate_limit', v_wait);
  end if;
end;
$$;

-- Raises what comes too soon (429): p_wait is the time until it does not.
create or replace function postern_internal.fail_too_soon(p_code text, p_wait interval)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.fail(429, p_code, format(
    'For security purposes, you can only request this after %s seconds.', trunc(extract(epoch from p_wait))),
    jsonb_build_object('retry_after', extract(epoch from p_wait)));
end;
$$;

-- Whether a code sent at that time still counts. One never sent does not.
create or replace function postern_internal.is_otp_alive(p_sent_at timestamptz, p_context jsonb)
returns boolean
language sql stable security invoker
as $$
  select coalesce(
    p_sent_at + make_interval(secs => (p_context ->> 'otp_exp')::float) >= postern_internal.clock(), false)
$$;

-- Whether a code sent by text message at that time still counts.
create or replace function postern_internal.is_sms_otp_alive(p_sent_at timestamptz, p_context jsonb)
returns boolean
language sql stable security invoker
as $$
  select coalesce(
    p_sent_at + make_interval(secs => (p_context ->> 'sms_otp_exp')::float) >= postern_internal.clock(), false)
$$;

-- The link of a mail (spec/01 section 1.2). p_path is invite, confirmation, recovery or email_change.
create or replace function postern_internal.action_link(
  p_path text,
  p_token_hash text,
  p_type text,
  p_context jsonb
)
returns text
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_target text := coalesce(p_context ->> 'redirect_to', p_context ->> 'site_url');
begin
  if v_target ~ '[&=#]' then
    v_target := postern_internal.url_encode(v_target);
  end if;
  return coalesce(p_context -> 'verify_urls' ->> p_path, '') || '?token=' || p_token_hash || '&type=' || p_type
    || '&redirect_to=' || v_target;
end;
$$;
