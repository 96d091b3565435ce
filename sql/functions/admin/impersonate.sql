-- Being a user for one transaction: role and claims of the request, as PostgREST sets them.

-- What postern.impersonate() does before it takes on the role, which it returns. Security definer, because callers have
-- no right on tables; the role is set outside of it, because PostgreSQL lets no such function do that.
-- Raises: as find_user and next_claims; validation_failed (400), impersonation_refused (403).
-- Writes: audit, events.
create or replace function postern_internal.begin_impersonation(p_who text, p_reason text)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_user auth.users := postern_internal.find_user(p_who);
  v_reason text := btrim(p_reason);
  v_session auth.sessions;
  v_claims jsonb;
begin
  if coalesce(v_reason, '') = '' or length(v_reason) > 1000 then
    perform postern_internal.fail(400, 'validation_failed', 'Say why you impersonate the user, in at most 1000 characters');
  elsif coalesce(current_setting('postern.impersonated', true), '') <> '' then
    perform postern_internal.fail(403, 'impersonation_refused', 'This transaction impersonates somebody already');
  end if;
  select s.* into v_session from auth.sessions as s
  where s.user_id = v_user.id
    and postern_internal.session_expiry(s, postern_internal.last_active(s), v_context) is null
  order by postern_internal.last_active(s) desc
  limit 1;
  v_claims := postern_internal.next_claims(v_user, v_session, array['password'], v_context);
  perform postern_internal.check_may_be_impersonated(v_user, v_claims, v_context);
  perform postern_internal.audit_admin(
    'user_impersonated', v_user, v_context, jsonb_build_object('reason', v_reason));
  perform postern_internal.record_event(
    'user.impersonated', v_user.id, v_context, jsonb_build_object('reason', v_reason));
  -- the one trace that a rollback leaves
  raise log 'postern: % impersonates user %: %', v_context ->> 'actor', v_user.id, v_reason;
  perform set_config('postern.impersonated', extract(epoch from statement_timestamp())::text, true);
  perform postern_internal.set_request_claims(v_claims);
  return v_claims ->> 'role';
end;
$$;

-- Refuses administrators, by the user and by the token, and roles that may do more than rows of an application allow.
-- Raises: impersonation_refused (403).
create or replace function postern_internal.check_may_be_impersonated(
  p_user auth.users,
  p_claims jsonb,
  p_context jsonb
)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_names text[] := array['service_role', 'supabase_admin', p_context ->> 'admin_role'];
  v_role pg_catalog.pg_roles;
begin
  select r.* into v_role from pg_catalog.pg_roles as r where r.rolname = p_claims ->> 'role';
  if v_role.oid is null then
    perform postern_internal.fail(
      403, 'impersonation_refused', format('There is no database role %L', p_claims ->> 'role'));
  elsif array[p_user.role::text, p_claims ->> 'role', p_claims #>> '{app_metadata,role}'] && v_names
    or coalesce(p_claims #> '{app_metadata,roles}', '[]') ?| v_names
    or v_role.rolsuper or v_role.rolbypassrls or v_role.rolcreaterole or v_role.rolcreatedb or v_role.rolreplication
    or exists (
      select from pg_catalog.pg_roles as r
      where (r.rolname in ('service_role', 'postern_admin', 'postern_support') or r.rolname = current_user or r.rolsuper)
        and pg_has_role(v_role.oid, r.oid, 'member'))
  then
    perform postern_internal.fail(403, 'impersonation_refused', 'The user is an administrator');
  elsif not pg_has_role(
    session_user, v_role.oid, case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end)
  then
    perform postern_internal.fail(403, 'impersonation_refused', format(
      '%s may not become the role of the user: grant %I to %1$I;', session_user, v_role.rolname));
  end if;
end;
$$;

-- The claims of this transaction's request, for auth.uid() and its like: in the one setting of today, not those of old.
create or replace function postern_internal.set_request_claims(p_claims jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform set_config('request.jwt.claims', coalesce(p_claims::text, ''), true),
    set_config('request.jwt.claim.sub', '', true), set_config('request.jwt.claim.role', '', true),
    set_config('request.jwt.claim.email', '', true), set_config('request.jwt.claim', '', true);
end;
$$;

-- At the commit: where the client sent nothing since the call, the commit is that of the call alone, which then was outside
-- of begin and commit, or sent together with all of them. Nothing was done in the user's name, and nothing is kept.
-- Security definer, because it runs as the user. Raises: impersonation_refused (403).
create or replace function postern_internal.check_impersonation()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if current_setting('postern.impersonated', true) = extract(epoch from statement_timestamp())::text then
    perform postern_internal.fail(403, 'impersonation_refused',
      'Impersonation lasts until the end of the transaction: begin one first, and send its statements one by one');
  end if;
  return null;
end;
$$;

-- See the comment on the function. The body is bound when it is made, so that callers need no right on schema
-- postern_internal. Raises and writes: as begin_impersonation.
create or replace function postern.impersonate(who text, reason text)
returns void
language sql volatile security invoker set search_path = ''
begin atomic
  select pg_catalog.set_config('role', postern_internal.begin_impersonation(who, reason), true);
end;
comment on function postern.impersonate(text, text) is
'Makes the rest of this transaction act as a user: takes on the role of their token and its claims, so that policies decide as they do for the user. The claims are those of the session that was active last; without one, of a new sign-in, which session_is_valid() does not know. Commit and rollback end it. Audit log and events name who did it, and why; after a rollback only the log of the database does. Administrators, the banned and the deleted cannot be impersonated, nobody can outside of begin and commit, and nobody as somebody else already.
who: the user''s id, e-mail address, or phone number with a leading +.
reason: why, such as the number of a ticket; at most 1000 characters.
Errors: user_not_found (PT403, PT404), user_banned, impersonation_refused (PT403), hook_not_in_database (PT422), validation_failed (PT400).
Example: select postern.impersonate(''ann@example.com'', ''ticket 4711: does not see her orders'');';
