-- Sealed values (spec/05 section 8): the columns that may hold them, for whoever seals them all anew (postern key
-- rotate-encryption), and how SQL opens one for somebody who has the key. Only the server seals.

-- A page of the values of one column, in the order of their rows: those after p_after (null: from the start) that hold
-- anything. Raises: validation_failed (400) for a column that is none of them.
create or replace function postern_internal.list_sealed_values(p_column text, p_after uuid, p_limit int)
returns table (id uuid, stored text)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_place text[] := postern_internal.sealed_column(p_column);
begin
  return query execute format(
    'select t.id, t.%3$I::text from %1$I.%2$I as t where ($1 is null or t.id > $1) and t.%3$I <> '''' order by t.id limit $2',
    v_place[1], v_place[2], v_place[3]) using p_after, p_limit;
end;
$$;

-- Replaces values of one column where they are still what they were. Returns how many. Raises: as list_sealed_values.
-- Locks: the rows, in id order.
create or replace function postern_internal.replace_sealed_values(
  p_column text,
  p_ids uuid[],
  p_old text[],
  p_new text[]
)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_place text[] := postern_internal.sealed_column(p_column);
  v_count int;
begin
  execute format('with locked as ('
    || 'select t.id, c.new from unnest($1, $2, $3) as c (id, old, new) '
    || 'join %1$I.%2$I as t on t.id = c.id and t.%3$I = c.old order by t.id for no key update of t) '
    || 'update %1$I.%2$I as t set %3$I = locked.new from locked where t.id = locked.id',
    v_place[1], v_place[2], v_place[3]) using p_ids, p_old, p_new;
  get diagnostics v_count = row_count;
  return v_count;
end;
$$;

-- Schema, table and column of a name such as users.encrypted_password. Raises: validation_failed (400).
create or replace function postern_internal.sealed_column(p_column text)
returns text[]
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  if p_column in ('users.encrypted_password', 'mfa_factors.secret', 'mfa_challenges.otp_code',
    'sessions.refresh_token_hmac_key', 'custom_oauth_providers.client_secret')
  then
    return array['auth'] || string_to_array(p_column, '.');
  elsif p_column in ('provider_tokens.access_token', 'provider_tokens.refresh_token', 'webhook_secrets.secret') then
    return array['postern'] || string_to_array(p_column, '.');
  end if;
  perform postern_internal.fail(400, 'validation_failed', format('No sealed values are in %s', p_column));
  return null;
end;
$$;

-- What a sealed value says, for somebody who has the key it was sealed with (base64url of 32 bytes) and the id of its row:
-- AES-256-GCM under a key that HKDF-SHA256 derives for the row. Needs pgcrypto.
-- Raises: validation_failed (400) without pgcrypto, for a key of another form, and for a wrong key or a damaged value.
create or replace function postern_internal.open_sealed(p_stored text, p_id uuid, p_key text)
returns text
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_pgcrypto name := (
    select n.nspname from pg_extension as e join pg_namespace as n on n.oid = e.extnamespace
    where e.extname = 'pgcrypto');
  v_data bytea := decode(p_stored::jsonb ->> 'data', 'base64');
  v_nonce bytea := decode(p_stored::jsonb ->> 'nonce', 'base64');
  v_length int := length(v_data) - 16; -- the last 16 bytes are the tag
  v_key bytea;
  v_counters bytea := decode('', 'hex');
  v_stream bytea;
  v_hash_key bytea;
begin
  if v_pgcrypto is null then
    perform postern_internal.fail(400, 'validation_failed', 'Opening a value takes pgcrypto: create extension pgcrypto');
  elsif coalesce(p_key !~ '^[A-Za-z0-9_-]{43}$', true) then
    perform postern_internal.fail(400, 'validation_failed', 'The key must be 32 bytes in base64url without padding');
  end if;
  for i in 1 .. 1 + (v_length + 15) / 16 loop -- the first block is for the tag
    v_counters := v_counters || v_nonce || int4send(i);
  end loop;
  v_key := postern_internal.hmac_sha256( -- HKDF (RFC 5869): extract without salt, expand for the row
    postern_internal.hmac_sha256('', postern_internal.base64url_decode(p_key)),
    convert_to(p_id::text, 'UTF8') || '\x01');
  execute format('select %1$I.encrypt($2, $1, $4), %1$I.encrypt($3, $1, $4)', v_pgcrypto)
  into v_stream, v_hash_key
  using v_key, v_counters, decode(repeat('00', 16), 'hex'), 'aes-ecb/pad:none';
  if postern_internal.xor_bytes(
    postern_internal.ghash(v_hash_key, substr(v_data, 1, v_length)), v_stream) <> substr(v_data, v_length + 1)
  then
    perform postern_internal.fail(400, 'validation_failed', 'The key is wrong, or the value was changed');
  end if;
  return convert_from(postern_internal.xor_bytes(substr(v_data, 1, v_length), substr(v_stream, 17)), 'UTF8');
end;
$$;

-- Bytes of p_a, each combined with the one at its place in p_b.
create or replace function postern_internal.xor_bytes(p_a bytea, p_b bytea)
returns bytea
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  for i in 0 .. length(p_a) - 1 loop
    p_a := set_byte(p_a, i, get_byte(p_a, i) # get_byte(p_b, i));
  end loop;
  return p_a;
end;
$$;

-- GHASH of data without additional data (NIST SP 800-38D section 6.4).
create or replace function postern_internal.ghash(p_hash_key bytea, p_data bytea)
returns bytea
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_padded bytea := p_data || decode(repeat('00', (16 - length(p_data) % 16) % 16), 'hex')
    || int8send(0) || int8send(length(p_data)::bigint * 8);
  v_key bit(128) := ('x' || encode(p_hash_key, 'hex'))::bit(128);
  v_polynomial bit(128) := x'e1000000000000000000000000000000';
  v_sum bit(128) := repeat('0', 128)::bit(128);
  v_factor bit(128);
  v_product bit(128);
begin
  for v_block in 0 .. length(v_padded) / 16 - 1 loop
    v_sum := v_sum # ('x' || encode(substr(v_padded, v_block * 16 + 1, 16), 'hex'))::bit(128);
    v_product := repeat('0', 128)::bit(128);
    v_factor := v_key;
    for i in 0 .. 127 loop
      if get_bit(v_sum, i) = 1 then
        v_product := v_product # v_factor;
      end if;
      v_factor := case when get_bit(v_factor, 127) = 1 then (v_factor >> 1) # v_polynomial else v_factor >> 1 end;
    end loop;
    v_sum := v_product;
  end loop;
  return int8send(substring(v_sum from 1 for 64)::bit(64)::bigint)
    || int8send(substring(v_sum from 65 for 64)::bit(64)::bigint);
end;
$$;
