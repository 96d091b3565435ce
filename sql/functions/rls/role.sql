-- The database role of the request: the claim `role`. Frozen; see uid.sql.
create or replace function auth.role()
returns text
language sql stable
as $$
  select coalesce(
    nullif(pg_catalog.current_setting('request.jwt.claim.role', true), ''),
    nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'role'
  )::pg_catalog.text
$$;
comment on function auth.role() is 'Deprecated. Use auth.jwt() -> ''role'' instead.';
