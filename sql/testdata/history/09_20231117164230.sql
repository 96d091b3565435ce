-- Identities with a uuid as key.
alter table auth.sessions
  add column refreshed_at timestamp, add column user_agent text, add column ip inet, add column tag text;
alter table auth.identities rename column id to provider_id;
alter table auth.identities
  drop constraint identities_pkey,
  add column id uuid not null default gen_random_uuid();
alter table auth.identities
  add constraint identities_pkey primary key (id),
  add constraint identities_provider_id_provider_unique unique (provider_id, provider);
