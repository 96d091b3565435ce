-- Tokens of OAuth providers that are kept because an operator asked for it (POSTERN_PROVIDER_TOKENS). Keyed by ids of
-- tables of schema auth, without foreign keys to them, like the other tables of schema postern.
create table postern.provider_tokens (
  id uuid primary key,               -- of provider and subject; the tokens are sealed for it (spec/05 section 8)
  identity_id uuid not null unique,  -- auth.identities.id
  user_id uuid not null,
  provider text not null,
  access_token text not null,        -- sealed
  refresh_token text,                -- sealed; null where the provider gave none, or takes it no more
  scope text,                        -- as the provider said it; null when it did not
  expires_at timestamptz,            -- of the access token; null when it does not expire
  refusal text,                      -- why the provider would not refresh it
  refreshing_until timestamptz,      -- a server is at it
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index provider_tokens_user_idx on postern.provider_tokens (user_id);
create index provider_tokens_expires_idx on postern.provider_tokens (expires_at) where refresh_token is not null;
comment on table postern.provider_tokens is
  'Tokens of OAuth providers, encrypted, of the providers in POSTERN_PROVIDER_TOKENS; one row per identity.';
