-- The shape of what SQL callers give; the HTTP layer checks the same in api/input and api/password.

-- An e-mail address in lower case, null for none. Raises: validation_failed (400).
create or replace function postern_internal.check_email(p_email text)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if octet_length(p_email) > 255 then
    perform postern_internal.fail(400, 'validation_failed', 'An email address is too long');
  elsif p_email <> '' and p_email !~ ('^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]+'
    || '@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$')
  then
    perform postern_internal.fail(
      400, 'validation_failed', 'Unable to validate email address: invalid format');
  end if;
  return lower(nullif(p_email, ''));
end;
$$;

-- The digits of a phone number, null for none; a leading + and spaces are dropped. Raises: validation_failed (400).
create or replace function postern_internal.check_phone(p_phone text)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_phone text := nullif(regexp_replace(p_phone, '^\+| ', '', 'g'), '');
begin
  if v_phone !~ '^[1-9][0-9]{1,14}$' then
    perform postern_internal.fail(
      400, 'validation_failed', 'Invalid phone number format (E.164 required)');
  end if;
  return v_phone;
end;
$$;

-- Raises validation_failed (400) for what is no JSON object, as null is none.
create or replace function postern_internal.check_metadata(p_metadata jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if jsonb_typeof(p_metadata) is distinct from 'object' then
    perform postern_internal.fail(400, 'validation_failed', 'Metadata has to be a JSON object');
  end if;
end;
$$;

-- How long a ban lasts, in seconds. Raises: validation_failed (400) for null and for no time at all.
create or replace function postern_internal.ban_seconds(p_duration interval)
returns numeric
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if coalesce(p_duration, interval '0') <= interval '0' then
    perform postern_internal.fail(
      400, 'validation_failed', 'A ban lasts for some time; postern.unban_user() ends it');
  end if;
  return extract(epoch from p_duration);
end;
$$;

-- A password hash that sign-in can compare with, as it is stored: a credential of Keycloak, which the column has no room
-- for, in the PHC form. Raises: validation_failed (400).
create or replace function postern_internal.check_password_hash(p_hash text)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if not postern_internal.is_password_hash(p_hash) then
    perform postern_internal.fail(400, 'validation_failed', 'Not a password hash of a known format: bcrypt, Argon2, '
      || 'scrypt, PBKDF2, LDAP, sha-crypt, phpass, Django, ASP.NET or Keycloak, within the limits of docs/passwords.md');
  end if;
  if p_hash ~ '^\{[ \t\r\n]*"' then
    p_hash := postern_internal.keycloak_hash(p_hash);
  end if;
  if length(p_hash) > 255 then
    perform postern_internal.fail(400, 'validation_failed', 'The password hash is longer than 255 characters');
  end if;
  return p_hash;
end;
$$;

-- The bcrypt hash (cost 10) of a password, made by extension pgcrypto in whatever schema it is.
-- Raises: validation_failed (400) for an empty password or one of more than 72 bytes, of which bcrypt would read
-- only the first 72; feature_disabled (422) without the extension.
create or replace function postern_internal.hash_password(p_password text)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_schema name;
  v_hash text;
begin
  if coalesce(p_password, '') = '' then
    perform postern_internal.fail(400, 'validation_failed', 'A password cannot be empty');
  elsif octet_length(p_password) > 72 then
    perform postern_internal.fail(
      400, 'validation_failed', 'Password cannot be longer than 72 characters');
  end if;
  v_schema := postern_internal.need_pgcrypto(
    'hash elsewhere and give the hash: postern.set_password_hash, or password_hash of postern.create_user');
  execute format('select %1$I.crypt($1, %1$I.gen_salt(''bf'', 10))', v_schema) into v_hash using p_password;
  return v_hash;
end;
$$;

-- The schema of extension pgcrypto. p_or: what else the caller can do without it. Raises: feature_disabled (422).
create or replace function postern_internal.need_pgcrypto(p_or text)
returns name
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_schema name := (
    select n.nspname
    from pg_catalog.pg_extension as e join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
    where e.extname = 'pgcrypto');
begin
  if v_schema is null or not has_schema_privilege(v_schema, 'usage') then
    perform postern_internal.fail(422, 'feature_disabled', 'Passwords are hashed by the extension pgcrypto, which '
      || format('%s cannot use here: create it or grant usage on its schema, or %s', current_user, p_or));
  end if;
  return v_schema;
end;
$$;

-- The context of an SQL caller for what ends in a mail. p_redirect_to is where its link leads, null: the site; like
-- every redirect it is held against GOTRUE_URI_ALLOW_LIST when the link is followed.
-- Raises: feature_disabled (422) while no server has told what its links look like.
create or replace function postern_internal.mail_context(p_redirect_to text)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
begin
  if v_context -> 'verify_urls' = '{}' then
    perform postern_internal.fail(422, 'feature_disabled', 'No server has run on this database yet, so the address '
      || 'for links in mails is unknown: start "postern serve" once');
  end if;
  return v_context || jsonb_strip_nulls(jsonb_build_object('redirect_to', p_redirect_to));
end;
$$;
