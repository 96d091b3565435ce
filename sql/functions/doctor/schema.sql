-- What `postern doctor` asks about objects: triggers, foreign keys and indexes. Each row is a finding: severity (error,
-- warning, note), area, what, and the fix, which is a statement or a sentence.

-- Triggers of the application on tables of schema auth. They run inside sign-ups and sign-ins, as the server's role.
create or replace function postern_internal.doctor_triggers()
returns table (severity text, area text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select case when f.has_rights and f.has_path then 'note' else 'warning' end, 'triggers',
    format('trigger %I on %s calls %s: %s', f.tgname, f.relation, f.function, concat_ws('; ',
      case when not f.has_rights then
        'without SECURITY DEFINER it has only the rights of the server''s role, and where those do not do, sign-ups fail' end,
      case when not f.has_path then
        'without a search_path of its own it finds other tables than in your session, or none' end,
      case when f.has_rights and f.has_path then 'when it fails, the request fails with it' end)),
    case
      when f.has_rights and f.has_path then 'None is needed; in the function, catch the errors that must not stop a request'
      else format('alter function %s security definer set search_path = %I, pg_temp;', f.function, f.schema)
    end
  from (
    select t.tgname, t.tgrelid::regclass as relation, t.tgfoid::regprocedure as function, n.nspname as schema,
      p.prosecdef as has_rights,
      exists (select from unnest(p.proconfig) as s (setting) where s.setting like 'search_path=%') as has_path
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_class as c on c.oid = t.tgrelid
    join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where c.relnamespace = 'auth'::regnamespace and not t.tgisinternal and t.tgenabled <> 'D'
  ) as f
  order by f.relation::text, f.tgname
$$;

-- Foreign keys of the application to tables of schema auth. A partial index counts where all it leaves out is NULL.
create or replace function postern_internal.foreign_keys_to_auth()
returns table (oid oid, name name, relation regclass, columns text, target regclass, on_delete "char", has_index boolean, index_statement text)
language sql stable security invoker set search_path = ''
as $$
  select k.oid, k.conname, k.conrelid::regclass, n.columns, k.confrelid::regclass, k.confdeltype,
    exists (
      select from pg_catalog.pg_index as i
      join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = k.conrelid and i.indisvalid and i.indkey[0] = any (k.conkey)
        and (i.indpred is null
          or pg_catalog.pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname))),
    format('create index %son %s (%s);', case r.relkind when 'p' then '' else 'concurrently ' end, k.conrelid::regclass, n.columns)
  from pg_catalog.pg_constraint as k
  join pg_catalog.pg_class as c on c.oid = k.confrelid
  join pg_catalog.pg_class as r on r.oid = k.conrelid
  cross join lateral (
    select string_agg(quote_ident(a.attname), ', ' order by array_position(k.conkey, a.attnum))
    from pg_catalog.pg_attribute as a
    where a.attrelid = k.conrelid and a.attnum = any (k.conkey)
  ) as n (columns)
  where k.contype = 'f' and k.conparentid = 0 and c.relnamespace = 'auth'::regnamespace
    and r.relnamespace <> 'auth'::regnamespace
$$;

-- Foreign keys that keep a user from being deleted, or make it slow.
create or replace function postern_internal.doctor_foreign_keys()
returns table (severity text, area text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'warning', 'foreign keys',
    format('%s (%s) refers to %s without ON DELETE: such a user cannot be deleted', k.relation, k.columns, k.target),
    format('alter table %s drop constraint %I, add constraint %2$I %s; -- or set null', k.relation, k.name,
      regexp_replace(replace(pg_catalog.pg_get_constraintdef(k.oid), ' ON DELETE RESTRICT', ''),
        '(REFERENCES [^(]+\([^)]*\)(?: MATCH FULL)?)', '\1 ON DELETE CASCADE'))
  from postern_internal.foreign_keys_to_auth() as k
  where k.on_delete in ('a', 'r')
  union all
  select 'note', 'foreign keys',
    format('%s (%s) refers to %s and has no index: deleting a user reads the whole table', k.relation, k.columns, k.target),
    k.index_statement
  from postern_internal.foreign_keys_to_auth() as k
  where not k.has_index
$$;

-- Indexes of schema auth that are broken, and the one that a large audit log wants.
create or replace function postern_internal.doctor_indexes()
returns table (severity text, area text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'warning', 'indexes', format('index %s is invalid: a build was interrupted, and no query uses it', i.indexrelid::regclass),
    format('reindex index concurrently %s;', i.indexrelid::regclass)
  from pg_catalog.pg_index as i
  join pg_catalog.pg_class as c on c.oid = i.indrelid
  where c.relnamespace in ('auth'::regnamespace, 'postern'::regnamespace) and not i.indisvalid and c.relkind = 'r'
  union all
  select 'note', 'indexes', format(
      'the audit log has about %s entries and no index by time: GET /admin/audit reads all of it', c.reltuples::bigint),
    'create index concurrently audit_log_entries_created_at_idx on auth.audit_log_entries (created_at desc);'
      || ' -- or give the log an end: POSTERN_RETENTION_AUDIT'
  from pg_catalog.pg_class as c
  where c.oid = 'auth.audit_log_entries'::regclass and c.reltuples >= 1000000
    and not exists (
      select from pg_catalog.pg_index as i
      join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = c.oid and a.attname = 'created_at')
  union all
  select 'note', 'roles', format('role %s is missing: %s', r.name, r.purpose),
    format('create role %s %s; -- then: postern migrate', r.name, r.options)
  from (values
    ('anon', 'nologin noinherit', 'requests without a session'),
    ('authenticated', 'nologin noinherit', 'requests with a session'),
    ('service_role', 'nologin noinherit bypassrls', 'requests with the service key'),
    ('postern_admin', 'nologin', 'administration in SQL without owning the schema'),
    ('postern_support', 'nologin', 'reading administration in SQL')
  ) as r (name, options, purpose)
  where to_regrole(r.name) is null
$$;

-- The test kit where other people's requests arrive: the address of the server is not this machine's.
create or replace function postern_internal.doctor_test_kit()
returns table (severity text, area text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  select 'warning', 'test kit',
    format('schema postern_test is installed, and the server is at %s: whoever administers can become any user without a trace',
      s.value ->> 'external_url'),
    'drop schema postern_test cascade;'
  from postern.settings as s
  where to_regnamespace('postern_test') is not null
    and s.value ->> 'external_url' !~* '^https?://(localhost|127\.[0-9.]+|\[::1\]|[^/:]+\.(localhost|local|test))(:|/|$)'
$$;
