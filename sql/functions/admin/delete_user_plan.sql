-- What a deletion of a user (delete_user.sql) would meet: every foreign key of the database that leads to rows which go.

-- See the comment on the function. Raises: user_not_found (404). Reads: catalog, tables that refer to users.
create or replace function postern.delete_user_plan(who text)
returns table (
  table_name text,
  column_names text[],
  refers_to text,
  constraint_name text,
  on_delete text,
  effect text,
  row_count bigint
)
language sql stable security definer set search_path = ''
as $$
  select c.conrelid::regclass::text,
    array(
      select a.attname::text from unnest(c.conkey) with ordinality as k (attnum, n)
      join pg_catalog.pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.attnum order by k.n),
    c.confrelid::regclass::text, c.conname::text,
    case c.confdeltype when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade'
      when 'n' then 'set null' else 'set default' end,
    postern_internal.delete_effect(c), p.row_count
  from postern_internal.plan_deletion((postern_internal.find_user(who)).id) as p
  join pg_catalog.pg_constraint as c on c.oid = p.constraint_id
  order by postern_internal.delete_effect(c) <> 'blocks', coalesce(p.row_count = 0, false),
    c.conrelid::regclass::text collate "C", c.conname
$$;
comment on function postern.delete_user_plan(text) is
'Tells what postern.delete_user would meet, and changes nothing: every foreign key that leads to the user, or to rows that would go with the user, with the number of rows that refer. What blocks comes first.
who: the user''s id, e-mail address, or phone number with a leading +.
effect: blocks (the deletion fails if there are rows, unless they go by another cascade), deletes, or changes (columns become null or their default).
row_count: null where the owner of schema auth may not read the table, or row level security hides rows from it; what lies behind such a table is not listed.
Errors: user_not_found (PT404).
Example: select * from postern.delete_user_plan(''ann@example.com'') where row_count is distinct from 0;
Example: select u.email, p.table_name, p.row_count from auth.users u, postern.delete_user_plan(u.id::text) p where p.effect = ''blocks'' and p.row_count > 0;';

-- What the deletion of a row does to those that refer to it by this foreign key. A column that has to be set to null and
-- may not be blocks as well.
create or replace function postern_internal.delete_effect(p_constraint pg_catalog.pg_constraint)
returns text
language sql stable security invoker set search_path = ''
as $$
  select case
    when p_constraint.confdeltype in ('a', 'r') then 'blocks'
    when p_constraint.confdeltype = 'c' then 'deletes'
    when p_constraint.confdeltype = 'n' and exists (
      select from pg_catalog.pg_attribute as a
      where a.attrelid = p_constraint.conrelid and a.attnotnull and a.attnum = any (p_constraint.conkey)
        -- which of the columns are set; PostgreSQL 14 has no such list
        and coalesce(nullif(to_jsonb(p_constraint) -> 'confdelsetcols', 'null') @> to_jsonb(a.attnum), true))
    then 'blocks'
    else 'changes'
  end
$$;

-- The foreign keys that lead to a user and to what goes with the user, and how many rows refer.
create or replace function postern_internal.plan_deletion(p_user_id uuid)
returns table (constraint_id oid, row_count bigint)
language sql stable security invoker set search_path = ''
as $$
  select p.constraint_id, p.row_count
  from auth.users as u
  cross join postern_internal.plan_removal(array[u.tableoid], array[u.ctid]) as p
  where u.id = p_user_id
$$;

-- The foreign keys that lead to rows (p_rows, each in the table or partition at its place in p_tables) and to what goes with
-- them, and how many rows refer. Goes from the rows to those that go with them, from those to the next, until there are no
-- more; each row counts once, however it is reached. Foreign keys in p_except are not followed.
create or replace function postern_internal.plan_removal(p_tables oid[], p_rows tid[], p_except oid[] default '{}')
returns table (constraint_id oid, row_count bigint)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_tables oid[] := p_tables; -- of the rows that were found last: a table, or a partition
  v_rows tid[] := p_rows;
  v_seen_tables oid[];        -- all rows so far that go
  v_seen_rows tid[];
  v_counts jsonb := '{}'::jsonb; -- rows by foreign key
  v_fk pg_catalog.pg_constraint;
  v_found record;
  v_next_tables oid[];
  v_next_rows tid[];
begin
  while cardinality(v_rows) > 0 loop
    v_seen_tables := v_seen_tables || v_tables;
    v_seen_rows := v_seen_rows || v_rows;
    v_next_tables := '{}';
    v_next_rows := '{}';
    for v_fk in
      select c.* from pg_catalog.pg_constraint as c
      where c.contype = 'f' and c.conparentid = 0 and c.oid <> all (p_except) and c.confrelid in (
        select r.o from unnest(v_tables) as r (o)
        union select a.relid from unnest(v_tables) as r (o), pg_catalog.pg_partition_ancestors(r.o::regclass) as a)
      order by c.oid
    loop
      v_found := postern_internal.referring_rows(v_fk, v_tables, v_rows);
      v_counts := jsonb_set(v_counts, array[v_fk.oid::text],
        coalesce(to_jsonb((v_counts ->> v_fk.oid::text)::bigint + cardinality(v_found.rows)),
          to_jsonb(cardinality(v_found.rows)), 'null'));
      if v_fk.confdeltype = 'c' then
        v_next_tables := v_next_tables || v_found.tables;
        v_next_rows := v_next_rows || v_found.rows;
      end if;
    end loop;
    select array_agg(r.o), array_agg(r.t) into v_tables, v_rows
    from (
      select n.o, n.t from unnest(v_next_tables, v_next_rows) as n (o, t)
      except select s.o, s.t from unnest(v_seen_tables, v_seen_rows) as s (o, t)) as r (o, t);
  end loop;
  return query select key::oid, value::bigint from jsonb_each_text(v_counts);
end;
$$;

-- The rows that refer to given ones by a foreign key: their tables (or partitions) and where they are. Null where this role
-- cannot see all rows. The rows are compared as the foreign key does it.
create or replace function postern_internal.referring_rows(
  p_fk pg_catalog.pg_constraint,
  p_tables oid[],
  p_rows tid[],
  out tables oid[],
  out rows tid[]
)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_match text;
begin
  if not postern_internal.can_read_all(p_fk.conrelid) or not postern_internal.can_read_all(p_fk.confrelid) then
    return;
  end if;
  select string_agg(format('p.%I operator(%I.%s) c.%I', pa.attname, n.nspname, o.oprname, ca.attname), ' and ')
  into v_match
  from unnest(p_fk.confkey, p_fk.conkey, p_fk.conpfeqop) as k (parent, child, operator)
  join pg_catalog.pg_attribute as pa on pa.attrelid = p_fk.confrelid and pa.attnum = k.parent
  join pg_catalog.pg_attribute as ca on ca.attrelid = p_fk.conrelid and ca.attnum = k.child
  join pg_catalog.pg_operator as o on o.oid = k.operator
  join pg_catalog.pg_namespace as n on n.oid = o.oprnamespace;
  execute format(
    'select coalesce(array_agg(c.tableoid), ''{}''), coalesce(array_agg(c.ctid), ''{}'')
      from unnest($1, $2) as r (o, t)
      join %s as p on p.tableoid = r.o and p.ctid = r.t
      join %s as c on %s',
    postern_internal.table_source(p_fk.confrelid), postern_internal.table_source(p_fk.conrelid), v_match)
  into tables, rows using p_tables, p_rows;
end;
$$;

-- A table as a foreign key means it: with its partitions, without tables that inherit from it.
create or replace function postern_internal.table_source(p_table oid)
returns text
language sql stable security invoker set search_path = ''
as $$
  select case c.relkind when 'p' then '' else 'only ' end || c.oid::regclass
  from pg_catalog.pg_class as c where c.oid = p_table
$$;

-- Whether this role sees all rows of a table. Row level security hides none where the one policy for this role lets it see
-- all, as in: create policy postern on orders to supabase_auth_admin using (true).
create or replace function postern_internal.can_read_all(p_table oid)
returns boolean
language sql stable security invoker set search_path = ''
as $$
  select has_schema_privilege(c.relnamespace, 'usage') and has_table_privilege(c.oid, 'select')
    and (not row_security_active(c.oid) or (
      select coalesce(bool_and(p.polpermissive) and bool_or(
          p.polcmd = '*' and pg_get_expr(p.polqual, p.polrelid) = 'true' and p.polwithcheck is null), false)
      from pg_catalog.pg_policy as p
      where p.polrelid = c.oid and exists (
        select from unnest(p.polroles) as r (role)
        where case when r.role = 0 then true else pg_has_role(r.role, 'usage') end)))
  from pg_catalog.pg_class as c where c.oid = p_table
$$;
