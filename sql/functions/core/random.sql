-- A random UUID (version 4). Where a server asks questions (core/ask.sql), postern.seed makes each the same again in the
-- next call of the same request.
create or replace function postern_internal.random_uuid()
returns uuid
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_seed text := coalesce(current_setting('postern.seed', true), '');
  v_draw text;
  v_bytes bytea;
begin
  if v_seed = '' then
    return gen_random_uuid();
  end if;
  v_draw := coalesce(nullif(current_setting('postern.draw', true), ''), '0')::int + 1;
  perform set_config('postern.draw', v_draw, true);
  v_bytes := substr(sha256(convert_to(v_seed || ':' || v_draw, 'UTF8')), 1, 16);
  v_bytes := set_byte(v_bytes, 6, get_byte(v_bytes, 6) & 15 | 64);
  return encode(set_byte(v_bytes, 8, get_byte(v_bytes, 8) & 63 | 128), 'hex')::uuid;
end;
$$;

-- A uniformly random decimal code of p_digits digits (6 to 10), zero-padded.
-- 60 bits, mixed from the 122 random ones of a UUID, against at most 10^10 codes: the bias is below 10^-8.
create or replace function postern_internal.random_otp(p_digits int)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return lpad(
    (('x' || substr(md5(uuid_send(postern_internal.random_uuid())), 1, 15))::bit(60)::bigint
      % (10 ^ p_digits)::bigint)::text,
    p_digits, '0');
end;
$$;

-- A format 1 refresh token: 12 characters of lower-case base32, 60 random bits (spec/01 section 5.1).
-- Nine bytes of a random UUID, without those that hold its version and variant, are twelve letters of base64, two of which
-- stand for each letter of base32.
create or replace function postern_internal.random_refresh_token()
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_random bytea := uuid_send(gen_random_uuid());
begin
  return translate(
    lower(encode(substr(v_random, 1, 6) || substr(v_random, 10, 3), 'base64') collate "C"), '0189+/', '234567');
end;
$$;

-- A bcrypt hash that no password has: what an account gets that was made without a password.
-- The reference hashes a long random password nobody is told; random digits cost nothing and say the same.
create or replace function postern_internal.unusable_password_hash()
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return '$2a$10$' || substr(
    translate(encode(sha512(uuid_send(gen_random_uuid())), 'base64'), '+' || chr(10), '.'), 1, 53);
end;
$$;
