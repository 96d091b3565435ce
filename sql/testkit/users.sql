-- Users of a test, and being one of them.

-- See the comment on the function. Raises: as postern.create_user, check_caller.
create or replace function postern_test.create_user(
  email text,
  user_metadata jsonb default '{}',
  app_metadata jsonb default '{}',
  role text default null,
  id uuid default null
)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform postern_test.check_caller();
  return postern.create_user(email, email_confirm => true, user_metadata => user_metadata, app_metadata => app_metadata,
    role => role, id => id);
end;
$$;
comment on function postern_test.create_user(text, jsonb, jsonb, text, uuid) is
'Creates a user with a confirmed address and without a password, and returns the id.
user_metadata, app_metadata, role, id: as for postern.create_user.
Errors: email_exists (PT422), validation_failed (PT400), not_admin (PT403).
Example: select postern_test.create_user(''ann@example.com'', app_metadata => ''{"team": "blue"}'');';

-- See the comment on the function. Raises: as find_user, check_caller.
create or replace function postern_test.get_uid(who text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform postern_test.check_caller();
  return (postern_internal.find_user(who)).id;
end;
$$;
comment on function postern_test.get_uid(text) is
'The id of a user, whatever role the test has become.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404), validation_failed (PT400), not_admin (PT403).
Example: select postern_test.get_uid(''ann@example.com'');';

-- Signs a user in, in the database, and sets the claims of the new session's token, for authenticate_as. Returns the role.
-- Raises: as find_user, open_session, next_claims, check_caller; validation_failed (400).
create or replace function postern_test.open_session(p_who text, p_aal text, p_methods text[])
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_methods text[] := coalesce(
    p_methods, case when p_aal = 'aal2' then array['password', 'totp'] else array['password'] end);
  v_now timestamptz := postern_internal.clock();
  v_user auth.users;
  v_session auth.sessions;
  v_claims jsonb;
begin
  perform postern_test.check_caller();
  if cardinality(v_methods) = 0
    or (case when v_methods && array['totp', 'mfa/phone', 'mfa/webauthn'] then 'aal2' else 'aal1' end)
      is distinct from coalesce(p_aal, 'aal1')
  then
    perform postern_internal.fail(400, 'validation_failed',
      'aal is aal1, or aal2 with a method that is a second factor: totp, mfa/phone or mfa/webauthn');
  end if;
  v_user := postern_internal.need_user((postern_internal.find_user(p_who)).id);
  v_session.id := (postern_internal.open_session(v_user, v_methods[1], v_context - 'hooks') ->> 'session_id')::uuid;
  insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
  select gen_random_uuid(), v_session.id, v_now, v_now + m.n * interval '1 microsecond', m.method
  from unnest(v_methods) with ordinality as m (method, n)
  where m.n > 1;
  update auth.sessions as s set aal = coalesce(p_aal, 'aal1')::auth.aal_level where s.id = v_session.id
  returning s.* into v_session;
  v_claims := postern_internal.next_claims(v_user, v_session, null, v_context);
  perform postern_internal.set_request_claims(v_claims);
  return v_claims ->> 'role';
end;
$$;

-- See the comment on the function. The role is set outside of the part with the owner's rights, because PostgreSQL lets
-- no such function do that. Raises: as open_session.
create or replace function postern_test.authenticate_as(
  who text,
  aal text default 'aal1',
  variadic methods text[] default null
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform set_config('role', postern_test.open_session(who, aal, methods), true);
end;
$$;
comment on function postern_test.authenticate_as(text, text, text[]) is
'Signs a user in and goes on as that user until the end of the transaction, or the next call: the session is a row of auth.sessions, the claims are those of its token, changed by the custom-access-token hook where it is a function of this database.
who: the user''s id, e-mail address, or phone number with a leading +.
aal: aal1, or aal2 for a session with a second factor.
methods: how the user signed in, the earliest first, such as password, otp, magiclink, oauth, totp; default: password, and totp for aal2.
Errors: user_not_found (PT403, PT404), user_banned (PT403), validation_failed (PT400), hook_not_in_database (PT422), not_admin (PT403); 42501 where the session user is no member of the role.
Example: select postern_test.authenticate_as(''ann@example.com'');
Example: select postern_test.authenticate_as(''ann@example.com'', ''aal2'', ''otp'', ''totp'');';

-- Sets role and claims of a key, for as_anon and as_service.
create or replace function postern_test.set_request(p_role text, p_claims text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform set_config('request.jwt.claims', p_claims, true), set_config('request.jwt.claim.sub', '', true),
    set_config('request.jwt.claim.role', '', true), set_config('request.jwt.claim.email', '', true),
    set_config('request.jwt.claim', '', true), set_config('role', p_role, true);
end;
$$;

create or replace function postern_test.as_anon()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select postern_test.set_request('anon', '{"role": "anon"}')
$$;
comment on function postern_test.as_anon() is
'Goes on as a request with the anon key.
Example: select postern_test.as_anon();';

create or replace function postern_test.as_service()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select postern_test.set_request('service_role', '{"role": "service_role"}')
$$;
comment on function postern_test.as_service() is
'Goes on as a request with the service key.
Example: select postern_test.as_service();';

create or replace function postern_test.clear()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select postern_test.set_request('none', '')
$$;
comment on function postern_test.clear() is
'Goes on as the user of the connection, without claims.
Example: select postern_test.clear();';
