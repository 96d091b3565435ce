-- Format 2 refresh tokens (spec/01 section 5.2): unpadded base64url of version byte 00, 16 bytes of the
-- session id, the counter as unsigned LEB128, 16 bytes of HMAC-SHA256 over all before, 4 bytes of SHA-256.
-- Null without a key: such a session never had a token of this kind.
-- Example: select postern_internal.refresh_token_v2('63c02ba7-b5f9-4b92-9a83-3d898f02d85b', 0,
--   'DXMFHMVKc9MxTQmPsf1z0EWNLeTx2E825wk1Bi4rrrY') = 'AGPAK6e1-UuSmoM9iY8C2FsANK3Vz7XvOT09FU1um81taZVs6lc'
create or replace function postern_internal.refresh_token_v2(
  p_session_id uuid,
  p_counter bigint,
  p_key text                -- sessions.refresh_token_hmac_key: base64url of 32 bytes
)
returns text
language plpgsql immutable strict security invoker set search_path = ''
as $$
declare
  v_signed bytea := '\x00'::bytea || uuid_send(p_session_id);
  v_rest bigint := p_counter;
begin
  loop
    v_signed := v_signed || set_byte('\x00', 0, ((v_rest & 127) | case when v_rest > 127 then 128 else 0 end)::int);
    v_rest := v_rest >> 7;
    exit when v_rest = 0;
  end loop;
  v_signed := v_signed
    || substr(postern_internal.hmac_sha256(postern_internal.base64url_decode(p_key), v_signed), 1, 16);
  return postern_internal.base64url(v_signed || substr(sha256(v_signed), 1, 4));
end;
$$;

-- Reads session id and counter out of a format 2 token. The signature is not checked here: the caller makes
-- the token of that session and counter anew and compares.
-- Raises: validation_failed (400) for text that is no such token.
create or replace function postern_internal.parse_refresh_token_v2(
  p_token text,
  out session_id uuid,
  out counter bigint
)
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_bytes bytea;
  v_length int;
  v_byte int;
  v_shift int := 0;
begin
  if p_token ~ '^[A-Za-z0-9_-]{50,70}$' and length(p_token) % 4 <> 1 then
    v_bytes := postern_internal.base64url_decode(p_token);
    v_length := length(v_bytes);
  end if;
  if v_length >= 38 and get_byte(v_bytes, 0) = 0
    and substr(sha256(substr(v_bytes, 1, v_length - 4)), 1, 4) = substr(v_bytes, v_length - 3)
  then
    session_id := encode(substr(v_bytes, 2, 16), 'hex')::uuid;
    counter := 0;
    -- the counter fills what is between the session id and the 20 bytes of signature and checksum
    for i in 17 .. v_length - 21 loop
      v_byte := get_byte(v_bytes, i);
      exit when v_shift > 56;
      counter := counter | ((v_byte & 127)::bigint << v_shift);
      v_shift := v_shift + 7;
      if v_byte < 128 then
        if i = v_length - 21 then
          return;
        end if;
        exit;
      end if;
    end loop;
  end if;
  perform postern_internal.fail(400, 'validation_failed', 'Refresh token is not valid');
end;
$$;
