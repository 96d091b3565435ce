-- The key of a session's format 2 tokens as it is used: sessions.refresh_token_hmac_key may hold a sealed value, which only
-- the server can open (spec/05 section 8). Null for a session without a key, for one the server cannot open, and while the
-- question waits for its answer (is_asking). A value that is due for it is sealed anew.
-- Raises: as ask, for a sealed key where nobody can be asked. The caller holds the session's lock. Writes: sessions.
create or replace function postern_internal.session_key(p_session auth.sessions, p_context jsonb)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_key text := p_session.refresh_token_hmac_key;
  v_answer jsonb;
begin
  if v_key is null or (left(v_key, 1) <> '{' and not (p_context ? 'seals' and p_context ? 'answers')) then
    return v_key;
  end if;
  v_answer := postern_internal.ask(
    'session-key:open', jsonb_build_object('id', p_session.id, 'stored', v_key), p_context);
  if v_answer ->> 'stored' is not null then
    update auth.sessions set refresh_token_hmac_key = v_answer ->> 'stored' where id = p_session.id;
  end if;
  return v_answer ->> 'plain';
end;
$$;

-- A key for a session that gets its first format 2 token, and what to store of it; null while the question waits. Where
-- the server seals but cannot be asked, the key is stored as it is, and sealed at the next refresh.
create or replace function postern_internal.new_session_key(
  p_session_id uuid,
  p_context jsonb,
  out plain text,
  out stored text
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_answer jsonb;
begin
  if p_context ? 'seals' and p_context ? 'answers' then
    v_answer := postern_internal.ask('session-key:new', jsonb_build_object('id', p_session_id), p_context);
    plain := v_answer ->> 'plain';
    stored := v_answer ->> 'stored';
    return;
  end if;
  plain := postern_internal.random_key();
  stored := plain;
end;
$$;

-- A key for the refresh tokens of one session: base64url of 32 bytes, 244 of their bits random.
create or replace function postern_internal.random_key()
returns text
language sql volatile security invoker set search_path = ''
as $$
  select postern_internal.base64url(sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
$$;
