-- POST /signup with an e-mail address (spec/01 section 3); also the first half of a magic link for somebody new.
-- p_password_hash is null for accounts that begin without a password. Data and password of an account that
-- exists already are ignored.
-- Raises: signup_disabled (422), over_email_send_rate_limit (429).
-- Locks: the user. Writes: users, identities, flow_state, one_time_tokens, outbox, audit, events.
-- Outcome: 'repeated' (confirmed account, nothing changed), 'confirmed' (may sign in), 'pending' (mail queued).
create or replace function postern_internal.register_email(
  p_email text,
  p_password_hash text,
  p_data jsonb,
  p_code_challenge text,
  p_code_challenge_method text,
  p_context jsonb,
  out outcome text,
  out account auth.users
)
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  account := postern_internal.find_or_insert_registrant('email', p_email, p_password_hash, p_data, p_context);
  if account.email_confirmed_at is not null then
    perform postern_internal.audit_user('user_repeated_signup', account, p_context, '{"provider": "email"}');
    outcome := 'repeated';
    return;
  end if;

  if postern_internal.add_identity(
    account.id, 'email',
    postern_internal.read_metadata(p_data) || postern_internal.base_identity_data(account.id, p_email), p_context)
  then
    account := postern_internal.adopt_first_identity(account.id, 'email');
  end if;
  if (p_context ->> 'autoconfirm')::boolean then
    perform postern_internal.audit_user('user_signedup', account, p_context, '{"provider": "email"}');
    account := postern_internal.confirm_email_address(account.id, p_context);
    outcome := 'confirmed';
    return;
  end if;
  perform postern_internal.audit_user(
    'user_confirmation_requested', account, p_context, '{"provider": "email"}');
  perform postern_internal.check_mail_frequency(account.confirmation_sent_at, p_context);
  perform postern_internal.begin_flow(
    account.id, 'email', 'email/signup', p_code_challenge, p_code_challenge_method, p_context);
  perform postern_internal.send_confirmation(
    account, 'confirmation', coalesce(p_code_challenge <> '', false), p_context);
  account := postern_internal.lock_user(account.id);
  perform postern_internal.announce_new_user(account, p_context);
  outcome := 'pending';
end;
$$;

-- The account of an address or number, locked; made if there is none. Parallel sign-ups of one meet here: the
-- unique index lets one insert win, the others find its row.
-- Raises: signup_disabled (422) where it would have to be made.
create or replace function postern_internal.find_or_insert_registrant(
  p_provider text,          -- email | phone
  p_address text,
  p_password_hash text,
  p_data jsonb,
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
  v_new auth.users;
begin
  for attempt in 1 .. 3 loop
    v_user := postern_internal.lock_user(postern_internal.owner_of(p_provider, p_address, p_context));
    if v_user.id is not null then
      -- who waited for the lock may find that the account has lost the address
      continue when postern_internal.owner_of(p_provider, p_address, p_context) is distinct from v_user.id;
      return v_user;
    end if;
    if (p_context ->> 'signup_disabled')::boolean then
      perform postern_internal.fail(422, 'signup_disabled', 'Signups not allowed for this instance');
    end if;
    v_new.aud := p_context ->> 'aud';
    v_new.role := p_context ->> 'default_role';
    v_new.email := case p_provider when 'email' then p_address end;
    v_new.phone := case p_provider when 'phone' then p_address end;
    v_new.encrypted_password := coalesce(p_password_hash, postern_internal.unusable_password_hash());
    v_new.raw_app_meta_data := jsonb_build_object(
      'provider', p_provider, 'providers', jsonb_build_array(p_provider));
    v_new.raw_user_meta_data := p_data;
    v_new.id := postern_internal.random_uuid();
    perform postern_internal.admit_new_user(v_new, p_context);
    v_user := postern_internal.insert_user(v_new, p_context);
    if v_user.id is not null then
      return v_user;
    end if;
  end loop;
  -- somebody with another audience holds the address: the index knows no audiences
  perform postern_internal.fail(422, 'user_already_exists', 'User already registered');
  return null;
end;
$$;

-- Whose an address or number is; null when nobody's.
create or replace function postern_internal.owner_of(p_provider text, p_address text, p_context jsonb)
returns uuid
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if p_provider = 'email' then
    return postern_internal.owner_of_email(p_address, p_context);
  end if;
  return (select u.id from postern_internal.find_users_by_phone(p_address, p_context ->> 'aud') as u);
end;
$$;

-- After the first e-mail or phone identity: user metadata becomes its data, identities of other providers go
-- (nobody has proved to own the address yet), providers are written anew.
create or replace function postern_internal.adopt_first_identity(p_user_id uuid, p_provider text)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from auth.identities where user_id = p_user_id and provider <> p_provider;
  update auth.users as u
  set raw_user_meta_data = (
      select coalesce(jsonb_object_agg(d.key, d.value) filter (where d.value <> 'null'), '{}')
      from auth.identities as i, jsonb_each(i.identity_data) as d
      where i.user_id = p_user_id and i.provider = p_provider)
  where u.id = p_user_id;
  perform postern_internal.recompute_providers(p_user_id);
  return postern_internal.lock_user(p_user_id);
end;
$$;

-- POST /signup with an e-mail address as the handler calls it. issued: a session was opened; account: the user object
-- for the reply.
-- Raises and writes: as register_email. Failure: user_already_exists (422), recorded in the audit log.
create or replace function postern_internal.sign_up(
  p_email text,
  p_password_hash text,
  p_data jsonb,
  p_code_challenge text,
  p_code_challenge_method text,
  p_context jsonb,
  out issued jsonb,
  out account jsonb,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_registered record;
begin
  perform postern_internal.take_limits(p_context, p_email);
  v_registered := postern_internal.register_email(
    p_email, p_password_hash, p_data, p_code_challenge, p_code_challenge_method, p_context);
  select r.issued, r.account, r.failure into issued, account, failure
  from postern_internal.answer_sign_up(
    'email', v_registered.outcome, v_registered.account, p_data, p_context) as r;
end;
$$;

-- What a sign-up by e-mail or phone answers, by its outcome (see register_email). Writes: audit, and what
-- issue_session writes.
create or replace function postern_internal.answer_sign_up(
  p_provider text,          -- email | phone
  p_outcome text,
  p_user auth.users,
  p_data jsonb,
  p_context jsonb,
  out issued jsonb,
  out account jsonb,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  case p_outcome
    when 'confirmed' then
      issued := postern_internal.open_signed_up_session(p_provider, p_user, p_context);
    when 'pending' then
      account := postern_internal.user_document(p_user);
      if p_user.invited_at is not null then
        account := account || '{"user_metadata": {}, "identities": []}';
      end if;
    else
      if (p_context ->> 'autoconfirm')::boolean or (p_context ->> 'phone_autoconfirm')::boolean then
        failure := postern_internal.failure(422, 'user_already_exists', 'User already registered');
      else
        account := postern_internal.obfuscated_user(
          p_provider, case p_provider when 'email' then p_user.email else p_user.phone end, p_data, p_context);
      end if;
  end case;
end;
$$;

-- The session of a sign-up that needed no confirmation. Its user object has no confirmed_at (spec/00 section 7), and
-- shows an e-mail identity as verified, which the stored one is not (spec/01 section 3).
create or replace function postern_internal.open_signed_up_session(
  p_provider text,
  p_user auth.users,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_grant jsonb;
begin
  perform postern_internal.audit_user(
    'login', p_user, p_context, jsonb_build_object('provider', p_provider));
  v_grant := postern_internal.issue_session(p_user.id, 'password', p_context);
  v_grant := v_grant #- '{user,confirmed_at}';
  if p_provider = 'email' then
    v_grant := jsonb_set(v_grant, '{user,identities,0,identity_data,email_verified}', 'true', false);
  end if;
  return v_grant;
end;
$$;

-- What a stranger sees who signs up with a confirmed user's address: as if it were new (spec/01 section 3).
create or replace function postern_internal.obfuscated_user(
  p_provider text,
  p_address text,
  p_data jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now text := postern_internal.rfc3339(postern_internal.clock());
begin
  return jsonb_build_object(
    'id', gen_random_uuid(), 'aud', p_context ->> 'aud', 'role', '',
    'email', case p_provider when 'email' then p_address else '' end,
    'phone', case p_provider when 'phone' then p_address else '' end,
    'app_metadata', jsonb_build_object('provider', p_provider, 'providers', jsonb_build_array(p_provider)),
    'user_metadata', postern_internal.read_metadata(p_data), 'identities', '[]'::jsonb,
    'created_at', v_now, 'updated_at', v_now, 'confirmation_sent_at', v_now, 'is_anonymous', false);
end;
$$;
