-- The triggers on tables of schema auth that call one of the functions, for the log: "trigger on table". p_functions are
-- signatures as PostgreSQL writes them into the context of an error.
create or replace function postern_internal.triggers_of_functions(p_functions text[])
returns setof text
language sql stable security invoker set search_path = ''
as $$
  select distinct t.tgname || ' on ' || t.tgrelid::regclass
  from pg_trigger as t
  join pg_class as c on c.oid = t.tgrelid
  join pg_proc as p on p.oid = t.tgfoid
  join pg_namespace as n on n.oid = p.pronamespace
  where c.relnamespace = 'auth'::regnamespace
    and not t.tgisinternal
    and array[p.proname || '()', n.nspname || '.' || p.proname || '()', p.proname::text] && p_functions
  order by 1
$$;
