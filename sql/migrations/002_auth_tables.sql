-- Schema auth, second part: types, tables and columns (spec/05 sections 2 and 4), core first. What a
-- table had from its first day is in its "create"; what came later is added below it, so that each
-- column is written once for new and old databases alike.

do $$
declare
  v_type record;
begin
  for v_type in
    select * from (values
      ('aal_level', '{aal1,aal2,aal3}'::text[]),
      ('code_challenge_method', '{s256,plain}'),
      ('factor_status', '{unverified,verified}'),
      ('factor_type', '{totp,webauthn,phone}'),
      ('oauth_authorization_status', '{pending,approved,denied,expired}'),
      ('oauth_client_type', '{public,confidential}'),
      ('oauth_registration_type', '{dynamic,manual}'),
      ('oauth_response_type', '{code}'),
      ('one_time_token_type', '{confirmation_token,reauthentication_token,recovery_token,email_change_token_new,'
        'email_change_token_current,phone_change_token}')
    ) as t (name, labels)
    where to_regtype('auth.' || t.name) is null
  loop
    execute format('create type auth.%I as enum (%s)', v_type.name,
      (select string_agg(quote_literal(l), ', ' order by n)
       from unnest(v_type.labels) with ordinality as u (l, n)));
  end loop;
end;
$$;

-- The one value that an enum got later. PostgreSQL refuses to use it before this transaction is over.
alter type auth.factor_type add value if not exists 'phone';

-- The index doubles the key; only tables that were made with the first migration have it.
do $$
begin
  if to_regclass('auth.schema_migrations') is null then
    create table auth.schema_migrations (
      version varchar(14) not null,
      constraint schema_migrations_pkey primary key (version)
    );
    create unique index schema_migrations_version_idx on auth.schema_migrations (version);
  end if;
end;
$$;

create table if not exists auth.instances (
  id uuid not null,
  uuid uuid,
  raw_base_config text,
  created_at timestamptz,
  updated_at timestamptz,
  constraint instances_pkey primary key (id)
);

create table if not exists auth.users (
  instance_id uuid,
  id uuid not null,
  aud varchar(255),
  role varchar(255),
  email varchar(255),
  encrypted_password varchar(255),
  email_confirmed_at timestamptz,
  invited_at timestamptz,
  confirmation_token varchar(255),
  confirmation_sent_at timestamptz,
  recovery_token varchar(255),
  recovery_sent_at timestamptz,
  email_change_token_new varchar(255),
  email_change varchar(255),
  email_change_sent_at timestamptz,
  last_sign_in_at timestamptz,
  raw_app_meta_data jsonb,
  raw_user_meta_data jsonb,
  is_super_admin boolean,
  created_at timestamptz,
  updated_at timestamptz,
  constraint users_pkey primary key (id)
);
-- The two phone columns are made as they once were and become text in part four, as in any database
-- that went through all versions: their defaults print differently otherwise.
alter table auth.users
  add column if not exists phone varchar(15) default null,
  add column if not exists phone_confirmed_at timestamptz,
  add column if not exists phone_change varchar(15) default '',
  add column if not exists phone_change_token varchar(255) default '',
  add column if not exists phone_change_sent_at timestamptz;
alter table auth.users
  add column if not exists confirmed_at timestamptz
    generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
  add column if not exists email_change_token_current varchar(255) default '',
  add column if not exists email_change_confirm_status smallint default 0,
  add column if not exists banned_until timestamptz,
  add column if not exists reauthentication_token varchar(255) default '',
  add column if not exists reauthentication_sent_at timestamptz,
  add column if not exists is_sso_user boolean not null default false,
  add column if not exists deleted_at timestamptz,
  add column if not exists is_anonymous boolean not null default false;

create table if not exists auth.identities (
  provider_id text not null,
  user_id uuid not null,
  identity_data jsonb not null,
  provider text not null,
  last_sign_in_at timestamptz,
  created_at timestamptz,
  updated_at timestamptz,
  constraint identities_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
alter table auth.identities
  add column if not exists email text
    generated always as (lower(identity_data ->> 'email')) stored,
  add column if not exists id uuid not null default gen_random_uuid();

create table if not exists auth.sessions (
  id uuid not null,
  user_id uuid not null,
  created_at timestamptz,
  updated_at timestamptz,
  constraint sessions_pkey primary key (id),
  constraint sessions_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
alter table auth.sessions
  add column if not exists factor_id uuid,
  add column if not exists aal auth.aal_level,
  add column if not exists not_after timestamptz,
  add column if not exists refreshed_at timestamp,
  add column if not exists user_agent text,
  add column if not exists ip inet,
  add column if not exists tag text,
  add column if not exists oauth_client_id uuid,
  add column if not exists refresh_token_hmac_key text,
  add column if not exists refresh_token_counter bigint,
  add column if not exists scopes text;

create sequence if not exists auth.refresh_tokens_id_seq;
create table if not exists auth.refresh_tokens (
  instance_id uuid,
  id bigint not null default nextval('auth.refresh_tokens_id_seq'),
  token varchar(255),
  user_id varchar(255),
  revoked boolean,
  created_at timestamptz,
  updated_at timestamptz,
  constraint refresh_tokens_pkey primary key (id)
);
alter sequence auth.refresh_tokens_id_seq owned by auth.refresh_tokens.id;
alter table auth.refresh_tokens
  add column if not exists parent varchar(255),
  add column if not exists session_id uuid;

create table if not exists auth.one_time_tokens (
  id uuid not null,
  user_id uuid not null,
  token_type auth.one_time_token_type not null,
  token_hash text not null,
  relates_to text not null,
  created_at timestamp not null default now(),
  updated_at timestamp not null default now(),
  constraint one_time_tokens_pkey primary key (id),
  constraint one_time_tokens_user_id_fkey
    foreign key (user_id) references auth.users (id) on delete cascade,
  constraint one_time_tokens_token_hash_check check (char_length(token_hash) > 0)
);

create table if not exists auth.audit_log_entries (
  instance_id uuid,
  id uuid not null,
  payload json,
  created_at timestamptz,
  constraint audit_log_entries_pkey primary key (id)
);
alter table auth.audit_log_entries
  add column if not exists ip_address varchar(64) not null default '';

create table if not exists auth.flow_state (
  id uuid not null,
  user_id uuid,
  auth_code text,
  code_challenge_method auth.code_challenge_method,
  code_challenge text,
  provider_type text not null,
  provider_access_token text,
  provider_refresh_token text,
  created_at timestamptz,
  updated_at timestamptz,
  constraint flow_state_pkey primary key (id)
);
-- Flows of the ten days before this column are long over; the default is only for their rows.
alter table auth.flow_state
  add column if not exists authentication_method text not null default '';
alter table auth.flow_state
  alter column authentication_method drop default,
  add column if not exists auth_code_issued_at timestamptz,
  add column if not exists invite_token text,
  add column if not exists referrer text,
  add column if not exists oauth_client_state_id uuid,
  add column if not exists linking_target_id uuid,
  add column if not exists email_optional boolean not null default false;
