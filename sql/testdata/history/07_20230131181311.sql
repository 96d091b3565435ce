-- Back-fills done (with the peer's results for the rows above), is_sso_user, text phones.
alter table auth.mfa_amr_claims add column id uuid not null default gen_random_uuid();
alter table auth.mfa_amr_claims alter column id drop default, add constraint amr_id_pk primary key (id);
alter table auth.refresh_tokens drop constraint refresh_tokens_parent_fkey;
drop table auth.sso_sessions;
alter table auth.users add column is_sso_user boolean not null default false, add column deleted_at timestamptz;
alter table auth.users drop constraint if exists users_email_key;
create unique index users_email_partial_key on auth.users (email) where (is_sso_user = false);
comment on column auth.users.is_sso_user is 'a comment that was there before';
alter table auth.users alter column phone type text, alter column phone_change type text;
alter table auth.sessions add column not_after timestamptz;
insert into auth.identities (id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at) values
  ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000a',
    '{"sub": "00000000-0000-0000-0000-00000000000a", "email": "Ann@example.com"}', 'email', '2022-11-25Z', '2022-11-25Z', '2022-11-25Z'),
  ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000b',
    '{"sub": "00000000-0000-0000-0000-00000000000b", "email": "bob@example.com"}', 'email', null, '2023-01-25Z', '2023-01-25Z'),
  ('00000000-0000-0000-0000-00000000000f', '00000000-0000-0000-0000-00000000000f',
    '{"sub": "00000000-0000-0000-0000-00000000000f", "email": "fay@example.com"}', 'email', null, '2023-01-25Z', '2023-01-25Z');
update auth.identities
set identity_data = identity_data || '{"email": "Hal@example.com"}', updated_at = '2022-11-25Z'
where user_id = '00000000-0000-0000-0000-000000000011';
alter table auth.identities
  add column email text generated always as (lower(identity_data ->> 'email')) stored;
create index identities_email_idx on auth.identities (email text_pattern_ops);

-- Somebody with a password who unlinked the e-mail identity: no data step may bring it back.
insert into auth.users (id, email, encrypted_password, invited_at) values
  ('00000000-0000-0000-0000-000000000013', 'joe@example.com', '$2a$10$joe', '2023-02-02');
