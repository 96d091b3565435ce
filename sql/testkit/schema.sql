-- Schema postern_test: for tests of policies and of functions, in databases of developers only. `postern migrate --test-kit`
-- installs it, nothing else does; `drop schema postern_test cascade` removes it.
--
-- Any role may call these functions, because a test goes on as the user it has become. Those that act with the rights of
-- the schema's owner look at the session user, whom no set role changes: PostgREST's authenticator is refused.
grant usage on schema postern_test to public;

-- Raises: not_admin (403), unless the connection belongs to the owner of the schema, a member of postern_admin or a superuser.
create or replace function postern_test.check_caller()
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if not (pg_has_role(session_user, current_user, 'member')
    or (to_regrole('postern_admin') is not null and pg_has_role(session_user, to_regrole('postern_admin'), 'member')))
  then
    perform postern_internal.fail(403, 'not_admin', format('The test kit is for administrators: %I is none', session_user));
  end if;
end;
$$;
