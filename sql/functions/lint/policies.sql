-- What the linter finds in row level security policies. Both rules propose the same statement, with all that is to
-- change in the policy: two that each change a part would undo each other.

-- Policies that call auth.uid() and its kind for every row, and policies that rely on what users write themselves.
create or replace function postern_internal.lint_policies()
returns table (rule text, severity text, object text, what text, fix text)
language sql stable security invoker set search_path = ''
as $$
  with clauses as (
    select p.oid, p.polname, p.polrelid, k.clause, k.expression,
      postern_internal.trust_app_metadata(k.expression, exists (
        select from pg_catalog.pg_depend as d
        join pg_catalog.pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid
          and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = 'auth.users'::regclass
          and a.attname = 'raw_user_meta_data')) as trusted
    from pg_catalog.pg_policy as p
    join pg_catalog.pg_class as c on c.oid = p.polrelid
    join postern_internal.application_schemas() as n on n.oid = c.relnamespace
    cross join lateral (values
      ('using', pg_catalog.pg_get_expr(p.polqual, p.polrelid)),
      ('with check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
    ) as k (clause, expression)
    where k.expression is not null
      and not postern_internal.is_of_extension('pg_catalog.pg_class'::regclass, c.oid)
  ),
  policies as (
    select k.polname, k.polrelid,
      array(
        select distinct (postern_internal.expression_tokens(e.expression))[c.i]
        from pg_catalog.unnest(pg_catalog.array_agg(k.expression)) as e (expression)
        cross join lateral pg_catalog.unnest(
          postern_internal.calls_per_row(postern_internal.expression_tokens(e.expression))) as c (i)
        order by 1) as calls,
      bool_or(k.trusted <> k.expression) as is_trusting,
      format('alter policy %I on %s %s;', k.polname, k.polrelid::regclass,
        string_agg(format('%s (%s)', k.clause, w.expression), ' ' order by k.clause)
          filter (where w.expression <> k.expression)) as statement
    from clauses as k
    cross join lateral postern_internal.wrap_calls(k.trusted) as w (expression)
    group by k.oid, k.polname, k.polrelid
  )
  select f.rule, f.severity, format('policy %I on %s', p.polname, p.polrelid::regclass), f.what,
    p.statement || case when p.is_trusting then ' -- then copy what counts: postern.set_app_metadata(who, patch)' else '' end
  from policies as p
  cross join lateral (
    select 'policy_trusts_user_metadata' as rule, 'error' as severity,
      'relies on user metadata, which every user changes at will' as what
    where p.is_trusting
    union all
    select 'policy_calls_per_row', 'warning',
      format('calls %s for every row; in a sub-select it is called once', array_to_string(p.calls, ', '))
    where p.calls <> '{}'
  ) as f
$$;
