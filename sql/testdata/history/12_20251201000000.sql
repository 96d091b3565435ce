-- States of flows with third parties; flow_state still demands PKCE.
create type auth.oauth_client_type as enum ('public', 'confidential');
alter table auth.oauth_clients
  alter column client_secret_hash drop not null,
  add column client_type auth.oauth_client_type not null default 'confidential',
  drop column client_id;
alter table auth.sessions
  add column oauth_client_id uuid,
  add column refresh_token_hmac_key text,
  add column refresh_token_counter bigint,
  add column scopes text,
  add constraint sessions_oauth_client_id_fkey
    foreign key (oauth_client_id) references auth.oauth_clients (id) on delete cascade,
  add constraint sessions_scopes_length check (char_length(scopes) <= 4096);
create index sessions_oauth_client_id_idx on auth.sessions (oauth_client_id);
alter table auth.mfa_factors add column last_webauthn_challenge_data jsonb;
create index sso_providers_resource_id_pattern_idx on auth.sso_providers (resource_id text_pattern_ops);
-- A column without its check, as after an interrupted "add column if not exists".
alter table auth.oauth_authorizations add column nonce text;
create table auth.oauth_client_states (
  id uuid primary key,
  provider_type text not null,
  code_verifier text,
  created_at timestamptz not null
);
create index idx_oauth_client_states_created_at on auth.oauth_client_states (created_at);
alter table auth.flow_state
  add column invite_token text,
  add column referrer text,
  add column oauth_client_state_id uuid,
  add column linking_target_id uuid,
  add column email_optional boolean not null default false;

insert into auth.oauth_clients (id, registration_type, redirect_uris, grant_types, client_type)
values ('00000000-0000-0000-0000-00000000c12e', 'dynamic', 'https://b.example', 'authorization_code', 'public');
