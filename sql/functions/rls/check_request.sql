-- Whether the user and the session of the request are still what its token says: a signature outlives both. The gates are
-- those of postern_internal.authenticate, and a session's hard end; asked with one statement, which finds user and session
-- by their primary keys, and writes nothing: it runs before each request of an application, on replicas as well.

-- Judges the claims of the request. user_id is the user they name, null for those that name nobody and for service_role.
-- code and message say why to refuse: bad_jwt, user_not_found, session_not_found, session_expired, user_banned; else null.
create or replace function postern_internal.judge_request(
  out user_id uuid,
  out code text,
  out message text
)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_claims jsonb;
  v_role text;
  v_sub text;
  v_session text;
begin
  begin
    v_claims := auth.jwt();
  exception when data_exception or program_limit_exceeded then -- no JSON, U+0000 in it, nested too deeply
    v_claims := '[]';
  end;
  if jsonb_typeof(v_claims) <> 'object' then
    code := 'bad_jwt';
    message := 'invalid claims: not a JSON object';
    return;
  end if;
  v_role := postern_internal.request_claim('role', v_claims);
  v_sub := postern_internal.request_claim('sub', v_claims);
  if v_role = 'service_role' or v_sub is null and v_role is distinct from 'authenticated' then
    return; -- nobody who could be banned
  end if;
  v_session := nullif(postern_internal.request_claim('session_id', v_claims), postern_internal.nil_uuid()::text);
  message := case
    when v_sub is null then 'invalid claim: missing sub claim'
    when not postern_internal.is_uuid(v_sub) then 'invalid claim: sub claim must be a UUID'
    when not postern_internal.is_uuid(v_session) then 'invalid claim: session_id claim must be a UUID'
  end;
  if message is not null then
    code := 'bad_jwt';
    return;
  end if;
  user_id := v_sub;
  code := postern_internal.judge_session(v_sub::uuid, v_session::uuid);
  message := case code
    when 'user_not_found' then 'User from sub claim in JWT does not exist'
    when 'session_not_found' then 'Session from session_id claim in JWT does not exist'
    when 'session_expired' then 'Session is no longer valid'
    when 'user_banned' then 'User is banned'
  end;
end;
$$;

-- The code that a user and a session of theirs are refused with, or null. p_session_id is null for tokens without a session.
create or replace function postern_internal.judge_session(p_user_id uuid, p_session_id uuid)
returns text
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_code text;
begin
  select case
      when p_session_id is not null and s.id is null then 'session_not_found'
      when s.not_after < postern_internal.clock() then 'session_expired'
      when postern_internal.is_banned(u) then 'user_banned'
    end
  into v_code
  from auth.users as u
  left join auth.sessions as s on s.id = p_session_id and s.user_id = u.id
  where u.id = p_user_id and u.instance_id = postern_internal.nil_uuid() and u.deleted_at is null;
  if not found then
    return 'user_not_found';
  end if;
  return v_code;
end;
$$;

-- A claim of the request as text, null where it is empty. PostgREST sets the first setting before version 10.
create or replace function postern_internal.request_claim(p_name text, p_claims jsonb)
returns text
language sql stable security invoker
as $$
  select coalesce(nullif(current_setting('request.jwt.claim.' || p_name, true), ''), nullif(p_claims ->> p_name, ''))
$$;

-- See the comment on the function. Security definer: callers have no right on auth.users and auth.sessions.
create or replace function postern.check_request()
returns void
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_code text;
  v_message text;
begin
  select j.code, j.message into v_code, v_message from postern_internal.judge_request() as j;
  if v_code is not null then
    perform postern_internal.fail(403, v_code, v_message);
  end if;
end;
$$;
comment on function postern.check_request() is
'Refuses the request when its session ended or its user is banned or deleted, although the token has not expired: for db-pre-request of PostgREST. Requests without a user and those of service_role pass; a token without a session passes if its user may. Writes nothing, so it runs on replicas.
Errors: bad_jwt, user_not_found, session_not_found, session_expired, user_banned (PT403).
Example: alter role authenticator set pgrst.db_pre_request = ''postern.check_request''; notify pgrst, ''reload config'';
Example: select postern.check_request();';

-- See the comment on the function. Not parallel safe: reading claims that may be malformed begins a subtransaction.
create or replace function postern.session_is_valid()
returns boolean
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_is_valid boolean;
begin
  select j.user_id is not null and j.code is null into v_is_valid from postern_internal.judge_request() as j;
  return v_is_valid;
end;
$$;
comment on function postern.session_is_valid() is
'Whether the request is that of a user whom check_request() lets pass: for policies of single tables, and where no db-pre-request runs (Realtime, Storage). False without a user, also for service_role.
Example: select postern.session_is_valid();
Example: create policy "live sessions only" on payments as restrictive to authenticated using ((select postern.session_is_valid()));';
