-- What a document of postern.user_imports says, as rows of the auth schema. docs/moving.md describes the document: the
-- user object of GET /admin/users/{id}, with password_hash and the secrets of factors.

-- Returns {"user", "identities", "factors": rows; "keys": what no two users share; "changes": for a user who exists;
-- "has_identities"}, or {"code", "message"} for a document that is refused: the checks are those of postern.create_user.
create or replace function postern_internal.read_import(p_document json, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_document jsonb;
  v_user jsonb;
  v_identities jsonb;
  v_factors jsonb;
  v_code text;
begin
  v_document := postern_internal.import_members(p_document::jsonb);
  v_user := postern_internal.import_user(v_document, p_context);
  v_identities := postern_internal.import_identities(v_document, v_user);
  v_factors := postern_internal.import_factors(v_document, v_user);
  if v_user ->> 'email' is null and v_user ->> 'phone' is null and v_identities = '[]'
    and not coalesce((v_user ->> 'is_anonymous')::boolean, false)
  then
    perform postern_internal.fail(
      400, 'validation_failed', 'Cannot create a user without either an email or phone');
  end if;
  return jsonb_build_object(
    'user', postern_internal.import_metadata(v_user, v_document, v_identities),
    'identities', v_identities, 'factors', v_factors, 'has_identities', v_document ? 'identities',
    'keys', postern_internal.import_keys(v_user, v_identities, v_factors, p_context),
    'changes', (
      select coalesce(jsonb_object_agg(m.key, m.value), '{}') from jsonb_each(v_document) as m
      where m.key in ('role', 'user_metadata', 'app_metadata')));
exception when data_exception or program_limit_exceeded or sqlstate 'PT400' then
  get stacked diagnostics v_code = pg_exception_detail;
  return jsonb_build_object(
    'code', case when sqlstate = 'PT400' then v_code else 'validation_failed' end, 'message', sqlerrm);
end;
$$;

-- The members of a document without those that are null. What nobody would look at is refused, so that a name with a slip
-- in it loses no password; members that only tell how an account once came about may be there.
-- Raises: validation_failed (400).
create or replace function postern_internal.import_members(p_document jsonb)
returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  c_known constant text[] := array['id', 'aud', 'role', 'email', 'phone', 'email_confirmed_at', 'phone_confirmed_at',
    'password_hash', 'user_metadata', 'app_metadata', 'banned_until', 'invited_at', 'created_at', 'updated_at',
    'last_sign_in_at', 'is_anonymous', 'is_sso_user', 'identities', 'factors'];
  c_idle constant text[] := array['confirmed_at', 'confirmation_sent_at', 'recovery_sent_at', 'email_change_sent_at',
    'phone_change_sent_at', 'reauthentication_sent_at', 'new_email', 'new_phone'];
  v_unknown text;
begin
  if jsonb_typeof(p_document) is distinct from 'object' then
    perform postern_internal.fail(400, 'validation_failed', 'The document is no JSON object');
  elsif p_document ? 'password' then
    perform postern_internal.fail(
      400, 'validation_failed', 'A password in plain text is not imported; give password_hash');
  end if;
  select m.key into v_unknown
  from jsonb_object_keys(p_document) as m (key) where m.key <> all (c_known || c_idle) limit 1;
  if v_unknown is not null then
    perform postern_internal.fail(400, 'validation_failed', format('A user has no member %s', v_unknown));
  end if;
  return (
    select coalesce(jsonb_object_agg(m.key, m.value), '{}') from jsonb_each(p_document) as m where m.value <> 'null');
end;
$$;

-- The row of auth.users, without metadata. Raises: validation_failed (400), data_exception.
create or replace function postern_internal.import_user(p_document jsonb, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_row auth.users := jsonb_populate_record(null::auth.users, p_document - array['user_metadata', 'app_metadata']);
  v_created_at timestamptz := coalesce(v_row.created_at, postern_internal.clock());
begin
  perform postern_internal.check_times(v_row.created_at, v_row.updated_at, v_row.last_sign_in_at,
    v_row.email_confirmed_at, v_row.phone_confirmed_at, v_row.banned_until, v_row.invited_at);
  return jsonb_strip_nulls(jsonb_build_object(
    'id', coalesce(v_row.id, gen_random_uuid()),
    'aud', coalesce(nullif(v_row.aud, ''), p_context ->> 'aud'),
    'role', coalesce(nullif(btrim(v_row.role), ''), p_context ->> 'default_role'),
    'email', postern_internal.check_email(v_row.email),
    'phone', postern_internal.check_phone(v_row.phone),
    'encrypted_password', case
      when p_document ? 'password_hash' then postern_internal.import_hash(p_document)
    end,
    'email_confirmed_at', case when v_row.email <> '' then v_row.email_confirmed_at end,
    'phone_confirmed_at', case when v_row.phone <> '' then v_row.phone_confirmed_at end,
    'banned_until', v_row.banned_until, 'invited_at', v_row.invited_at, 'last_sign_in_at', v_row.last_sign_in_at,
    'created_at', v_created_at, 'updated_at', coalesce(v_row.updated_at, v_created_at),
    'is_anonymous', coalesce(v_row.is_anonymous, false), 'is_sso_user', coalesce(v_row.is_sso_user, false)));
end;
$$;

-- The hash as it is stored. One that a server sealed is good for the id that it was sealed for, so the document has to have it.
-- Raises: validation_failed (400).
create or replace function postern_internal.import_hash(p_document jsonb)
returns text
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_hash text := p_document ->> 'password_hash';
begin
  if v_hash like '{"key_id":%' and p_document ? 'id' and length(v_hash) <= 255 then
    return v_hash;
  end if;
  return postern_internal.check_password_hash(v_hash);
end;
$$;

-- Raises validation_failed (400) for times that clients cannot read: infinity, and years that have no four digits.
create or replace function postern_internal.check_times(variadic p_times timestamptz[])
returns void
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_time timestamptz;
begin
  foreach v_time in array p_times loop
    if v_time not between '0001-01-01 00:00Z' and '9999-12-31 23:59Z' then
      perform postern_internal.fail(400, 'validation_failed', format('The time %s is out of range', v_time));
    end if;
  end loop;
end;
$$;

-- The rows of auth.identities: those of the document, else those that postern.create_user makes. Of the identities email and
-- phone the provider is enough; the others need an id. Raises: validation_failed (400), data_exception.
create or replace function postern_internal.import_identities(p_document jsonb, p_user jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_identity jsonb;
  v_row auth.identities;
  v_rows jsonb := '[]'::jsonb;
  v_created_at timestamptz;
  v_listed jsonb := p_document -> 'identities';
begin
  if v_listed is null then
    v_listed := case when p_user ? 'email' then '[{"provider": "email"}]' else '[]' end::jsonb
      || case when p_user ? 'phone' then '[{"provider": "phone"}]' else '[]' end::jsonb;
  end if;
  for v_identity in select e from jsonb_array_elements(v_listed) as e loop
    v_row := jsonb_populate_record(null::auth.identities, v_identity - array['id', 'user_id', 'email']);
    v_row.provider_id := coalesce(nullif(v_identity ->> 'id', ''), case
      when v_row.provider in ('email', 'phone') then p_user ->> 'id' end);
    if coalesce(v_row.provider, '') = '' or v_row.provider_id is null then
      perform postern_internal.fail(400, 'validation_failed', 'An identity needs a provider and an id');
    end if;
    v_row.identity_data := coalesce(nullif(v_row.identity_data, 'null'), case v_row.provider
      when 'email' then postern_internal.base_identity_data((p_user ->> 'id')::uuid, p_user ->> 'email')
      when 'phone' then postern_internal.base_identity_data((p_user ->> 'id')::uuid, null)
        || jsonb_build_object('phone', p_user ->> 'phone')
      else jsonb_build_object('sub', v_row.provider_id) end);
    perform postern_internal.check_metadata(v_row.identity_data),
      postern_internal.check_times(v_row.created_at, v_row.updated_at, v_row.last_sign_in_at);
    if not p_document ? 'identities' then
      v_row.last_sign_in_at := postern_internal.clock();
    end if;
    v_created_at := coalesce(v_row.created_at, (p_user ->> 'created_at')::timestamptz);
    v_rows := v_rows || (jsonb_strip_nulls(jsonb_build_object(
      'id', coalesce((v_identity ->> 'identity_id')::uuid, gen_random_uuid()),
      'user_id', p_user -> 'id', 'provider', v_row.provider, 'provider_id', v_row.provider_id,
      'created_at', v_created_at, 'updated_at', coalesce(v_row.updated_at, v_created_at),
      'last_sign_in_at', v_row.last_sign_in_at)) || jsonb_build_object('identity_data', v_row.identity_data));
  end loop;
  return v_rows;
end;
$$;

-- The rows of auth.mfa_factors: authenticator apps with their secret (base32), and phones. The factors of others, and those
-- that nobody verified, have to be enrolled anew. Raises: validation_failed (400), data_exception.
create or replace function postern_internal.import_factors(p_document jsonb, p_user jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_factor jsonb;
  v_row auth.mfa_factors;
  v_rows jsonb := '[]'::jsonb;
begin
  for v_factor in select e from jsonb_array_elements(coalesce(p_document -> 'factors', '[]')) as e loop
    v_row := jsonb_populate_record(null::auth.mfa_factors, '{"status": "verified", "factor_type": "totp"}' || v_factor);
    if v_row.status = 'unverified' then
      continue;
    elsif v_row.factor_type = 'totp' and (v_row.secret ~ '^[A-Z2-7]{16,}$' or v_row.secret like '{"key_id":%') is not true
      or v_row.factor_type = 'phone' and coalesce(v_row.phone, '') = ''
      or v_row.factor_type not in ('totp', 'phone')
    then
      perform postern_internal.fail(400, 'validation_failed',
        'A second factor is an authenticator app with a secret in base32, or a phone with its number');
    end if;
    perform postern_internal.check_times(v_row.created_at, v_row.updated_at);
    v_row.id := coalesce(v_row.id, gen_random_uuid());
    v_row.user_id := (p_user ->> 'id')::uuid;
    v_row.phone := postern_internal.check_phone(v_row.phone);
    v_row.created_at := coalesce(v_row.created_at, (p_user ->> 'created_at')::timestamptz);
    v_row.updated_at := coalesce(v_row.updated_at, v_row.created_at);
    v_row.last_challenged_at := null; -- unique among all factors, and no use elsewhere
    v_rows := v_rows || jsonb_strip_nulls(to_jsonb(v_row));
  end loop;
  return v_rows;
end;
$$;

-- Adds the metadata: what the document says, over what postern.create_user writes. Raises: validation_failed (400).
create or replace function postern_internal.import_metadata(p_user jsonb, p_document jsonb, p_identities jsonb)
returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_mine jsonb := coalesce(p_document -> 'user_metadata', '{}');
  v_providers jsonb := '[]'::jsonb;
  v_provider jsonb;
  v_claims jsonb;
begin
  perform postern_internal.check_metadata(v_mine), postern_internal.check_metadata(
    coalesce(p_document -> 'app_metadata', '{}'));
  if p_user ? 'email_confirmed_at' and not p_document ? 'identities' then
    v_mine := '{"email_verified": true}' || v_mine;
  end if;
  for v_provider in select e -> 'provider' from jsonb_array_elements(p_identities) as e loop
    if not v_providers @> v_provider then
      v_providers := v_providers || v_provider;
    end if;
  end loop;
  v_claims := case
    when v_providers = '[]' then '{}'
    else jsonb_build_object('provider', v_providers -> 0, 'providers', v_providers)
  end;
  if p_document ? 'app_metadata' then
    v_claims := postern_internal.merge_metadata(v_claims, p_document -> 'app_metadata');
  end if;
  return p_user || jsonb_build_object('raw_user_meta_data', v_mine, 'raw_app_meta_data', v_claims);
end;
$$;

-- What no two users share: of two rows of a batch with one key, the second waits for what becomes of the first.
create or replace function postern_internal.import_keys(
  p_user jsonb,
  p_identities jsonb,
  p_factors jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_keys text[] := array['id ' || (p_user ->> 'id')];
  v_row jsonb;
begin
  if p_user ? 'phone' then
    v_keys := v_keys || ('phone ' || (p_user ->> 'phone'));
  end if;
  if p_user ? 'email' and not (p_user ->> 'is_sso_user')::boolean then
    v_keys := v_keys || ('email ' || (p_user ->> 'email'));
  end if;
  for v_row in select e from jsonb_array_elements(p_identities) as e loop
    v_keys := v_keys || ('identity ' || (v_row ->> 'id'))
      || format('identity %s %s', v_row -> 'provider', v_row -> 'provider_id');
    if v_row #>> '{identity_data,email}' is not null
      and postern_internal.linking_domain(v_row ->> 'provider', p_context) = 'default'
    then
      v_keys := v_keys || ('email ' || lower(v_row #>> '{identity_data,email}'));
    end if;
  end loop;
  for v_row in select e from jsonb_array_elements(p_factors) as e loop
    v_keys := v_keys || ('factor ' || (v_row ->> 'id'));
  end loop;
  return to_jsonb(v_keys);
end;
$$;
