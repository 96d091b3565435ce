-- The e-mail address of the user who makes the request: the claim `email`. Frozen; see uid.sql.
create or replace function auth.email()
returns text
language sql stable
as $$
  select coalesce(
    nullif(pg_catalog.current_setting('request.jwt.claim.email', true), ''),
    nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'email'
  )::pg_catalog.text
$$;
comment on function auth.email() is 'Deprecated. Use auth.jwt() -> ''email'' instead.';
