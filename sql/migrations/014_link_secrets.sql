-- What a mailed link says besides the row it means (sql/functions/otp/links.sql). Keyed by ids of auth.one_time_tokens,
-- without a foreign key, like the other tables of schema postern.
create table postern.link_secrets (
  token_id uuid primary key,
  token_hash text not null,     -- a newer token in the same row has another one
  secret_hash bytea not null,   -- SHA-256 of the secret in the link
  created_at timestamptz not null
) with (fillfactor = 80);
comment on table postern.link_secrets is
  'The secrets of mailed links, hashed: knowing address and code does not make a link.';
