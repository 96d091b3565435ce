-- Whose account an identity at a provider is (spec/02 section 6).

-- The linking domain of a provider: accounts link by address only within one.
create or replace function postern_internal.linking_domain(p_provider text, p_context jsonb)
returns text
language sql stable security invoker
as $$
  select case
    when p_provider like 'sso:%' then p_provider
    else coalesce(p_context -> 'linking_domains' ->> p_provider, 'default')
  end
$$;

-- The decision alone: exists (sign in), link (to the one account with a verified address), or create.
-- Only addresses that the provider verified count. Raises: unexpected_failure (500) for more than one account.
create or replace function postern_internal.decide_account(
  p_provider text,
  p_subject text,
  p_verified text[],        -- lower case
  p_context jsonb,
  out decision text,
  out user_id uuid
)
language plpgsql stable security invoker set search_path = ''
as $$
#variable_conflict use_column
declare
  v_domain text := postern_internal.linking_domain(p_provider, p_context);
  v_owners uuid[];
begin
  select i.user_id into user_id from auth.identities as i
  where i.provider = p_provider and i.provider_id = p_subject;
  if user_id is not null then
    decision := 'exists';
    return;
  end if;
  select array_agg(distinct i.user_id) into v_owners from auth.identities as i
  where i.email = any (p_verified) and postern_internal.linking_domain(i.provider, p_context) = v_domain;
  if v_owners is null and v_domain = 'default' then
    select array_agg(u.id) into v_owners from auth.users as u
    where u.instance_id = postern_internal.nil_uuid() and lower(u.email) = any (p_verified) and not u.is_sso_user;
  end if;
  if cardinality(v_owners) > 1 then
    perform postern_internal.fail(500, 'unexpected_failure',
      'Multiple accounts with the same email address in the same linking domain detected: ' || v_domain);
  end if;
  user_id := v_owners[1];
  decision := case when user_id is null then 'create' else 'link' end;
end;
$$;

-- The address that stands for an identity: the primary one, else the last. Null when there is none.
create or replace function postern_internal.candidate_email(p_identity jsonb)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select e
  from jsonb_array_elements(p_identity -> 'emails') with ordinality as t (e, n)
  order by coalesce((e ->> 'primary')::boolean, false) desc, n desc
  limit 1
$$;

-- The addresses of an identity that are verified, lower case; all of them under autoconfirm.
create or replace function postern_internal.verified_emails(p_identity jsonb, p_context jsonb)
returns text[]
language sql immutable security invoker set search_path = ''
as $$
  select coalesce(array_agg(lower(e ->> 'email')), '{}')
  from jsonb_array_elements(p_identity -> 'emails') as e
  where (e ->> 'verified')::boolean or (p_context ->> 'autoconfirm')::boolean
$$;

-- identity_data of an identity: the provider's claims and the two flags.
create or replace function postern_internal.external_data(p_identity jsonb)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select (p_identity -> 'data') || jsonb_build_object(
      'email_verified', coalesce((postern_internal.candidate_email(p_identity) ->> 'verified')::boolean, false),
      'phone_verified', false)
    || jsonb_strip_nulls(jsonb_build_object(
      'email', lower(postern_internal.candidate_email(p_identity) ->> 'email')))
$$;

-- Signs in whoever a provider vouches for: the one way in for redirects, ID tokens and assertions. No session is made.
-- p_identity: sub, data (identity_data without the two flags), emails [{email, verified, primary}].
-- With p_linking_target_id the identity is added to that account, with p_invite_token it takes up an invitation.
-- Raises: as link_identity, accept_invite, external_account; user_banned (403).
-- Returns as failure, because user and identity stay: provider_email_needs_verification, email_not_confirmed (422).
-- Locks: the user. Writes: users, identities, one_time_tokens, audit, events, outbox.
create or replace function postern_internal.sign_in_externally(
  p_provider text,
  p_identity jsonb,
  p_context jsonb,
  p_is_email_optional boolean default false,
  p_linking_target_id uuid default null,
  p_invite_token text default null,
  out account_id uuid,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
  v_linked record;
begin
  if p_linking_target_id is not null then
    v_linked := postern_internal.link_identity(p_linking_target_id, p_provider, p_identity, p_context);
    v_user := v_linked.account;
    failure := v_linked.failure;
  elsif p_invite_token is not null then
    v_user := postern_internal.accept_invite(p_invite_token, p_provider, p_identity, p_context);
  else
    v_user := postern_internal.external_account(p_provider, p_identity, p_context);
    failure := postern_internal.admit_external(p_provider, p_is_email_optional, v_user, p_identity, p_context);
  end if;
  account_id := v_user.id;
end;
$$;

-- Carries the decision out and returns the account, locked. Parallel first visits meet at the unique indexes; the loser
-- decides again. Raises: signup_disabled (422).
create or replace function postern_internal.external_account(p_provider text, p_identity jsonb, p_context jsonb)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_decided record;
  v_id uuid;
  v_user auth.users;
begin
  for attempt in 1 .. 3 loop
    v_decided := postern_internal.decide_account(
      p_provider, p_identity ->> 'sub', postern_internal.verified_emails(p_identity, p_context), p_context);
    v_id := v_decided.user_id;
    if v_decided.decision = 'create' then
      v_id := postern_internal.create_external_user(p_provider, p_identity, p_context);
    end if;
    if v_id is not null and (postern_internal.lock_user(v_id)).id is not null
      and postern_internal.put_external_identity(
        v_id, p_provider, p_identity, v_decided.decision, p_context)
    then
      v_user := postern_internal.merge_external_data(v_id, p_identity);
      if v_decided.decision = 'create' then
        perform postern_internal.announce_new_user(v_user, p_context);
      end if;
      return v_user;
    end if;
  end loop;
  perform postern_internal.fail(409, 'conflict', 'The account was changed by another request');
  return null;
end;
$$;

-- A new user for an identity; without the address where somebody else has it already.
create or replace function postern_internal.create_external_user(p_provider text, p_identity jsonb, p_context jsonb)
returns uuid
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  if (p_context ->> 'signup_disabled')::boolean then
    perform postern_internal.fail(422, 'signup_disabled', 'Signups not allowed for this instance');
  end if;
  v_user.aud := p_context ->> 'aud';
  v_user.role := p_context ->> 'default_role';
  v_user.email := lower(postern_internal.candidate_email(p_identity) ->> 'email');
  if postern_internal.owner_of_email(v_user.email, p_context) is not null then
    v_user.email := null;
  end if;
  v_user.raw_app_meta_data := jsonb_build_object('provider', p_provider, 'providers', jsonb_build_array(p_provider));
  v_user.raw_user_meta_data := postern_internal.external_data(p_identity);
  v_user.id := postern_internal.random_uuid();
  perform postern_internal.admit_new_user(v_user, p_context);
  return (postern_internal.insert_user(v_user, p_context)).id;
end;
$$;

-- Adds the identity or writes its data anew. False when somebody else added it in the meantime.
create or replace function postern_internal.put_external_identity(
  p_user_id uuid,
  p_provider text,
  p_identity jsonb,
  p_decision text,
  p_context jsonb
)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_id uuid := postern_internal.random_uuid();
begin
  if p_decision = 'exists' then
    update auth.identities
    set identity_data = postern_internal.external_data(p_identity), updated_at = v_now
    where provider = p_provider and provider_id = p_identity ->> 'sub' and user_id = p_user_id;
    return found;
  end if;
  insert into auth.identities (
    id, provider_id, user_id, provider, identity_data, last_sign_in_at, created_at, updated_at)
  values (
    v_id, p_identity ->> 'sub', p_user_id, p_provider, postern_internal.external_data(p_identity), v_now, v_now, v_now)
  on conflict do nothing;
  if not found then
    if p_decision = 'create' then
      delete from auth.users where id = p_user_id;
    end if;
    return false;
  end if;
  if p_decision = 'link' then
    perform postern_internal.audit_user('identity_linked', postern_internal.lock_user(p_user_id), p_context,
      jsonb_build_object('identity_id', v_id, 'provider', p_provider, 'provider_id', p_identity ->> 'sub'));
  end if;
  perform postern_internal.record_event(
    'identity.created', p_user_id, p_context, jsonb_build_object('provider', p_provider));
  return true;
end;
$$;

-- The provider's claims go into user_metadata, newer ones win; providers are written anew.
create or replace function postern_internal.merge_external_data(p_user_id uuid, p_identity jsonb)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update auth.users
  set raw_user_meta_data = postern_internal.read_metadata(raw_user_meta_data)
      || postern_internal.external_data(p_identity),
    updated_at = postern_internal.clock()
  where id = p_user_id;
  perform postern_internal.recompute_providers(p_user_id);
  return postern_internal.lock_user(p_user_id);
end;
$$;

-- Whether the account may be signed in to: the steps after the decision. An address that nobody confirmed loses what
-- was registered before with it, against taking over accounts in advance.
-- Raises: user_banned (403). Returns provider_email_needs_verification (422) as a failure.
create or replace function postern_internal.admit_external(
  p_provider text,
  p_is_email_optional boolean,
  p_user auth.users,
  p_identity jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_candidate jsonb := postern_internal.candidate_email(p_identity);
  v_name text := p_provider;
begin
  if postern_internal.is_banned(p_user) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  end if;
  if p_user.email_confirmed_at is not null or (p_is_email_optional and v_candidate ->> 'email' is null) then
    perform postern_internal.audit_user('login', p_user, p_context, jsonb_build_object('provider', p_provider));
    return null;
  end if;
  p_user := postern_internal.drop_unproved(p_user, p_provider, p_identity, p_context);
  if (v_candidate ->> 'verified')::boolean or (p_context ->> 'autoconfirm')::boolean then
    perform postern_internal.audit_user(
      'user_signedup', p_user, p_context, jsonb_build_object('provider', p_provider));
    perform postern_internal.confirm_email_address(p_user.id, p_context);
    return null;
  end if;
  if coalesce(p_user.email, '') <> '' then
    perform postern_internal.check_mail_frequency(p_user.confirmation_sent_at, p_context);
    perform postern_internal.send_confirmation(p_user, 'confirmation', false, p_context);
  end if;
  if (p_context ->> 'allow_unverified')::boolean then
    return null;
  end if;
  return postern_internal.failure(422, 'provider_email_needs_verification', case
    when coalesce(p_user.email, '') <> '' then format(
      'Unverified email with %s. A confirmation email has been sent to your %1$s email', v_name)
    else format('Unverified email with %s. Verify the email with %1$s in order to sign in', v_name)
  end);
end;
$$;

-- Takes the password and all identities but this one from an account whose address was never confirmed.
create or replace function postern_internal.drop_unproved(
  p_user auth.users,
  p_provider text,
  p_identity jsonb,
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from auth.identities
  where user_id = p_user.id and not (provider = p_provider and provider_id = p_identity ->> 'sub');
  update auth.users
  set encrypted_password = null, raw_user_meta_data = postern_internal.external_data(p_identity)
  where id = p_user.id;
  perform postern_internal.recompute_providers(p_user.id);
  return postern_internal.lock_user(p_user.id);
end;
$$;

-- An invitation taken up through a provider (spec/02 section 9): one of the provider's addresses must be the invited one.
-- Raises: invite_not_found (404), validation_failed (400).
create or replace function postern_internal.accept_invite(
  p_invite_token text,
  p_provider text,
  p_identity jsonb,
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.lock_user(
    (postern_internal.find_link(p_invite_token, '{confirmation_token}')).user_id);
begin
  if v_user.id is null then
    perform postern_internal.fail(404, 'invite_not_found', 'Invite not found');
  end if;
  if not exists (select from jsonb_array_elements(p_identity -> 'emails') as e where e ->> 'email' = v_user.email) then
    perform postern_internal.fail(
      400, 'validation_failed', 'Invited email does not match emails from external provider');
  end if;
  if not postern_internal.put_external_identity(v_user.id, p_provider, p_identity, 'invite', p_context) then
    perform postern_internal.fail(422, 'identity_already_exists', 'Identity is already linked to another user');
  end if;
  v_user := postern_internal.merge_external_data(v_user.id, p_identity);
  perform postern_internal.audit_user(
    'invite_accepted', v_user, p_context, jsonb_build_object('provider', p_provider));
  perform postern_internal.drop_unproved(v_user, p_provider, p_identity, p_context);
  return postern_internal.confirm_email_address(v_user.id, p_context);
end;
$$;
