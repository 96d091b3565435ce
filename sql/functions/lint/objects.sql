-- What the linter finds in tables, views and functions. Clients are the roles anon and authenticated, as far as they exist.

-- Schemas that are the application's. Managed ones are the platform's: its users write policies there, and nothing else.
create or replace function postern_internal.application_schemas()
returns table (oid oid, is_managed boolean)
language sql stable security invoker set search_path = ''
as $$
  select n.oid, n.nspname in ('_analytics', '_realtime', 'cron', 'extensions', 'graphql', 'graphql_public', 'net', 'pgbouncer',
    'pgsodium', 'realtime', 'storage', 'supabase_functions', 'supabase_migrations', 'vault')
  from pg_catalog.pg_namespace as n
  where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'auth', 'postern', 'postern_internal', 'postern_test')
$$;

-- Whether an object came with an extension.
create or replace function postern_internal.is_of_extension(p_catalog oid, p_object oid)
returns boolean
language sql stable security invoker set search_path = ''
as $$
  select exists (select from pg_catalog.pg_depend as d
    where d.classid = p_catalog and d.objid = p_object and d.deptype = 'e')
$$;

-- Tables and views that clients may read or write: clients says who, grantees from whom to revoke it.
create or replace function postern_internal.lint_relations()
returns table (relation oid, kind "char", clients text, grantees text)
language sql stable security invoker set search_path = ''
as $$
  select c.oid, c.relkind, string_agg(r.rolname, ' and ' order by r.rolname), coalesce((
    select string_agg(distinct case g.grantee when 0 then 'public' else quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) end, ', ')
    from (
      select a.grantee from pg_catalog.aclexplode(c.relacl) as a
      union all
      select a.grantee from pg_catalog.pg_attribute as t
      cross join lateral pg_catalog.aclexplode(t.attacl) as a
      where t.attrelid = c.oid
    ) as g
    where g.grantee = 0 or g.grantee <> c.relowner
      and exists (select from pg_catalog.unnest(array_agg(r.oid)) as m (oid) where pg_catalog.pg_has_role(m.oid, g.grantee, 'usage'))
  ), 'anon, authenticated')
  from pg_catalog.pg_class as c
  join postern_internal.application_schemas() as n on n.oid = c.relnamespace and not n.is_managed
  join pg_catalog.pg_roles as r on r.rolname in ('anon', 'authenticated')
    and pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'usage')
    and (pg_catalog.has_any_column_privilege(r.oid, c.oid, 'select, insert, update')
      or pg_catalog.has_table_privilege(r.oid, c.oid, 'delete, truncate'))
  where c.relkind in ('r', 'p', 'v', 'm')
    and not postern_internal.is_of_extension('pg_catalog.pg_class'::regclass, c.oid)
  group by c.oid, c.relkind, c.relacl, c.relowner
$$;

-- Tables that clients reach without row level security, and tables that have it and no policy.
create or replace function postern_internal.lint_tables()
returns table (rule text, severity text, object text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'table_without_rls', 'error', format('table %s', c.oid::regclass),
    format('%s may use it, and without row level security that means every row', r.clients),
    format('alter table %s enable row level security; -- then create policy: without one clients see no row', c.oid::regclass)
  from postern_internal.lint_relations() as r
  join pg_catalog.pg_class as c on c.oid = r.relation and c.relkind in ('r', 'p')
  where not c.relrowsecurity
  union all
  select 'rls_without_policy', 'note', format('table %s', c.oid::regclass),
    format('has row level security and no policy: %s may use it, and see no row', r.clients),
    format('revoke all on %s from %s; -- or create the policy that is missing', c.oid::regclass, r.grantees)
  from postern_internal.lint_relations() as r
  join pg_catalog.pg_class as c on c.oid = r.relation and c.relkind in ('r', 'p')
  where c.relrowsecurity and not exists (select from pg_catalog.pg_policy as p where p.polrelid = c.oid)
$$;

-- Views over tables of schema auth that clients reach and that read with the rights of their owner, also through another such
-- view. A view with security_invoker reads with the rights of its reader, wherever it is used; a materialized view cannot.
create or replace function postern_internal.lint_views()
returns table (rule text, severity text, object text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  with recursive edges as (
    select distinct r.ev_class as view, d.refobjid as source
    from pg_catalog.pg_rewrite as r
    join pg_catalog.pg_class as v on v.oid = r.ev_class and v.relkind in ('v', 'm')
    join pg_catalog.pg_depend as d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
      and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> r.ev_class
    where not exists (
      select from pg_catalog.pg_options_to_table(v.reloptions) as o
      where o.option_name = 'security_invoker' and o.option_value::boolean)
  ),
  exposing as (
    select e.view, e.source as exposed
    from edges as e
    join pg_catalog.pg_class as t on t.oid = e.source and t.relnamespace = 'auth'::regnamespace and t.relkind in ('r', 'p')
    union
    select e.view, x.exposed from edges as e join exposing as x on x.view = e.source
  )
  select 'view_exposes_auth', 'error', format('%s %s', k.name, x.view::regclass),
    format('shows rows of %s to %s, with the rights of its owner',
      string_agg(x.exposed::regclass::text, ', ' order by x.exposed::regclass::text), r.clients),
    case
      when r.kind = 'v' and current_setting('server_version_num')::int >= 150000
        then format('alter view %s set (security_invoker = true);', x.view::regclass)
      else format('revoke all on %s from %s;', x.view::regclass, r.grantees)
    end
  from exposing as x
  join postern_internal.lint_relations() as r on r.relation = x.view
  cross join lateral (select case r.kind when 'v' then 'view' else 'materialized view' end) as k (name)
  group by x.view, k.name, r.kind, r.clients, r.grantees
$$;

-- Functions that clients may execute with the rights of their owner, and that look names up where the caller says.
create or replace function postern_internal.lint_functions()
returns table (rule text, severity text, object text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'definer_without_search_path', 'warning', format('%s %s', k.name, p.oid::regprocedure),
    format('%s may execute it with the rights of %s, and the caller''s search_path says which tables and functions it finds',
      string_agg(r.rolname, ' and ' order by r.rolname), pg_catalog.pg_get_userbyid(p.proowner)),
    format('alter %s %s set search_path = %s, pg_temp; -- and every schema that its body relies on', k.name, p.oid::regprocedure,
      quote_ident(s.nspname))
  from pg_catalog.pg_proc as p
  join pg_catalog.pg_namespace as s on s.oid = p.pronamespace
  join postern_internal.application_schemas() as n on n.oid = p.pronamespace and not n.is_managed
  join pg_catalog.pg_roles as r on r.rolname in ('anon', 'authenticated')
    and pg_catalog.has_schema_privilege(r.oid, p.pronamespace, 'usage')
    and pg_catalog.has_function_privilege(r.oid, p.oid, 'execute')
  cross join lateral (select case p.prokind when 'p' then 'procedure' else 'function' end) as k (name)
  where p.prosecdef
    and not exists (select from pg_catalog.unnest(p.proconfig) as c (setting) where c.setting like 'search\_path=%')
    and not postern_internal.is_of_extension('pg_catalog.pg_proc'::regclass, p.oid)
  group by p.oid, k.name, p.proowner, s.nspname
$$;

-- Foreign keys to tables of schema auth that have no index: what postern.doctor() finds, in the columns of the linter.
create or replace function postern_internal.lint_foreign_keys()
returns table (rule text, severity text, object text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'foreign_key_without_index', 'note', format('table %s', k.relation),
    format('(%s) refers to %s and has no index: deleting a user reads the whole table', k.columns, k.target), k.index_statement
  from postern_internal.foreign_keys_to_auth() as k
  join pg_catalog.pg_class as c on c.oid = k.relation
  join postern_internal.application_schemas() as n on n.oid = c.relnamespace and not n.is_managed
  where not k.has_index and not postern_internal.is_of_extension('pg_catalog.pg_class'::regclass, c.oid)
$$;
