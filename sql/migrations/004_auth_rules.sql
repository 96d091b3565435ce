-- Schema auth, fourth part: data steps that are due, then everything about existing columns that
-- changed over the years: types, NOT NULL, keys, checks and indexes (spec/05 section 4, spec/09).

-- Data steps (spec/09 section 4), in this order: the first asks for "no identity at all".
do $$
declare
  v_due text[] := array(select stamp from postern_internal.due_data_steps);
begin
  if '20221125140132' = any (v_due) then
    insert into auth.identities
      (provider_id, user_id, identity_data, provider, created_at, updated_at)
    select u.id::text, u.id, jsonb_build_object('sub', u.id, 'email', u.email), 'email',
      '2022-11-25', '2022-11-25'
    from auth.users u
    where u.encrypted_password <> '' and u.email is not null
      and not exists (select from auth.identities i where i.user_id = u.id);
  end if;

  if '20221208132122' = any (v_due) then
    update auth.identities
    set last_sign_in_at = '2022-11-25'
    where provider = 'email' and provider_id = user_id::text and last_sign_in_at is null
      and created_at = '2022-11-25' and updated_at = '2022-11-25';
  end if;

  if '20221215195800' = any (v_due) then
    update auth.identities i
    set identity_data = i.identity_data || jsonb_build_object('email', u.email),
      updated_at = '2022-11-25'
    from auth.users u
    where u.id = i.user_id and i.provider = 'email' and not i.identity_data ? 'email';
  end if;

  if '20230131181311' = any (v_due) then
    insert into auth.identities
      (provider_id, user_id, identity_data, provider, created_at, updated_at)
    select u.id::text, u.id, jsonb_build_object('sub', u.id, 'email', u.email), 'email',
      '2023-01-25', '2023-01-25'
    from auth.users u
    where u.invited_at is not null
      and not exists (
        select from auth.identities i where i.user_id = u.id and i.provider = 'email'
      );
  end if;
end;
$$;

-- 20260121000000; the column is NOT NULL from then on, so its rows say whether this is due.
update auth.oauth_clients
set token_endpoint_auth_method =
  case client_type when 'public' then 'none' else 'client_secret_basic' end
where token_endpoint_auth_method is null;

-- A view or a rule of an application may hold the type of the phone columns; then both stay as they
-- are, and migrate says so.
do $$
begin
  if exists (
    select from pg_attribute
    where attrelid = 'auth.users'::regclass and attname in ('phone', 'phone_change')
      and atttypid <> 'text'::regtype
  ) then
    alter table auth.users alter column phone type text, alter column phone_change type text;
  end if;
exception
  when feature_not_supported or dependent_objects_still_exist then null;
end;
$$;

alter table auth.flow_state
  alter column auth_code drop not null,
  alter column code_challenge_method drop not null,
  alter column code_challenge drop not null;
alter table auth.oauth_clients
  alter column client_secret_hash drop not null,
  alter column token_endpoint_auth_method set not null;

-- Keys and checks that were changed, or came later than their table. A check counts as there when the
-- column has any; a key or foreign key of another definition is made again.
do $$
declare
  v_wanted record;
  v_found text;
begin
  for v_wanted in
    select * from (values
      ('users', 'users_phone_key', 'UNIQUE (phone)'),
      ('identities', 'identities_pkey', 'PRIMARY KEY (id)'),
      ('identities', 'identities_provider_id_provider_unique', 'UNIQUE (provider_id, provider)'),
      ('sessions', 'sessions_oauth_client_id_fkey',
        'FOREIGN KEY (oauth_client_id) REFERENCES auth.oauth_clients(id) ON DELETE CASCADE'),
      ('refresh_tokens', 'refresh_tokens_token_unique', 'UNIQUE (token)'),
      ('refresh_tokens', 'refresh_tokens_session_id_fkey',
        'FOREIGN KEY (session_id) REFERENCES auth.sessions(id) ON DELETE CASCADE'),
      ('mfa_factors', 'mfa_factors_last_challenged_at_key', 'UNIQUE (last_challenged_at)'),
      ('mfa_amr_claims', 'amr_id_pk', 'PRIMARY KEY (id)'),
      ('mfa_amr_claims', 'mfa_amr_claims_session_id_authentication_method_pkey',
        'UNIQUE (session_id, authentication_method)'),
      ('saml_relay_states', 'saml_relay_states_flow_state_id_fkey',
        'FOREIGN KEY (flow_state_id) REFERENCES auth.flow_state(id) ON DELETE CASCADE')
    ) as w (tab, name, definition)
  loop
    select pg_get_constraintdef(oid) into v_found
    from pg_constraint
    where conrelid = format('auth.%I', v_wanted.tab)::regclass and conname = v_wanted.name;

    if v_found is distinct from v_wanted.definition then
      if v_found is not null then
        execute format('alter table auth.%I drop constraint %I', v_wanted.tab, v_wanted.name);
      end if;
      execute format('alter table auth.%I add constraint %I %s',
        v_wanted.tab, v_wanted.name, v_wanted.definition);
    end if;
  end loop;

  for v_wanted in
    select * from (values
      ('users', 'email_change_confirm_status', 'users_email_change_confirm_status_check',
        'email_change_confirm_status >= 0 and email_change_confirm_status <= 2'),
      ('sessions', 'scopes', 'sessions_scopes_length', 'char_length(scopes) <= 4096'),
      ('oauth_authorizations', 'nonce', 'oauth_authorizations_nonce_check',
        'char_length(nonce) <= 255'),
      ('oauth_clients', 'token_endpoint_auth_method',
        'oauth_clients_token_endpoint_auth_method_check',
        $c$token_endpoint_auth_method in ('client_secret_basic', 'client_secret_post', 'none')$c$)
    ) as w (tab, col, name, expression)
    where not exists (
      select from pg_constraint c
      join pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
      where c.contype = 'c' and c.conrelid = format('auth.%I', w.tab)::regclass and a.attname = w.col
    )
  loop
    execute format('alter table auth.%I add constraint %I check (%s)',
      v_wanted.tab, v_wanted.name, v_wanted.expression);
  end loop;
end;
$$;

-- Where the first schema was made by hand nothing kept two users from having one address.
do $$
declare
  v_addresses text;
begin
  select string_agg(email, ', ' order by email) into v_addresses
  from (
    select email from auth.users
    where not is_sso_user and to_regclass('auth.users_email_partial_key') is null
    group by email having count(*) > 1
    order by email limit 20
  ) as twice;
  if v_addresses is not null then
    raise unique_violation using
      message = format('several users have the same e-mail address: %s', v_addresses),
      hint = 'Give all but one of each another address, or delete them, and run migrate again.';
  end if;
end;
$$;
