-- The first schema (spec/09 section 1), as made by hand: one owner, no unique e-mail.
create table auth.schema_migrations (
  version varchar(255) not null,
  constraint schema_migrations_pkey primary key (version)
);
create table auth.users (
  instance_id uuid,
  id uuid not null,
  aud varchar(255),
  role varchar(255),
  email varchar(255),
  encrypted_password varchar(255),
  confirmed_at timestamptz,
  invited_at timestamptz,
  confirmation_token varchar(255),
  confirmation_sent_at timestamptz,
  recovery_token varchar(255),
  recovery_sent_at timestamptz,
  email_change_token varchar(255),
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
create index users_instance_id_email_idx on auth.users (instance_id, email);
create index users_instance_id_idx on auth.users (instance_id);
create table auth.refresh_tokens (
  instance_id uuid,
  id bigserial,
  token varchar(255),
  user_id varchar(255),
  revoked boolean,
  created_at timestamptz,
  updated_at timestamptz,
  constraint refresh_tokens_pkey primary key (id)
);
create index refresh_tokens_instance_id_idx on auth.refresh_tokens (instance_id);
create index refresh_tokens_instance_id_user_id_idx on auth.refresh_tokens (instance_id, user_id);
create index refresh_tokens_token_idx on auth.refresh_tokens (token);
create table auth.instances (
  id uuid not null,
  uuid uuid,
  raw_base_config text,
  created_at timestamptz,
  updated_at timestamptz,
  constraint instances_pkey primary key (id)
);
create table auth.audit_log_entries (
  instance_id uuid,
  id uuid not null,
  payload json,
  created_at timestamptz,
  constraint audit_log_entries_pkey primary key (id)
);
create index audit_logs_instance_id_idx on auth.audit_log_entries (instance_id);
create function auth.uid() returns uuid language sql stable
as $$ select nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$;
create function auth.role() returns text language sql stable
as $$ select nullif(current_setting('request.jwt.claim.role', true), '')::text $$;

-- What applications put beside it.
create table public.notes (
  owner uuid default auth.uid() references auth.users (id) on delete cascade,
  body text
);
alter table public.notes enable row level security;
create policy own on public.notes using (owner = auth.uid());
create table public.changes (table_name text, operation text);
create function public.note_change() returns trigger language plpgsql
as $$ begin insert into public.changes values (tg_table_name, tg_op); return new; end $$;
create trigger note_change after insert or update on auth.users
  for each row execute function public.note_change();

insert into auth.users (instance_id, id, aud, role, email, encrypted_password, confirmed_at, invited_at,
  email_change_token, created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', id::uuid, 'authenticated', 'authenticated', email, password,
  confirmed::timestamptz, invited::timestamptz, change, '2018-02-01', '2018-02-02'
from (values
  ('00000000-0000-0000-0000-00000000000a', 'Ann@example.com', '$2a$10$ann', '2018-02-03Z', null, 'tok-ann'),
  ('00000000-0000-0000-0000-00000000000b', 'bob@example.com', '', null, '2018-02-03Z', ''),
  ('00000000-0000-0000-0000-00000000000c', 'cid@example.com', '', null, null, ''),
  ('00000000-0000-0000-0000-00000000000d', 'dan@example.com', null, null, null, ''),
  ('00000000-0000-0000-0000-00000000000e', null, '$2a$10$eve', null, null, ''),
  ('00000000-0000-0000-0000-00000000000f', 'fay@example.com', '$2a$10$fay', '2018-02-04Z', '2018-02-03Z', '')
) as u (id, email, password, confirmed, invited, change);
insert into public.notes values ('00000000-0000-0000-0000-00000000000a', 'mine');
insert into auth.refresh_tokens (token, user_id, revoked) values ('token-of-ann-aaaaaaaaa', '00000000-0000-0000-0000-00000000000a', false);
insert into auth.audit_log_entries values (null, '00000000-0000-0000-0000-0000000000ad', '{"action": "login"}', '2018-02-03');
