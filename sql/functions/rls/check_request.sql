-- Whether the user and the session of the request are still what its token says: a signature outlives both. The gates are
-- those of postern_internal.authenticate, and a session's hard end; asked with one statement, which finds user and session
-- by their primary keys, and writes nothing: it runs before each request of an application, on replicas as well.

-- Judges the claims of the request: the error to refuse it with (postern_internal.failure), or null. Who is nobody, or
-- service_role, cannot be banned or signed out: passes, unless p_needs_user.
-- Codes: bad_jwt, user_not_found, session_not_found, session_expired, user_banned; no_authorization without a needed user.
-- Every expression that is evaluated here is paid for by every request.
create or replace function postern_internal.judge_request(p_needs_user boolean)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_claims jsonb;
  v_role text;
  v_sub text;
  v_user_id uuid;
  v_session_id uuid;
  v_code text;
begin
  begin
    v_claims := auth.jwt();
    v_role := postern_internal.request_claim('role', v_claims);
    v_sub := postern_internal.request_claim('sub', v_claims);
    if v_role = 'service_role' or v_sub is null then
      return postern_internal.judge_nobody(v_claims, v_role, p_needs_user);
    end if;
    v_user_id := v_sub::uuid;
    v_session_id := nullif(
      postern_internal.request_claim('session_id', v_claims)::uuid, postern_internal.nil_uuid());
  exception when data_exception or program_limit_exceeded then -- no JSON, U+0000 in it, nested too deeply, no UUID
    return postern_internal.failure(403, 'bad_jwt', case
      when v_sub is null then 'invalid claims: not a JSON object'
      when v_user_id is null then 'invalid claim: sub claim must be a UUID'
      else 'invalid claim: session_id claim must be a UUID'
    end);
  end;
  -- Whose the session is stands in the output, not in the join, so that it is always found by its primary key.
  select case
      when v_session_id is not null and s.user_id is distinct from u.id then 'session_not_found'
      when s.not_after < postern_internal.clock() then 'session_expired'
      when postern_internal.is_banned(u) then 'user_banned'
    end
  into v_code
  from auth.users as u
  left join auth.sessions as s on s.id = v_session_id
  where u.id = v_user_id and u.deleted_at is null
    and postern_internal.is_here(u.instance_id);
  if found and v_code is null then
    return null;
  end if;
  return postern_internal.failure(403, coalesce(v_code, 'user_not_found'), case v_code
    when 'session_not_found' then 'Session from session_id claim in JWT does not exist'
    when 'session_expired' then 'Session is no longer valid'
    when 'user_banned' then 'User is banned'
    else 'User from sub claim in JWT does not exist'
  end);
end;
$$;

-- The same for claims that name nobody, and for service_role.
create or replace function postern_internal.judge_nobody(p_claims jsonb, p_role text, p_needs_user boolean)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if jsonb_typeof(p_claims) <> 'object' then
    return postern_internal.failure(403, 'bad_jwt', 'invalid claims: not a JSON object');
  elsif p_role = 'authenticated' then
    return postern_internal.failure(403, 'bad_jwt', 'invalid claim: missing sub claim');
  elsif p_needs_user then
    return postern_internal.failure(401, 'no_authorization', 'The request is not a user''s');
  end if;
  return null;
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
  v_failure jsonb := postern_internal.judge_request(p_needs_user => false);
begin
  if v_failure is not null then
    perform postern_internal.fail((v_failure ->> 'status')::int, v_failure ->> 'code', v_failure ->> 'message');
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
begin
  return postern_internal.judge_request(p_needs_user => true) is null;
end;
$$;
comment on function postern.session_is_valid() is
'Whether the request is that of a user whom check_request() lets pass: for policies of single tables, and where no db-pre-request runs (Realtime, Storage). False without a user, also for service_role.
Example: select postern.session_is_valid();
Example: create policy "live sessions only" on payments as restrictive to authenticated using ((select postern.session_is_valid()));';
