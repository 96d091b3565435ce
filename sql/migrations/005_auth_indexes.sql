-- Schema auth, last part: indexes, row level security, comments, stamps.

-- Indexes as PostgreSQL prints them. One of the same name and another definition, or one whose build
-- was interrupted, is made again.
do $$
declare
  v_wanted record;
  v_index regclass;
begin
  for v_wanted in
    select name, is_unique, tab, format('USING %s', rest) as rest from (values
      ('confirmation_token_idx', true, 'users',
        $i$btree (confirmation_token) WHERE ((confirmation_token)::text !~ '^[0-9 ]*$'::text)$i$),
      ('recovery_token_idx', true, 'users',
        $i$btree (recovery_token) WHERE ((recovery_token)::text !~ '^[0-9 ]*$'::text)$i$),
      ('email_change_token_current_idx', true, 'users',
        $i$btree (email_change_token_current) WHERE ((email_change_token_current)::text !~ '^[0-9 ]*$'::text)$i$),
      ('email_change_token_new_idx', true, 'users',
        $i$btree (email_change_token_new) WHERE ((email_change_token_new)::text !~ '^[0-9 ]*$'::text)$i$),
      ('reauthentication_token_idx', true, 'users',
        $i$btree (reauthentication_token) WHERE ((reauthentication_token)::text !~ '^[0-9 ]*$'::text)$i$),
      ('users_email_partial_key', true, 'users', 'btree (email) WHERE (is_sso_user = false)'),
      ('users_instance_id_email_idx', false, 'users', 'btree (instance_id, lower((email)::text))'),
      ('users_instance_id_idx', false, 'users', 'btree (instance_id)'),
      ('users_is_anonymous_idx', false, 'users', 'btree (is_anonymous)'),
      ('identities_user_id_idx', false, 'identities', 'btree (user_id)'),
      ('identities_email_idx', false, 'identities', 'btree (email text_pattern_ops)'),
      ('sessions_user_id_idx', false, 'sessions', 'btree (user_id)'),
      ('user_id_created_at_idx', false, 'sessions', 'btree (user_id, created_at)'),
      ('sessions_not_after_idx', false, 'sessions', 'btree (not_after DESC)'),
      ('sessions_oauth_client_id_idx', false, 'sessions', 'btree (oauth_client_id)'),
      ('refresh_tokens_instance_id_idx', false, 'refresh_tokens', 'btree (instance_id)'),
      ('refresh_tokens_instance_id_user_id_idx', false, 'refresh_tokens', 'btree (instance_id, user_id)'),
      ('refresh_tokens_parent_idx', false, 'refresh_tokens', 'btree (parent)'),
      ('refresh_tokens_session_id_revoked_idx', false, 'refresh_tokens', 'btree (session_id, revoked)'),
      ('refresh_tokens_updated_at_idx', false, 'refresh_tokens', 'btree (updated_at DESC)'),
      ('one_time_tokens_user_id_token_type_key', true, 'one_time_tokens', 'btree (user_id, token_type)'),
      ('mfa_factors_user_friendly_name_unique', true, 'mfa_factors',
        $i$btree (friendly_name, user_id) WHERE (TRIM(BOTH FROM friendly_name) <> ''::text)$i$),
      ('unique_phone_factor_per_user', true, 'mfa_factors', 'btree (user_id, phone)'),
      ('mfa_factors_user_id_idx', false, 'mfa_factors', 'btree (user_id)'),
      ('factor_id_created_at_idx', false, 'mfa_factors', 'btree (user_id, created_at)'),
      ('mfa_challenge_created_at_idx', false, 'mfa_challenges', 'btree (created_at DESC)'),
      ('idx_auth_code', false, 'flow_state', 'btree (auth_code)'),
      ('idx_user_id_auth_method', false, 'flow_state', 'btree (user_id, authentication_method)'),
      ('flow_state_created_at_idx', false, 'flow_state', 'btree (created_at DESC)'),
      ('audit_logs_instance_id_idx', false, 'audit_log_entries', 'btree (instance_id)'),
      ('sso_providers_resource_id_idx', true, 'sso_providers', 'btree (lower(resource_id))'),
      ('sso_providers_resource_id_pattern_idx', false, 'sso_providers', 'btree (resource_id text_pattern_ops)'),
      ('sso_domains_domain_idx', true, 'sso_domains', 'btree (lower(domain))'),
      ('sso_domains_sso_provider_id_idx', false, 'sso_domains', 'btree (sso_provider_id)'),
      ('saml_providers_sso_provider_id_idx', false, 'saml_providers', 'btree (sso_provider_id)'),
      ('saml_relay_states_for_email_idx', false, 'saml_relay_states', 'btree (for_email)'),
      ('saml_relay_states_sso_provider_id_idx', false, 'saml_relay_states', 'btree (sso_provider_id)'),
      ('saml_relay_states_created_at_idx', false, 'saml_relay_states', 'btree (created_at DESC)'),
      ('oauth_clients_deleted_at_idx', false, 'oauth_clients', 'btree (deleted_at)'),
      ('oauth_auth_pending_exp_idx', false, 'oauth_authorizations',
        $i$btree (expires_at) WHERE (status = 'pending'::auth.oauth_authorization_status)$i$),
      ('oauth_consents_active_client_idx', false, 'oauth_consents', 'btree (client_id) WHERE (revoked_at IS NULL)'),
      ('oauth_consents_active_user_client_idx', false, 'oauth_consents',
        'btree (user_id, client_id) WHERE (revoked_at IS NULL)'),
      ('oauth_consents_user_order_idx', false, 'oauth_consents', 'btree (user_id, granted_at DESC)'),
      ('idx_oauth_client_states_created_at', false, 'oauth_client_states', 'btree (created_at)'),
      ('custom_oauth_providers_created_at_idx', false, 'custom_oauth_providers', 'btree (created_at)'),
      ('custom_oauth_providers_enabled_idx', false, 'custom_oauth_providers', 'btree (enabled)'),
      ('custom_oauth_providers_identifier_idx', false, 'custom_oauth_providers', 'btree (identifier)'),
      ('custom_oauth_providers_provider_type_idx', false, 'custom_oauth_providers', 'btree (provider_type)'),
      ('webauthn_credentials_credential_id_key', true, 'webauthn_credentials', 'btree (credential_id)'),
      ('webauthn_credentials_user_id_idx', false, 'webauthn_credentials', 'btree (user_id)'),
      ('webauthn_challenges_user_id_idx', false, 'webauthn_challenges', 'btree (user_id)'),
      ('webauthn_challenges_expires_at_idx', false, 'webauthn_challenges', 'btree (expires_at)')
    ) as w (name, is_unique, tab, rest)
  loop
    v_index := to_regclass(format('auth.%I', v_wanted.name));
    continue when exists (
      select from pg_index
      where indexrelid = v_index and indisvalid and pg_get_indexdef(indexrelid) =
        format('CREATE %sINDEX %I ON auth.%I %s', case when v_wanted.is_unique then 'UNIQUE ' end,
          v_wanted.name, v_wanted.tab, v_wanted.rest)
    );
    if v_index is not null then
      execute format('drop index %s', v_index);
    end if;
    execute format('create %s index %I on auth.%I %s', case when v_wanted.is_unique then 'unique' end,
      v_wanted.name, v_wanted.tab, v_wanted.rest);
  end loop;
end;
$$;

-- Hash indexes where the engine has them, b-trees elsewhere; whatever has the name stays.
do $$
begin
  create index if not exists one_time_tokens_token_hash_hash_idx
    on auth.one_time_tokens using hash (token_hash);
  create index if not exists one_time_tokens_relates_to_hash_idx
    on auth.one_time_tokens using hash (relates_to);
exception
  when feature_not_supported or undefined_object then
    create index if not exists one_time_tokens_token_hash_hash_idx
      on auth.one_time_tokens using btree (token_hash);
    create index if not exists one_time_tokens_relates_to_hash_idx
      on auth.one_time_tokens using btree (relates_to);
end;
$$;

-- Row level security without policies: nobody but the owner, and who bypasses it, sees a row. Tables
-- that came later in the life of Supabase Auth are without.
do $$
declare
  v_table text;
begin
  for v_table in
    select relname from pg_class
    where relnamespace = 'auth'::regnamespace and not relrowsecurity and relname in (
      'audit_log_entries', 'flow_state', 'identities', 'instances', 'mfa_amr_claims',
      'mfa_challenges', 'mfa_factors', 'one_time_tokens', 'refresh_tokens', 'saml_providers',
      'saml_relay_states', 'schema_migrations', 'sessions', 'sso_domains', 'sso_providers', 'users'
    )
  loop
    execute format('alter table auth.%I enable row level security', v_table);
  end loop;
end;
$$;

-- Comments, where there is none yet.
do $$
declare
  v_wanted record;
begin
  for v_wanted in
    select kind, format('auth.%I', w.relation) as relation, format('auth.%I', w.relation)::regclass as id,
      col, 'Auth: ' || w.comment as comment
    from (values
      ('table', 'schema_migrations', null, 'Versions of the schema that this database went through.'),
      ('table', 'instances', null, 'Legacy, not used.'),
      ('table', 'users', null, 'Stores the login data of users.'),
      ('column', 'users', 'is_sso_user',
        'true for accounts of single sign-on, which may share an e-mail with another account.'),
      ('index', 'users_email_partial_key', null, 'Unique e-mail, only among rows with is_sso_user = false.'),
      ('table', 'identities', null, 'The ways in which a user can sign in.'),
      ('column', 'identities', 'email', 'Generated from identity_data, in lower case.'),
      ('table', 'sessions', null, 'One row per sign-in.'),
      ('column', 'sessions', 'not_after', 'When set, the session ends at this time.'),
      ('column', 'sessions', 'refresh_token_hmac_key', 'Key of the format 2 refresh tokens.'),
      ('column', 'sessions', 'refresh_token_counter', 'Counter of the last format 2 refresh token.'),
      ('table', 'refresh_tokens', null, 'Refresh tokens of format 1.'),
      ('table', 'audit_log_entries', null, 'Audit trail.'),
      ('column', 'mfa_factors', 'last_webauthn_challenge_data',
        'The last WebAuthn challenge, with attestation or assertion.'),
      ('column', 'sso_providers', 'resource_id', 'Id chosen by the operator, compared without regard to case.')
    ) as w (kind, relation, col, comment)
  loop
    if v_wanted.col is null then
      continue when obj_description(v_wanted.id, 'pg_class') is not null;
      execute format('comment on %s %s is %L', v_wanted.kind, v_wanted.relation, v_wanted.comment);
    else
      continue when exists (
        select from pg_attribute
        where attrelid = v_wanted.id and attname = v_wanted.col
          and col_description(attrelid, attnum) is not null
      );
      execute format('comment on column %s.%I is %L', v_wanted.relation, v_wanted.col, v_wanted.comment);
    end if;
  end loop;
end;
$$;

-- A newer Supabase Auth may have done away with something on purpose; then nothing may bring it back.
do $$
declare
  v_columns text;
begin
  if not exists (select from auth.schema_migrations where version > '20260625000000') then
    return;
  end if;
  select string_agg(format('%s.%s', relname, attname), ', ' order by relname, attname) into v_columns
  from pg_attribute a join pg_class c on c.oid = attrelid
  where relnamespace = 'auth'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped
    and not exists (
      select from postern_internal.columns_before b
      where b.attrelid = a.attrelid and b.attname = a.attname
    );
  if v_columns is not null then
    raise feature_not_supported using
      message = format('a newer Supabase Auth has migrated this database, and it lacks what this Postern needs: %s', v_columns),
      hint = 'Run a newer Postern.';
  end if;
end;
$$;

-- The stamps of Supabase Auth, so that its own migrate finds nothing to do. Opaque text; two are no dates.
insert into auth.schema_migrations (version)
select stamp from unnest(array[
  '00',
  '20210710035447', '20210722035447', '20210730183235', '20210909172000', '20210927181326',
  '20211122151130', '20211124214934', '20211202183645',
  '20220114185221', '20220114185340', '20220224000811', '20220323170000', '20220429102000',
  '20220531120530', '20220614074223', '20220811173540',
  '20221003041349', '20221003041400', '20221011041400', '20221020193600', '20221021073300',
  '20221021082433', '20221027105023', '20221114143122',
  '20221114143410', '20221125140132', '20221208132122', '20221215195500', '20221215195800',
  '20221215195900',
  '20230116124310', '20230116124412', '20230131181311', '20230322519590', '20230402418590',
  '20230411005111', '20230508135423', '20230523124323',
  '20230818113222', '20230914180801', '20231027141322', '20231114161723', '20231117164230',
  '20240115144230', '20240214120130', '20240306115329', '20240314092811', '20240427152123',
  '20240612123726', '20240729123726', '20240802193726',
  '20240806073726', '20241009103726',
  '20250717082212', '20250731150234', '20250804100000', '20250901200500', '20250903112500',
  '20250904133000', '20250925093508', '20251007112900',
  '20251104100000', '20251111201300', '20251201000000',
  '20260115000000', '20260121000000', '20260219120000', '20260302000000', '20260625000000'
]) as stamp
where not exists (select from auth.schema_migrations m where m.version = stamp);

drop table postern_internal.due_data_steps;
drop table postern_internal.columns_before;
drop function postern_internal.has_column(text, text);
