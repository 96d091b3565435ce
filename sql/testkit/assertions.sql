-- Assertions. Each returns one line of TAP, as pg_prove reads it. With the extension pgTAP the line is pgTAP's, numbered
-- with those of its own assertions. Without it a failure raises, so that psql -v ON_ERROR_STOP=1 ends as well.
--
-- They have no search_path of their own: they run statements of the caller, and pgTAP, which finds itself by the caller's.

-- The schema of pgTAP; null where it is not installed.
create or replace function postern_test.pgtap_schema()
returns text
language sql stable security invoker set search_path = ''
as $$
  select e.extnamespace::regnamespace::text from pg_catalog.pg_extension as e where e.extname = 'pgtap'
$$;

create or replace function postern_test.plan(tests int)
returns text
language plpgsql volatile security invoker
as $$
declare
  v_pgtap text := postern_test.pgtap_schema();
  v_line text;
begin
  if v_pgtap is not null then
    execute format('select %s.plan($1)', v_pgtap) into v_line using tests;
    return v_line;
  end if;
  perform set_config('postern_test.number', '0', true), set_config('postern_test.planned', tests::text, true);
  return '1..' || tests;
end;
$$;
comment on function postern_test.plan(int) is
'Begins a test file; pgTAP''s own where it is installed.
tests: how many assertions follow.
Example: select postern_test.plan(3);';

create or replace function postern_test.finish()
returns setof text
language plpgsql volatile security invoker
as $$
declare
  v_pgtap text := postern_test.pgtap_schema();
begin
  if v_pgtap is not null then
    return query execute format('select * from %s.finish()', v_pgtap);
  elsif current_setting('postern_test.number', true) is distinct from current_setting('postern_test.planned', true) then
    raise exception 'planned % assertions, but ran %',
      current_setting('postern_test.planned', true), current_setting('postern_test.number', true);
  end if;
end;
$$;
comment on function postern_test.finish() is
'Ends a test file: fails where not as many assertions ran as planned.
Example: select * from postern_test.finish();';

create or replace function postern_test.ok(passed boolean, description text, because text default null)
returns text
language plpgsql volatile security invoker
as $$
declare
  v_pgtap text := postern_test.pgtap_schema();
  v_number int;
  v_line text;
begin
  if v_pgtap is not null then
    execute format('select %s.ok($1, $2)', v_pgtap) into v_line using passed, description;
    return v_line || case when passed then '' else coalesce(chr(10) || '# ' || replace(because, chr(10), chr(10) || '# '), '') end;
  elsif passed is not true then
    raise exception using message = 'not ok: ' || description, detail = coalesce(because, '');
  end if;
  v_number := coalesce(nullif(current_setting('postern_test.number', true), ''), '0')::int + 1;
  perform set_config('postern_test.number', v_number::text, true);
  return format('ok %s - %s', v_number, description);
end;
$$;
comment on function postern_test.ok(boolean, text, text) is
'Asserts that something is true.
description: what is asserted.
because: more to say when it is not.
Example: select postern_test.ok(auth.uid() is null, ''nobody is signed in'');';

-- Runs a query and counts its rows. refused is the message where the role lacks a right or a policy refuses (42501), else
-- null. A statement that writes is undone.
create or replace function postern_test.try(p_statement text, out row_count bigint, out refused text)
language plpgsql volatile security invoker
as $$
begin
  begin
    execute p_statement;
    get diagnostics row_count = row_count;
    raise exception sqlstate 'TSTOK'; -- undoes what was written
  exception
    when sqlstate 'TSTOK' then null;
    when insufficient_privilege then
      row_count := 0;
      refused := sqlerrm;
  end;
end;
$$;

create or replace function postern_test.can_see(query text, rows bigint default null, description text default null)
returns text
language plpgsql volatile security invoker
as $$
declare
  v_try record := postern_test.try(query);
begin
  return postern_test.ok(
    v_try.refused is null and case when rows is null then v_try.row_count > 0 else v_try.row_count = rows end,
    coalesce(description, format('%s sees %s: %s', current_user, coalesce(rows || ' rows', 'rows'), query)),
    coalesce(v_try.refused, format('saw %s rows', v_try.row_count)));
end;
$$;
comment on function postern_test.can_see(text, bigint, text) is
'Asserts that the role of this moment sees rows.
query: a SELECT.
rows: how many; default: at least one.
description: default: role and query.
Example: select postern_test.can_see(''select from notes'', 2);';

create or replace function postern_test.cannot_see(query text, description text default null)
returns text
language plpgsql volatile security invoker
as $$
declare
  v_try record := postern_test.try(query);
begin
  return postern_test.ok(v_try.row_count = 0,
    coalesce(description, format('%s sees nothing: %s', current_user, query)), format('saw %s rows', v_try.row_count));
end;
$$;
comment on function postern_test.cannot_see(text, text) is
'Asserts that the role of this moment sees no rows: there are none for it, or it may not read the table.
query: a SELECT.
description: default: role and query.
Example: select postern_test.cannot_see(''select from notes'', ''other people see nothing'');';

create or replace function postern_test.can_insert(statement text, description text default null)
returns text
language plpgsql volatile security invoker
as $$
declare
  v_try record := postern_test.try(statement);
begin
  return postern_test.ok(v_try.refused is null and v_try.row_count > 0,
    coalesce(description, format('%s inserts: %s', current_user, statement)), coalesce(v_try.refused, 'no row was inserted'));
end;
$$;
comment on function postern_test.can_insert(text, text) is
'Asserts that the role of this moment may insert a row, and undoes it.
statement: an INSERT.
description: default: role and statement.
Example: select postern_test.can_insert(''insert into notes (body) values (''''mine'''')'');';

create or replace function postern_test.cannot_insert(statement text, description text default null)
returns text
language plpgsql volatile security invoker
as $$
declare
  v_try record := postern_test.try(statement);
begin
  return postern_test.ok(v_try.refused is not null,
    coalesce(description, format('%s may not insert: %s', current_user, statement)),
    format('%s rows were inserted', v_try.row_count));
end;
$$;
comment on function postern_test.cannot_insert(text, text) is
'Asserts that rights or policies refuse an insert (SQLSTATE 42501). Any other error is raised: a row that a constraint refuses says nothing about policies.
statement: an INSERT.
description: default: role and statement.
Example: select postern_test.cannot_insert(''insert into notes (owner, body) values (gen_random_uuid(), ''''x'''')'');';

create or replace function postern_test.can_change(statement text, rows bigint default null, description text default null)
returns text
language plpgsql volatile security invoker
as $$
declare
  v_try record := postern_test.try(statement);
begin
  return postern_test.ok(
    v_try.refused is null and case when rows is null then v_try.row_count > 0 else v_try.row_count = rows end,
    coalesce(description, format('%s changes %s: %s', current_user, coalesce(rows || ' rows', 'rows'), statement)),
    coalesce(v_try.refused, format('changed %s rows', v_try.row_count)));
end;
$$;
comment on function postern_test.can_change(text, bigint, text) is
'Asserts that the role of this moment may change rows, and undoes it.
statement: an UPDATE or DELETE.
rows: how many; default: at least one.
description: default: role and statement.
Example: select postern_test.can_change(''update notes set body = ''''x'''''', 1);';

create or replace function postern_test.cannot_change(statement text, description text default null)
returns text
language plpgsql volatile security invoker
as $$
declare
  v_try record := postern_test.try(statement);
begin
  return postern_test.ok(v_try.row_count = 0,
    coalesce(description, format('%s may not change: %s', current_user, statement)),
    format('changed %s rows', v_try.row_count));
end;
$$;
comment on function postern_test.cannot_change(text, text) is
'Asserts that an update or deletion is refused, or finds no row: policies make rows invisible to both.
statement: an UPDATE or DELETE.
description: default: role and statement.
Example: select postern_test.cannot_change(''delete from notes'');';

create or replace function postern_test.rls_is_enabled(name text)
returns text
language plpgsql volatile security invoker
as $$
declare
  v_open text;
  v_tables int;
begin
  select count(*), string_agg(c.oid::regclass::text, ', ' order by c.relname) filter (where not c.relrowsecurity)
  into v_tables, v_open
  from pg_catalog.pg_class as c
  where c.relkind in ('r', 'p') and (
    c.oid = to_regclass(rls_is_enabled.name)
    or c.relnamespace = (select n.oid from pg_catalog.pg_namespace as n where n.nspname = rls_is_enabled.name));
  return postern_test.ok(v_tables > 0 and v_open is null, 'row level security is enabled: ' || name,
    coalesce('not on ' || v_open, 'there is no such table, and no table in such a schema'));
end;
$$;
comment on function postern_test.rls_is_enabled(text) is
'Asserts that a table, or every table of a schema, has row level security.
name: of the table, with its schema, or of a schema.
Example: select postern_test.rls_is_enabled(''public'');';
