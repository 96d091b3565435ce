-- Wakes the outbox workers when the surrounding transaction commits.
-- Not for connections of a Postern server: a transaction that has called NOTIFY takes a lock at
-- commit that is shared by the whole cluster, which would put all sign-ups in one line. The server
-- wakes the worker of its own process after such a request, and every worker also polls, so a mail
-- whose server died before it could wake its worker is late by seconds, not lost.
create or replace function postern_internal.wake_outbox()
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if current_setting('application_name') <> 'postern' then
    perform pg_catalog.pg_notify('postern_outbox', '');
  end if;
end;
$$;
