-- What a merge of two users (merge_users.sql) would meet in the tables of the application.

-- See the comment on the function. Raises: as find_user. Reads: catalog, tables that refer to users.
create or replace function postern.merge_users_plan(keep text, remove text)
returns table (
  table_name text,
  column_names text[],
  effect text,
  row_count bigint,
  collisions bigint,
  fix text
)
language sql stable security definer set search_path = ''
as $$
  select p.relation::regclass::text, p.column_names, p.effect, p.row_count,
    cardinality(p.colliding_rows)::bigint, p.fix
  from postern_internal.plan_merge(postern_internal.find_user(keep), postern_internal.find_user(remove)) as p
  order by array_position(array['denied', 'blocks', 'moves', 'changes', 'deletes'], p.effect),
    coalesce(p.row_count = 0, false), p.relation::regclass::text collate "C", p.column_names
$$;
comment on function postern.merge_users_plan(text, text) is
'Tells what postern.merge_users would do to rows that refer to the removed user, and changes nothing. What it would refuse comes first.
keep, remove: a user''s id, e-mail address, or phone number with a leading +.
effect: moves (the columns will hold the id of the kept user: by foreign keys to auth.users, and by those to columns that hold the id in turn, like the key of a table of profiles); deletes or changes (rows that hang on what goes: on sessions of the removed user, or on rows that collide); blocks (so does a foreign key that lets nothing go: the merge is refused if there are rows); denied (the owner of schema auth may not change the table, or row level security hides rows from it: the merge is refused).
collisions: how many of the rows that move would meet one of the kept user in a unique index. The merge is refused unless on_conflict is keep, which drops them; auth.identities is settled anyway, see postern.merge_users. Exclusion and check constraints, and unique indexes of single partitions, are not foreseen: the merge fails by them.
row_count: null where it cannot be known.
fix: what gives the owner of schema auth the right.
Errors: user_not_found (PT404).
Example: select * from postern.merge_users_plan(''ann@example.com'', ''ann@old.example.com'') where row_count is distinct from 0;';

-- The plan, row by row; colliding_tables and colliding_rows say which rows collide (table or partition, place).
create or replace function postern_internal.plan_merge(p_keep auth.users, p_remove auth.users)
returns table (
  relation oid,
  column_names text[],
  effect text,
  row_count bigint,
  fix text,
  colliding_tables oid[],
  colliding_rows tid[]
)
language plpgsql stable security invoker set search_path = ''
as $$
#variable_conflict use_column
declare
  v_context jsonb := postern_internal.context();
  v_keys oid[] := array(select k.oid from postern_internal.keys_that_move() as k (oid));
  v_tables oid[] := array(select u.tableoid from auth.users as u where u.id = p_remove.id);
  v_rows tid[] := array(select u.ctid from auth.users as u where u.id = p_remove.id);
  v_table record;
begin
  for v_table in
    select t.relation, t.columns, m.*
    from postern_internal.tables_that_move() as t
    cross join postern_internal.moving_rows(t.relation, t.columns, p_keep.id, p_remove.id) as m
  loop
    v_tables := v_tables || v_table.colliding_tables;
    v_rows := v_rows || v_table.colliding_rows;
    relation := v_table.relation;
    column_names := v_table.columns;
    row_count := v_table.row_count;
    colliding_tables := v_table.colliding_tables;
    colliding_rows := v_table.colliding_rows;
    effect := case when v_table.row_count is null then 'denied' else 'moves' end;
    fix := case when v_table.row_count is null then postern_internal.grants_to_move(v_table.relation) end;
    return next;
  end loop;
  relation := 'auth.identities'::regclass;
  column_names := '{user_id}';
  effect := 'moves';
  fix := null;
  select count(*), coalesce(array_agg(i.tableoid) filter (where not m.moves), '{}'),
    coalesce(array_agg(i.ctid) filter (where not m.moves), '{}')
  into row_count, colliding_tables, colliding_rows
  from auth.identities as i
  cross join lateral (select postern_internal.identity_moves(i, p_keep, p_remove, v_context)) as m (moves)
  where i.user_id = p_remove.id;
  return next;
  v_tables := v_tables || colliding_tables;
  v_rows := v_rows || colliding_rows;
  return query
    select c.conrelid, array(
        select a.attname::text from unnest(c.conkey) with ordinality as k (attnum, n)
        join pg_catalog.pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.attnum order by k.n),
      postern_internal.delete_effect(c), p.row_count, null, null::oid[], null::tid[]
    from postern_internal.plan_removal(v_tables, v_rows, v_keys) as p
    join pg_catalog.pg_constraint as c on c.oid = p.constraint_id;
end;
$$;

-- The columns that hold the id of a user, by the foreign keys that say so: those to auth.users(id), and those to a column
-- that holds it in turn. A partition counts as the table it is part of. Schemas auth and postern are merge_users' business.
create or replace function postern_internal.columns_that_move()
returns table (relation oid, attribute name, constraint_id oid)
language sql stable security invoker set search_path = ''
as $$
  with recursive keys as (
    select c.oid, coalesce(pg_partition_root(c.conrelid), c.conrelid)::oid as child, ca.attname as child_column,
      coalesce(pg_partition_root(c.confrelid), c.confrelid)::oid as parent, pa.attname as parent_column
    from pg_catalog.pg_constraint as c
    join pg_catalog.pg_class as t on t.oid = c.conrelid
    cross join unnest(c.conkey, c.confkey) as k (child, parent)
    join pg_catalog.pg_attribute as ca on ca.attrelid = c.conrelid and ca.attnum = k.child
    join pg_catalog.pg_attribute as pa on pa.attrelid = c.confrelid and pa.attnum = k.parent
    where c.contype = 'f' and c.conparentid = 0
      and t.relnamespace not in ('auth'::regnamespace, 'postern'::regnamespace)
  ), found as (
    select k.child, k.child_column, k.oid from keys as k
    where k.parent = 'auth.users'::regclass and k.parent_column = 'id'
    union
    select k.child, k.child_column, k.oid from found as f
    join keys as k on k.parent = f.child and k.parent_column = f.child_column
  )
  select f.child, f.child_column, f.oid from found as f
$$;

-- The same by table.
create or replace function postern_internal.tables_that_move()
returns table (relation oid, columns text[])
language sql stable security invoker set search_path = ''
as $$
  select c.relation, array_agg(distinct c.attribute::text)
  from postern_internal.columns_that_move() as c group by c.relation order by c.relation
$$;

-- The foreign keys behind which rows do not go with the removed user, because they move, or are moved before.
create or replace function postern_internal.keys_that_move()
returns setof oid
language sql stable security invoker set search_path = ''
as $$
  select c.constraint_id from postern_internal.columns_that_move() as c
  union
  select c.oid from pg_catalog.pg_constraint as c
  where c.contype = 'f' and c.conrelid = 'auth.identities'::regclass and c.confrelid = 'auth.users'::regclass
$$;

-- The rows of a table that hold the id of the removed user, and which of them would collide. Nulls where this role may not
-- see or change all of them.
create or replace function postern_internal.moving_rows(
  p_relation oid,
  p_columns text[],
  p_keep uuid,
  p_remove uuid,
  out row_count bigint,
  out colliding_tables oid[],
  out colliding_rows tid[]
)
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if not postern_internal.may_move(p_relation, p_columns) then
    return;
  end if;
  execute format('select count(*) from %s as c where %s', postern_internal.table_source(p_relation),
    postern_internal.holds_id(p_columns, '$1'))
  into row_count using p_remove;
  select coalesce(array_agg(r.o), '{}'), coalesce(array_agg(r.t), '{}') into colliding_tables, colliding_rows
  from (
    select distinct x.o, x.t
    from pg_catalog.pg_index as i
    cross join postern_internal.colliding_rows(i, p_columns, p_keep, p_remove) as c
    cross join unnest(c.tables, c.rows) as x (o, t)
    where i.indrelid = p_relation and i.indisunique and row_count > 0
      and (i.indexprs is not null or i.indpred is not null or exists (
        select from pg_catalog.pg_attribute as a
        where a.attrelid = p_relation and a.attnum = any (i.indkey) and a.attname = any (p_columns)))) as r;
end;
$$;

-- Whether this role may change and delete all rows of a table.
create or replace function postern_internal.may_move(p_relation oid, p_columns text[])
returns boolean
language sql stable security invoker set search_path = ''
as $$
  select postern_internal.can_read_all(p_relation) and has_table_privilege(p_relation, 'delete')
    and not exists (select from unnest(p_columns) as c where not has_column_privilege(p_relation, c, 'update'))
$$;

-- A condition: one of the columns of table c holds an id; it may be null where it does not hold. p_ids: placeholders.
create or replace function postern_internal.holds_id(p_columns text[], p_ids text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select string_agg(format('c.%I in (%s)', c, p_ids), ' or ') from unnest(p_columns) as c
$$;

-- The rows of the removed user that meet another one in a unique index once the ids are replaced: of two that meet each
-- other one counts. Columns, expressions and condition of the index are read from the rows as they will be.
create or replace function postern_internal.colliding_rows(
  p_index pg_catalog.pg_index,
  p_columns text[],
  p_keep uuid,
  p_remove uuid,
  out tables oid[],
  out rows tid[]
)
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_image text := (
    select string_agg(case
      when a.attname = any (p_columns) then format('case when c.%1$I = $1 then $2 else c.%1$I end as %1$I', a.attname)
      else format('c.%I', a.attname) end, ', ')
    from pg_catalog.pg_attribute as a
    where a.attrelid = p_index.indrelid and a.attnum > 0 and not a.attisdropped);
  v_keys text;
  v_match text;
begin
  select string_agg(format('(%s) as k%s', pg_get_indexdef(p_index.indexrelid, k.n, true), k.n), ', '),
    string_agg(format(case
      when to_jsonb(p_index) -> 'indnullsnotdistinct' = 'true' -- from PostgreSQL 15 on
      then '(o.k%1$s operator(%2$I.%3$s) m.k%1$s or o.k%1$s is null and m.k%1$s is null)'
      else 'o.k%1$s operator(%2$I.%3$s) m.k%1$s' end, k.n, n.nspname, o.oprname), ' and ')
  into v_keys, v_match
  from generate_series(1, p_index.indnkeyatts) as k (n)
  join pg_catalog.pg_opclass as c on c.oid = p_index.indclass[k.n - 1]
  join pg_catalog.pg_amop as a on a.amopfamily = c.opcfamily and a.amopstrategy = 3 -- equality of B-trees
    and a.amoplefttype = c.opcintype and a.amoprighttype = c.opcintype
  join pg_catalog.pg_operator as o on o.oid = a.amopopr
  join pg_catalog.pg_namespace as n on n.oid = o.oprnamespace;
  execute format(
    'with image as (
      select "postern table" as o, "postern row" as t, "postern moves" as moves, %s
      from (select c.tableoid as "postern table", c.ctid as "postern row",
          coalesce(%s, false) as "postern moves", %s from %s as c where %s) as x
      where %s
    )
    select coalesce(array_agg(m.o), ''{}''), coalesce(array_agg(m.t), ''{}'') from image as m
    where m.moves and exists (
      select from image as o where %s and (not o.moves or (o.o, o.t) < (m.o, m.t)))',
    v_keys, postern_internal.holds_id(p_columns, '$1'), v_image, postern_internal.table_source(p_index.indrelid),
    postern_internal.holds_id(p_columns, '$1, $2'), coalesce(pg_get_expr(p_index.indpred, p_index.indrelid), 'true'), v_match)
  into tables, rows using p_remove, p_keep;
end;
$$;

-- What gives this role the right to move rows of a table.
create or replace function postern_internal.grants_to_move(p_relation oid)
returns text
language sql stable security invoker set search_path = ''
as $$
  select format('grant usage on schema %I to %I; grant select, update, delete on %s to %2$I;',
      n.nspname, current_user, c.oid::regclass)
    || case when row_security_active(c.oid) then
      format(' create policy postern on %s to %I using (true);', c.oid::regclass, current_user) else '' end
  from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where c.oid = p_relation
$$;
