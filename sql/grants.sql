-- Who may use what, of everything that Postern makes. Installed after all functions and views, in the
-- same transaction, so that none of them is ever open to PUBLIC. (Changed default privileges would do
-- the same, but they would also close functions that applications make as this role, and they would
-- stay behind when Postern is dropped.) Roles that do not exist are left out.

-- Nobody but the owner, to begin with.
do $$
declare
  v_grantee text;
begin
  revoke execute on all routines in schema postern, postern_internal from public;
  for v_grantee in
    select quote_ident(rolname) from pg_roles
    where rolname in ('anon', 'authenticated', 'service_role', 'postern_admin', 'postern_support')
      and rolname <> current_user
  loop
    execute format('revoke execute on all routines in schema postern, postern_internal from %s', v_grantee);
  end loop;
end;
$$;

-- Schema postern: administration for one role, its reading part for the other as well.
do $$
declare
  v_function regprocedure;
begin
  if to_regrole('postern_admin') is not null then
    grant usage on schema postern to postern_admin;
    grant execute on all functions in schema postern to postern_admin;
    grant select on postern.audit to postern_admin;
    grant select, insert, update, delete on postern.user_imports to postern_admin;
    grant execute on function postern_internal.audit_payload(json), postern_internal.as_inet(text),
      postern_internal.begin_impersonation(text, text) to postern_admin;
  end if;
  if to_regrole('postern_support') is not null then
    grant usage on schema postern to postern_support;
    for v_function in
      select oid from pg_proc
      where pronamespace = 'postern'::regnamespace
        and proname in (
          'count_users',
          'delete_user_plan',
          'find_users',
          'get_user',
          'lint',
          'list_events',
          'list_factors',
          'list_identities',
          'list_one_time_tokens',
          'list_sessions',
          'list_suppressed_addresses',
          'merge_users_plan',
          'password_hash_stats',
          'why_signed_out')
    loop
      execute format('grant execute on function %s to postern_support', v_function);
    end loop;
  end if;
end;
$$;

-- Schema postern: what policies and PostgREST call, as the role of the request. Nothing else there is open to these roles.
do $$
declare
  v_role text;
  v_function regprocedure;
begin
  for v_role in
    select rolname from pg_roles where rolname in ('anon', 'authenticated', 'service_role')
  loop
    execute format('grant usage on schema postern to %I', v_role);
    for v_function in
      select oid from pg_proc
      where pronamespace = 'postern'::regnamespace
        and proname in ('aal', 'session_id', 'is_anonymous', 'has_amr', 'session_is_valid', 'check_request')
    loop
      execute format('grant execute on function %s to %I', v_function, v_role);
    end loop;
  end loop;
end;
$$;

-- Schema auth: policies of every role call the helpers; dashboards read as postgres (spec/05 section 1).
do $$
declare
  v_role text;
  v_table text;
begin
  for v_role in
    select rolname from pg_roles where rolname in ('anon', 'authenticated', 'service_role')
  loop
    execute format('grant usage on schema auth to %I', v_role);
  end loop;
  if to_regrole('postgres') is null then
    return;
  end if;
  for v_table in
    select relname from pg_class
    where relnamespace = 'auth'::regnamespace and relname in (
      'audit_log_entries', 'flow_state', 'identities', 'instances', 'mfa_amr_claims',
      'mfa_challenges', 'mfa_factors', 'one_time_tokens', 'refresh_tokens', 'saml_providers',
      'saml_relay_states', 'schema_migrations', 'sessions', 'sso_domains', 'sso_providers', 'users'
    )
  loop
    execute format('grant select on auth.%I to postgres with grant option', v_table);
  end loop;
end;
$$;
