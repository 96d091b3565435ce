-- Schema auth, first part of five: what older versions of Supabase Auth named or built in another way
-- (spec/09 section 3). Nothing here does anything on an empty database. Together the five files bring
-- any state, from nothing to the newest, to the shape of spec/05; they judge by the catalog, and run
-- in one transaction.

-- Helpers of these five files; the last one drops them.
create function postern_internal.has_column(p_table text, p_column text)
returns boolean
language sql stable
as $$
  select exists (
    select from pg_attribute
    where attrelid = to_regclass('auth.' || quote_ident(p_table)) and attname = p_column
      and attnum > 0 and not attisdropped
  )
$$;

-- The data steps that this database still needs (spec/09 section 4). One whose stamp is there must not
-- run again: a person who unlinked the e-mail identity would get it back. For the same reason none
-- runs where the stamps were lost but identities show that it is long past them.
create table postern_internal.due_data_steps (stamp text primary key);

-- What was there before; part five looks at it where a newer Supabase Auth has been at work.
create table postern_internal.columns_before as
select attrelid, attname
from pg_attribute join pg_class c on c.oid = attrelid
where relnamespace = 'auth'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped;

do $$
begin
  if postern_internal.has_column('identities', 'provider_id') then
    return;
  end if;
  insert into postern_internal.due_data_steps
  values ('20221125140132'), ('20221208132122'), ('20221215195800'), ('20230131181311');
  if to_regclass('auth.schema_migrations') is not null then
    delete from postern_internal.due_data_steps d
    using auth.schema_migrations m
    where m.version = d.stamp;
  end if;
end;
$$;

do $$
begin
  -- The confirmation of the e-mail used to have the name of today's generated column.
  if postern_internal.has_column('users', 'confirmed_at')
    and not postern_internal.has_column('users', 'email_confirmed_at')
  then
    alter table auth.users rename column confirmed_at to email_confirmed_at;
  end if;

  if postern_internal.has_column('users', 'email_change_token')
    and not postern_internal.has_column('users', 'email_change_token_new')
  then
    alter table auth.users rename column email_change_token to email_change_token_new;
  end if;

  -- The id at the provider used to have the name of today's uuid.
  if postern_internal.has_column('identities', 'id')
    and not postern_internal.has_column('identities', 'provider_id')
  then
    alter table auth.identities rename column id to provider_id;
  end if;

  if to_regclass('auth.unique_verified_phone_factor') is not null then
    if to_regclass('auth.unique_phone_factor_per_user') is null then
      alter index auth.unique_verified_phone_factor rename to unique_phone_factor_per_user;
    else
      drop index auth.unique_verified_phone_factor;
    end if;
  end if;
end;
$$;

alter table if exists auth.refresh_tokens drop constraint if exists refresh_tokens_parent_fkey;
drop index if exists auth.refresh_tokens_token_idx;
drop table if exists auth.sso_sessions;
alter table if exists auth.saml_relay_states drop column if exists from_ip_address;
alter table if exists auth.mfa_factors drop constraint if exists mfa_factors_phone_key;

-- The id of a client is its public client_id since then; the old text is lost, with its index and its
-- unique constraint.
alter table if exists auth.oauth_clients drop column if exists client_id;

-- A foreign key of an application may hold the old unique constraint; then it stays, and migrate says so.
do $$
begin
  alter table if exists auth.users drop constraint if exists users_email_key;
exception
  when dependent_objects_still_exist then null;
end;
$$;
