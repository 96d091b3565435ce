-- See the comment on the function. It reads the system catalogs only, which every role may, so it sees the same whoever owns it.
-- Security definer as all of schema postern: see admin/who.sql.
create or replace function postern.lint()
returns table (rule text, severity text, object text, what text, fix text)
language sql stable security definer set search_path = ''
as $$
  select f.rule, f.severity, f.object, f.what, f.fix
  from (
    select l.* from postern_internal.lint_policies() as l
    union all select l.* from postern_internal.lint_tables() as l
    union all select l.* from postern_internal.lint_views() as l
    union all select l.* from postern_internal.lint_functions() as l
    union all select l.* from postern_internal.lint_foreign_keys() as l
  ) as f
  order by array_position(array['error', 'warning', 'note'], f.severity), f.rule, f.object, f.what
$$;
comment on function postern.lint() is
'Looks for what is unsafe or slow in the application''s policies, tables, views and functions, the worst first: policies that call auth.uid() for every row or rely on user metadata, tables without row level security, views over schema auth, functions with the rights of their owner and no search_path, foreign keys without index. Severity is error, warning or note; fix is a statement. docs/lint.md describes the rules. It changes nothing. The command postern lint shows the same.
Example: select severity, object, what, fix from postern.lint() where severity <> ''note'';';
