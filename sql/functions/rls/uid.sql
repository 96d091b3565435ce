-- The id of the user who makes the request: the claim `sub`. Policies of applications call it, so its
-- name, signature and meaning are frozen, it is only ever replaced in place, and it has no SET clause,
-- so that it stays inlinable. PostgREST sets the first setting before version 10, the second since.
create or replace function auth.uid()
returns uuid
language sql stable
as $$
  select coalesce(
    nullif(pg_catalog.current_setting('request.jwt.claim.sub', true), ''),
    nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub'
  )::pg_catalog.uuid
$$;
comment on function auth.uid() is 'Deprecated. Use auth.jwt() -> ''sub'' instead.';
