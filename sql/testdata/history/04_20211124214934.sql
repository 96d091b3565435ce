-- Identities with the id at the provider as key; helpers that mishandle empty settings.
create table auth.identities (
  id text not null,
  user_id uuid not null,
  identity_data jsonb not null,
  provider text not null,
  last_sign_in_at timestamptz,
  created_at timestamptz,
  updated_at timestamptz,
  constraint identities_pkey primary key (provider, id),
  constraint identities_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
create index identities_user_id_idx on auth.identities (user_id);
alter table auth.refresh_tokens
  add constraint refresh_tokens_token_unique unique (token),
  add column parent varchar(255);
alter table auth.refresh_tokens
  add constraint refresh_tokens_parent_fkey foreign key (parent) references auth.refresh_tokens (token);
create index refresh_tokens_parent_idx on auth.refresh_tokens (parent);
create or replace function auth.uid() returns uuid language sql stable
as $$ select coalesce(current_setting('request.jwt.claim.sub', true),
  current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid $$;
create or replace function auth.role() returns text language sql stable
as $$ select coalesce(current_setting('request.jwt.claim.role', true),
  current_setting('request.jwt.claims', true)::jsonb ->> 'role')::text $$;
create function auth.email() returns text language sql stable
as $$ select coalesce(current_setting('request.jwt.claim.email', true),
  current_setting('request.jwt.claims', true)::jsonb ->> 'email')::text $$;

-- fay was invited and signed in with Google; gil has Google and a password; hal's e-mail identity lacks
-- the address; ivy has a phone only.
insert into auth.users (instance_id, id, email, phone, encrypted_password, created_at) values
  (null, '00000000-0000-0000-0000-000000000010', 'gil@example.com', null, '$2a$10$gil', '2021-11-25'),
  (null, '00000000-0000-0000-0000-000000000011', 'Hal@example.com', null, '$2a$10$hal', '2021-11-25'),
  (null, '00000000-0000-0000-0000-000000000012', null, '15550100', '$2a$10$ivy', '2021-11-25');
insert into auth.identities values
  ('g-fay', '00000000-0000-0000-0000-00000000000f', '{"sub": "g-fay"}', 'google', '2021-12-01', '2021-12-01', '2021-12-01'),
  ('g-gil', '00000000-0000-0000-0000-000000000010', '{"sub": "g-gil", "email": "Gil@Example.com"}', 'google', '2021-12-01', '2021-12-01', '2021-12-01'),
  ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-000000000011',
    '{"sub": "00000000-0000-0000-0000-000000000011"}', 'email', '2021-12-01', '2021-12-01', '2021-12-01');
insert into auth.refresh_tokens (token, user_id, revoked, parent)
values ('token-of-ann-bbbbbbbbb', '00000000-0000-0000-0000-00000000000a', false, 'token-of-ann-aaaaaaaaa');
