-- At the commit of a transaction that impersonated somebody. What it does is in functions/admin/impersonate.sql, which takes
-- the place of this body in the same transaction.
create function postern_internal.check_impersonation()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return null;
end;
$$;
create constraint trigger check_impersonation after insert on postern.events
  deferrable initially deferred for each row when (new.type = 'user.impersonated')
  execute function postern_internal.check_impersonation();
