-- Which password hashes a sign-in can compare with: the same that ValidHash of api/password accepts, with the same limits
-- (spec/06 section 6; docs/passwords.md lists the forms). One test holds both against each other.

create or replace function postern_internal.is_password_hash(p_hash text)
returns boolean
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  c_base64 constant text := '([A-Za-z0-9+/.]+={0,2})';
  v text[];
begin
  if octet_length(p_hash) > 4096 then
    return false;
  elsif p_hash ~ '^\{[ \t\r\n]*"' then
    return postern_internal.is_password_hash(postern_internal.keycloak_hash(p_hash));
  end if;
  v := regexp_match(p_hash, '^(?:bcrypt(?:_sha256)?\$)?\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{53}$');
  if v is not null then
    return v[1]::int between 4 and 17;
  end if;
  v := regexp_match(p_hash, '^\$pbkdf2(?:-(sha1|sha256|sha512))?\$(?:i=)?([0-9]{1,7})(?:,l=[0-9]{1,3})?\$'
    || c_base64 || '\$' || c_base64 || '$');
  if v is not null then
    return postern_internal.base64_length(v[3]) > 0
      and postern_internal.is_pbkdf2_within_limits(v[1], v[2]::int, postern_internal.base64_length(v[4]));
  end if;
  v := regexp_match(p_hash, '^pbkdf2_(sha1|sha256)\$([0-9]{1,7})\$[!-#%-~]{1,128}\$' || c_base64 || '$');
  if v is not null then
    return postern_internal.is_pbkdf2_within_limits(v[1], v[2]::int, postern_internal.base64_length(v[3]));
  end if;
  v := regexp_match(p_hash, '^\{[Ss][Ss][Hh][Aa](256|512)?\}' || c_base64 || '$');
  if v is not null then
    return postern_internal.base64_length(v[2]) - postern_internal.digest_length('sha' || coalesce(v[1], '1'))
      between 1 and 64;
  end if;
  v := regexp_match(p_hash, '^\$(?:5\$(?:rounds=([0-9]{1,7})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}'
    || '|6\$(?:rounds=([0-9]{1,7})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86})$');
  if v is not null then
    return coalesce(v[1], v[2], '5000')::int between 1000 and 1000000;
  end if;
  v := regexp_match(p_hash, '^\$[PH]\$([./0-9A-Za-z])[./0-9A-Za-z]{30}$');
  if v is not null then
    return postern_internal.itoa64(v[1]) between 7 and 24;
  end if;
  return postern_internal.is_argon2_hash(p_hash)
    or postern_internal.is_scrypt_hash(p_hash)
    or postern_internal.is_aspnet_hash(p_hash);
end;
$$;

-- Argon2 in its own form, and Django's, which has a word before it.
create or replace function postern_internal.is_argon2_hash(p_hash text)
returns boolean
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v text[] := regexp_match(p_hash, '^(?:argon2)?\$argon2id?\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,2}),p=([0-9]{1,2})'
    || '\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$');
begin
  return coalesce(
    v[1]::int between 1 and 1048576 and v[2]::int between 1 and 20 and v[3]::int between 1 and 16
      and postern_internal.base64_length(v[4]) > 0 and postern_internal.base64_length(v[5]) >= 4,
    false);
end;
$$;

-- scrypt in the forms of Firebase, PHC, SCryptUtil ($s0$), crypt(3) ($7$) and Django.
create or replace function postern_internal.is_scrypt_hash(p_hash text)
returns boolean
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  c_base64 constant text := '([A-Za-z0-9+/.]+={0,2})';
  c_padded constant text := '([A-Za-z0-9+/]+={0,2})';
  v text[];
begin
  v := regexp_match(p_hash, '^\$fbscrypt\$v=1,n=([0-9]{1,2}),r=([0-9]{1,7}),p=([0-9]{1,2})'
    || '(?:,ss=' || c_padded || ')?(?:,sk=' || c_padded || ')?\$' || c_padded || '\$' || c_padded || '$');
  if v is not null then
    return length(v[6]) % 4 = 0 and length(v[7]) % 4 = 0
      and coalesce(length(v[4]), 0) % 4 = 0 and coalesce(length(v[5]), 0) % 4 = 0
      and postern_internal.is_scrypt_within_limits(v[1]::int, v[2]::int, v[3]::int);
  end if;
  v := regexp_match(p_hash, '^\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,7}),p=([0-9]{1,2})\$'
    || c_base64 || '\$' || c_base64 || '$');
  if v is not null then
    return postern_internal.base64_length(v[4]) > 0
      and postern_internal.base64_length(v[5]) between 16 and 128
      and postern_internal.is_scrypt_within_limits(v[1]::int, v[2]::int, v[3]::int);
  end if;
  v := regexp_match(p_hash, '^\$s0\$([0-9a-f]{1,2})([0-9a-f]{2})([0-9a-f]{2})\$' || c_base64 || '\$' || c_base64 || '$');
  if v is not null then
    return postern_internal.base64_length(v[4]) > 0
      and postern_internal.base64_length(v[5]) between 16 and 128
      and postern_internal.is_scrypt_within_limits(
        ('x' || lpad(v[1], 2, '0'))::bit(8)::int, ('x' || v[2])::bit(8)::int, ('x' || v[3])::bit(8)::int);
  end if;
  v := regexp_match(
    p_hash, '^\$7\$([./0-9A-Za-z])([./0-9A-Za-z]{5})([./0-9A-Za-z]{5})[./0-9A-Za-z]{1,86}\$[./0-9A-Za-z]{43}$');
  if v is not null then
    return postern_internal.is_scrypt_within_limits(
      postern_internal.itoa64(v[1]), postern_internal.itoa64(v[2]), postern_internal.itoa64(v[3]));
  end if;
  v := regexp_match(
    p_hash, '^scrypt\$([0-9]{1,8})\$[!-#%-~]{1,128}\$([0-9]{1,7})\$([0-9]{1,2})\$' || c_base64 || '$');
  return coalesce(postern_internal.base64_length(v[4]) between 16 and 128
    and v[1]::int > 0 and v[1]::int & (v[1]::int - 1) = 0
    and postern_internal.is_scrypt_within_limits(
      length(ltrim(v[1]::int::bit(32)::text, '0')) - 1, v[2]::int, v[3]::int), false);
end;
$$;

-- ASP.NET Core Identity, versions 2 and 3: see api/password/aspnet.go.
create or replace function postern_internal.is_aspnet_hash(p_hash text)
returns boolean
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_text text := (regexp_match(p_hash, '^(?:\$aspnet\$)?(A[A-Za-z0-9+/]+={0,2})$'))[1];
  v_blob bytea;
  v_salt bigint;            -- its length
begin
  if v_text is null or length(v_text) % 4 <> 0 then
    return false;
  end if;
  v_blob := decode(v_text, 'base64');
  if get_byte(v_blob, 0) = 0 then
    return length(v_blob) = 49;
  elsif get_byte(v_blob, 0) <> 1 or length(v_blob) <= 13 then
    return false;
  end if;
  v_salt := postern_internal.big_endian(v_blob, 10);
  return postern_internal.big_endian(v_blob, 2) <= 2
    and v_salt between 16 and 128
    and postern_internal.is_pbkdf2_within_limits(
      (array['sha1', 'sha256', 'sha512'])[postern_internal.big_endian(v_blob, 2) + 1],
      postern_internal.big_endian(v_blob, 6), length(v_blob) - 13 - v_salt);
end;
$$;

-- A credential of a realm export of Keycloak as a hash in the PHC form, '' when it is none.
create or replace function postern_internal.keycloak_hash(p_credential text)
returns text
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_secret json;
  v_data json;
  v_parameters json;
begin
  v_secret := p_credential::json -> 'secretData';
  v_data := p_credential::json -> 'credentialData';
  if json_typeof(v_secret) = 'string' then
    v_secret := (v_secret #>> '{}')::json;
  end if;
  if json_typeof(v_data) = 'string' then
    v_data := (v_data #>> '{}')::json;
  end if;
  v_parameters := v_data -> 'additionalParameters';
  if (v_secret ->> 'value' ~ '^[A-Za-z0-9+/]+={0,2}$' and v_secret ->> 'salt' ~ '^[A-Za-z0-9+/]+={0,2}$')
    is not true
  then
    return '';
  elsif v_data ->> 'algorithm' in ('pbkdf2', 'pbkdf2-sha256', 'pbkdf2-sha512') then
    return coalesce('$' || (v_data ->> 'algorithm') || '$i=' || (v_data ->> 'hashIterations') || '$'
      || (v_secret ->> 'salt') || '$' || (v_secret ->> 'value'), '');
  elsif v_data ->> 'algorithm' = 'argon2' and v_parameters #>> '{version,0}' = '1.3' then
    return coalesce('$argon2' || (v_parameters #>> '{type,0}') || '$v=19$m=' || (v_parameters #>> '{memory,0}')
      || ',t=' || (v_data ->> 'hashIterations') || ',p=' || (v_parameters #>> '{parallelism,0}')
      || '$' || rtrim(v_secret ->> 'salt', '=') || '$' || rtrim(v_secret ->> 'value', '='), '');
  end if;
  return '';
exception when data_exception then
  return ''; -- no JSON
end;
$$;

-- Whether PBKDF2 stays within the limits: derived key and iterations times blocks of output.
create or replace function postern_internal.is_pbkdf2_within_limits(p_digest text, p_iterations bigint, p_length bigint)
returns boolean
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_size int := postern_internal.digest_length(coalesce(p_digest, 'sha1'));
begin
  return p_length between 16 and 128
    and p_iterations >= 1 and p_iterations * ((p_length + v_size - 1) / v_size) <= 5000000;
end;
$$;

-- Whether scrypt stays within the limits; p_log_n is the exponent of the cost.
create or replace function postern_internal.is_scrypt_within_limits(p_log_n int, p_r int, p_p int)
returns boolean
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  return p_log_n between 1 and 23 and p_r >= 1 and (1::bigint << p_log_n) * p_r <= 8388608 and p_p between 1 and 16;
end;
$$;

-- Bytes of a digest.
create or replace function postern_internal.digest_length(p_digest text)
returns int
language sql immutable security invoker
as $$
  select case p_digest when 'sha1' then 20 when 'sha256' then 32 when 'sha512' then 64 end
$$;

-- Bytes that base64 stands for, padded or not; 0 for a length that base64 cannot have.
create or replace function postern_internal.base64_length(p_text text)
returns int
language sql immutable security invoker
as $$
  select case when length(rtrim(p_text, '=')) % 4 = 1 then 0 else length(rtrim(p_text, '=')) * 3 / 4 end
$$;

-- A number of four bytes, the highest first, from that position on (the first is 1).
create or replace function postern_internal.big_endian(p_bytes bytea, p_position int)
returns bigint
language sql immutable security invoker
as $$
  select ('x' || encode(substr(p_bytes, p_position, 4), 'hex'))::bit(32)::bigint
$$;

-- A number in the digits of crypt(3), the lowest first; at most five digits.
create or replace function postern_internal.itoa64(p_digits text)
returns int
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_number int := 0;
begin
  for i in 1 .. length(p_digits) loop
    v_number := v_number | ((strpos('./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
      substr(p_digits, i, 1)) - 1) << (6 * (i - 1)));
  end loop;
  return v_number;
end;
$$;
