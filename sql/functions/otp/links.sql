-- Mailed links. The hash of a code (otp_hash) is what auth.one_time_tokens holds, as Supabase Auth has it; but whoever knows
-- an address can make the hash of each of a million codes, and would guess with links where guesses of codes are counted
-- (limits/guesses.sql). So a link names its row and a secret of its own: 56 hex digits like a hash, 16 bytes of the row's
-- id and 12 random ones, with the same prefix pkce_.

-- A link for a token that was just stored; an earlier link to the same row is void. Writes: link_secrets.
create or replace function postern_internal.make_link(p_token_id uuid, p_token_hash text)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_random bytea := uuid_send(postern_internal.random_uuid());
  v_secret bytea := substr(v_random, 1, 6) || substr(v_random, 11, 6); -- not the bytes with version and variant
begin
  insert into postern.link_secrets (token_id, token_hash, secret_hash, created_at)
  values (p_token_id, p_token_hash, sha256(v_secret), postern_internal.clock())
  on conflict (token_id) do update
    set token_hash = excluded.token_hash, secret_hash = excluded.secret_hash, created_at = excluded.created_at;
  return case when p_token_hash like 'pkce\_%' then 'pkce_' else '' end || encode(uuid_send(p_token_id) || v_secret, 'hex');
end;
$$;

-- The token that a link means, of one of these types; a null row when there is none. A token without a secret is one that
-- Supabase Auth made: its link is its hash, unless it is for a phone number. Those have no link, and one would live as long as
-- a mail's.
create or replace function postern_internal.find_link(p_link text, p_types auth.one_time_token_type[])
returns auth.one_time_tokens
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_hex text := regexp_replace(p_link, '^pkce_', '');
  v_token auth.one_time_tokens;
begin
  if v_hex ~ '^[0-9a-f]{56}$' then
    select t.* into v_token
    from postern.link_secrets as s
    join auth.one_time_tokens as t on t.id = s.token_id and t.token_hash = s.token_hash
    where s.token_id = left(v_hex, 32)::uuid and s.secret_hash = sha256(decode(substr(v_hex, 33), 'hex'))
      and (p_link like 'pkce\_%') = (t.token_hash like 'pkce\_%') and t.token_type = any (p_types);
  end if;
  if v_token.id is null then
    select t.* into v_token
    from auth.one_time_tokens as t
    where t.token_hash = p_link and t.token_type = any (p_types) and t.relates_to like '%@%'
      and not exists (
        select from postern.link_secrets as s where s.token_id = t.id and s.token_hash = t.token_hash)
    limit 1;
  end if;
  return v_token;
end;
$$;
