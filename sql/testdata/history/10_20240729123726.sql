-- One-time tokens, row level security, phone factors with two unique rules too many.
alter table auth.saml_relay_states drop column from_ip_address;
alter table auth.saml_providers add column name_id_format text;
alter table auth.users add column is_anonymous boolean not null default false;
create index users_is_anonymous_idx on auth.users (is_anonymous);
alter table auth.flow_state add column auth_code_issued_at timestamptz;
create type auth.one_time_token_type as enum ('confirmation_token', 'reauthentication_token', 'recovery_token',
  'email_change_token_new', 'email_change_token_current', 'phone_change_token');
create table auth.one_time_tokens (
  id uuid primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  token_type auth.one_time_token_type not null,
  token_hash text not null check (char_length(token_hash) > 0),
  relates_to text not null,
  created_at timestamp not null default now(),
  updated_at timestamp not null default now()
);
create index one_time_tokens_token_hash_hash_idx on auth.one_time_tokens using hash (token_hash);
create index one_time_tokens_relates_to_hash_idx on auth.one_time_tokens using hash (relates_to);
create unique index one_time_tokens_user_id_token_type_key on auth.one_time_tokens (user_id, token_type);
do $$
declare v_table text;
begin
  for v_table in select relname from pg_class where relnamespace = 'auth'::regnamespace and relkind = 'r' loop
    execute format('alter table auth.%I enable row level security', v_table);
    execute format('grant select on auth.%I to postgres with grant option', v_table);
  end loop;
end $$;
alter type auth.factor_type add value 'phone';
alter table auth.mfa_factors add column phone text unique, add column last_challenged_at timestamptz unique;
create unique index unique_verified_phone_factor on auth.mfa_factors (user_id, phone);
alter table auth.mfa_challenges add column otp_code text;
