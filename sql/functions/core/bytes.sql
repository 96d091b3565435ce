-- base64url without padding (RFC 4648 section 5).
create or replace function postern_internal.base64url(p_bytes bytea)
returns text
language sql immutable security invoker
as $$
  select translate(encode(p_bytes, 'base64'), '+/=' || chr(10), '-_')
$$;

-- The bytes of base64url text; raises 22023 when it is none.
create or replace function postern_internal.base64url_decode(p_text text)
returns bytea
language sql immutable security invoker
as $$
  select decode(translate(p_text, '-_', '+/') || repeat('=', (4 - length(p_text) % 4) % 4), 'base64')
$$;

-- HMAC-SHA256 (RFC 2104) for keys of at most 64 bytes: pgcrypto is not always there.
create or replace function postern_internal.hmac_sha256(p_key bytea, p_message bytea)
returns bytea
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_inner bytea := decode(repeat('36', 64), 'hex');
  v_outer bytea := decode(repeat('5c', 64), 'hex');
begin
  for i in 0 .. length(p_key) - 1 loop
    v_inner := set_byte(v_inner, i, get_byte(p_key, i) # 54);
    v_outer := set_byte(v_outer, i, get_byte(p_key, i) # 92);
  end loop;
  return sha256(v_outer || sha256(v_inner || p_message));
end;
$$;

-- Text for the query of a URL: application/x-www-form-urlencoded, UTF-8.
create or replace function postern_internal.url_encode(p_text text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select coalesce(string_agg(
    case
      when c ~ '^[A-Za-z0-9_.~-]$' then c
      when c = ' ' then '+'
      else upper(regexp_replace(encode(convert_to(c, 'UTF8'), 'hex'), '(..)', '%\1', 'g'))
    end, '' order by n), '')
  from regexp_split_to_table(p_text, '') with ordinality as t (c, n)
$$;
