-- Flow states, indexes for the clean-up.
create type auth.code_challenge_method as enum ('s256', 'plain');
create table auth.flow_state (
  id uuid primary key,
  user_id uuid,
  auth_code text not null,
  code_challenge_method auth.code_challenge_method not null,
  code_challenge text not null,
  provider_type text not null,
  provider_access_token text,
  provider_refresh_token text,
  created_at timestamptz,
  updated_at timestamptz,
  authentication_method text not null
);
create index idx_auth_code on auth.flow_state (auth_code);
create index idx_user_id_auth_method on auth.flow_state (user_id, authentication_method);
create index flow_state_created_at_idx on auth.flow_state (created_at desc);
alter table auth.saml_relay_states add column flow_state_id uuid references auth.flow_state (id) on delete cascade;
drop index auth.refresh_tokens_token_idx;
create index refresh_tokens_updated_at_idx on auth.refresh_tokens (updated_at desc);
create index saml_relay_states_created_at_idx on auth.saml_relay_states (created_at desc);
create index mfa_challenge_created_at_idx on auth.mfa_challenges (created_at desc);
create index sessions_user_id_idx on auth.sessions (user_id);
create index sessions_not_after_idx on auth.sessions (not_after desc);
create index mfa_factors_user_id_idx on auth.mfa_factors (user_id);

insert into auth.flow_state values ('00000000-0000-0000-0000-0000000000fe', null, 'code', 's256', 'challenge', 'email', '', '', now(), now(), 'magiclink');
