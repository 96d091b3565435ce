-- Sign-in with an identity at a provider: carries out what decide.sql says (spec/02 section 6).

-- Signs in whoever a provider vouches for: the one way in for redirects, ID tokens and assertions. No session is made.
-- p_identity: sub, data (identity_data without the two flags), emails [{email, verified, primary}]; email is absent where the
-- provider vouches for a person without telling the address.
-- With p_linking_target_id the identity is added to that account, with p_invite_token it takes up an invitation.
-- Raises: as link_identity, accept_invite, external_account; user_banned (403).
-- Returns as failure, because something stays: provider_email_needs_verification, email_not_confirmed,
--   identity_linking_required (422).
-- Locks: the user. Writes: users, identities, one_time_tokens, audit, events, outbox, and what reclaim_account writes.
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
  v_result record;
begin
  if p_linking_target_id is not null then
    v_result := postern_internal.link_identity(p_linking_target_id, p_provider, p_identity, p_context);
    v_user := v_result.account;
    failure := v_result.failure;
  elsif p_invite_token is not null then
    v_user := postern_internal.accept_invite(p_invite_token, p_provider, p_identity, p_context);
  else
    v_result := postern_internal.external_account(p_provider, p_identity, p_context);
    v_user := v_result.account;
    failure := v_result.failure;
    if failure is null then
      failure := postern_internal.admit_external(
        p_provider, v_result.decision, v_user, p_identity, p_is_email_optional, p_context);
    end if;
  end if;
  account_id := v_user.id;
end;
$$;

-- Carries the decision out and returns the account, locked. Whoever is not known yet waits for others with the same name
-- and decides again; so does who finds that the account has changed until it was locked.
-- Raises: unexpected_failure (500) for several accounts, signup_disabled (422), user_banned (403), conflict (409).
-- Returns as failure: identity_linking_required (422). Writes: users, identities, audit, events.
create or replace function postern_internal.external_account(
  p_provider text,
  p_identity jsonb,
  p_context jsonb,
  out account auth.users,
  out decision text,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_decided record;
  v_is_done boolean;
begin
  for attempt in 1 .. 4 loop
    v_decided := postern_internal.decide_account(p_provider, p_identity, p_context);
    decision := v_decided.decision;
    if decision <> 'sign in' and attempt = 1 then
      perform postern_internal.lock_names(p_provider, p_identity, p_context);
      continue;
    elsif decision = 'refuse' then
      failure := postern_internal.refuse_identity(v_decided.refusal, v_decided.user_id, p_provider, p_identity, p_context);
      return;
    elsif decision = 'create' then
      account := postern_internal.create_external_user(p_provider, p_identity, p_context);
    else
      account := postern_internal.lock_user(v_decided.user_id);
      continue when decision = 'link'
        and postern_internal.decide_account(p_provider, p_identity, p_context) is distinct from v_decided;
    end if;
    v_is_done := account.id is not null
      and postern_internal.put_external_identity(account.id, p_provider, p_identity, decision, p_context);
    exit when v_is_done;
  end loop;
  if v_is_done is not true then
    perform postern_internal.fail(409, 'conflict', 'The account was changed by another request');
  end if;
  if postern_internal.is_banned(account) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  end if;
  account := postern_internal.merge_external_data(account.id, p_identity);
  if decision = 'create' then
    perform postern_internal.announce_new_user(account, p_context);
  end if;
end;
$$;

-- Makes first visits of one identity, or with one address, wait for each other until the end of the transaction. Comes
-- before the locks on users.
create or replace function postern_internal.lock_names(p_provider text, p_identity jsonb, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_key int;
begin
  for v_key in
    select distinct hashtext(n)
    from unnest(postern_internal.verified_emails(p_identity, p_context)
      || format('%s %s', p_provider, p_identity ->> 'sub')) as t (n)
    order by 1
  loop
    perform pg_advisory_xact_lock(hashtext('postern identity'), v_key);
  end loop;
end;
$$;

-- Says why an identity gets no account. Who owns the account that it would be linked to finds the refusal in its events.
-- Raises: unexpected_failure (500) for several accounts. Returns as failure: identity_linking_required (422).
create or replace function postern_internal.refuse_identity(
  p_refusal text,
  p_user_id uuid,
  p_provider text,
  p_identity jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_refusal = 'several' then
    perform postern_internal.fail(500, 'unexpected_failure',
      'Multiple accounts with the same email address in the same linking domain detected: '
      || postern_internal.linking_domain(p_provider, p_context));
  end if;
  perform postern_internal.record_event('identity.refused', p_user_id, p_context, jsonb_build_object(
    'provider', p_provider, 'provider_id', p_identity ->> 'sub', 'reason', 'linking_required'));
  return postern_internal.failure(422, 'identity_linking_required', format(
    'An account with this email address exists. Sign in to it as before, then link %s to it', p_provider));
end;
$$;

-- A new user for an identity; null when somebody took the address in the meantime. Raises: signup_disabled (422), and what
-- admit_new_user raises.
create or replace function postern_internal.create_external_user(p_provider text, p_identity jsonb, p_context jsonb)
returns auth.users
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
  v_user.email := postern_internal.new_account_email(p_provider, p_identity, p_context);
  v_user.is_sso_user := postern_internal.linking_domain(p_provider, p_context) <> 'default';
  v_user.raw_app_meta_data := jsonb_build_object('provider', p_provider, 'providers', jsonb_build_array(p_provider));
  v_user.raw_user_meta_data := postern_internal.external_data(p_identity);
  v_user.id := postern_internal.random_uuid();
  perform postern_internal.admit_new_user(v_user, p_context);
  return postern_internal.insert_user(v_user, p_context);
end;
$$;

-- Adds the identity or, where the account has it, writes its data anew. False when another account got it, or this one lost
-- it, in the meantime.
create or replace function postern_internal.put_external_identity(
  p_user_id uuid,
  p_provider text,
  p_identity jsonb,
  p_decision text,          -- as of account_decision, or invite, or administration (audited by the caller)
  p_context jsonb
)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_id uuid := postern_internal.random_uuid();
begin
  if p_decision = 'sign in' then
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
  if not found and p_decision = 'create' then
    perform postern_internal.fail(409, 'conflict', 'The identity was added by another request'); -- and no user is left
  elsif not found then
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

-- identity_data of an identity: the provider's claims and the two flags.
create or replace function postern_internal.external_data(p_identity jsonb)
returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_candidate jsonb := postern_internal.candidate_email(p_identity);
begin
  return (p_identity -> 'data')
    || jsonb_build_object(
      'email_verified', coalesce((v_candidate ->> 'verified')::boolean, false), 'phone_verified', false)
    || jsonb_strip_nulls(jsonb_build_object('email', v_candidate -> 'email'));
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

-- Whether the account may be signed in to: the steps after the decision. Where a provider is the first to prove the
-- address, what others registered with it before goes (reclaim.sql).
-- Raises: over_email_send_rate_limit (429). Returns as failure: provider_email_needs_verification (422).
create or replace function postern_internal.admit_external(
  p_provider text,
  p_decision text,
  p_user auth.users,
  p_identity jsonb,
  p_is_email_optional boolean,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  -- the candidate's address, for which an account that is there already, or new, has its own
  v_address text := coalesce(case p_decision
    when 'link' then postern_internal.candidate_email(p_identity) ->> 'email' else p_user.email end, '');
begin
  if p_user.email_confirmed_at is not null
    or p_provider = 'web3' or p_is_email_optional and v_address = ''
  then
    perform postern_internal.audit_user('login', p_user, p_context, jsonb_build_object('provider', p_provider));
    return null;
  end if;
  p_user := postern_internal.drop_unproved(p_user, p_provider, p_identity, p_context);
  if postern_internal.is_address_proved(p_user.email, p_identity, p_context) then
    if p_decision <> 'create' then
      p_user := postern_internal.reclaim_account(p_user, p_context);
    end if;
    perform postern_internal.audit_user(
      'user_signedup', p_user, p_context, jsonb_build_object('provider', p_provider));
    perform postern_internal.confirm_email_address(p_user.id, p_context);
    perform postern_internal.end_anonymity(p_user.id);
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
      'Unverified email with %s. A confirmation email has been sent to your %1$s email', p_provider)
    else format('Unverified email with %s. Verify the email with %1$s in order to sign in', p_provider)
  end);
end;
$$;

-- Whether an identity proves an account's address. Where there is none, it takes that the provider verified its own. One
-- address that is verified does not prove another one.
create or replace function postern_internal.is_address_proved(p_email text, p_identity jsonb, p_context jsonb)
returns boolean
language plpgsql immutable security invoker set search_path = ''
as $$
begin
  return (p_context ->> 'autoconfirm')::boolean
    or case
      when coalesce(p_email, '') = '' then
        coalesce((postern_internal.candidate_email(p_identity) ->> 'verified')::boolean, false)
      else lower(p_email) = any (postern_internal.verified_emails(p_identity, p_context))
    end;
end;
$$;

-- An invitation taken up through a provider (spec/02 section 9): one of the provider's addresses must be the invited one.
-- The invitation proves the address. Raises: invite_not_found (404), validation_failed (400), identity_already_exists (422),
-- user_banned (403).
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
  v_user auth.users;
begin
  perform postern_internal.lock_names(p_provider, p_identity, p_context);
  v_user := postern_internal.lock_user(
    (postern_internal.find_link(p_invite_token, '{confirmation_token}')).user_id);
  if v_user.id is null then
    perform postern_internal.fail(404, 'invite_not_found', 'Invite not found');
  elsif not exists (select from jsonb_array_elements(p_identity -> 'emails') as e where e ->> 'email' = v_user.email) then
    perform postern_internal.fail(
      400, 'validation_failed', 'Invited email does not match emails from external provider');
  elsif postern_internal.is_banned(v_user) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  elsif not postern_internal.put_external_identity(v_user.id, p_provider, p_identity, 'invite', p_context) then
    perform postern_internal.fail(422, 'identity_already_exists', 'Identity is already linked to another user');
  end if;
  v_user := postern_internal.merge_external_data(v_user.id, p_identity);
  perform postern_internal.audit_user(
    'invite_accepted', v_user, p_context, jsonb_build_object('provider', p_provider));
  v_user := postern_internal.drop_unproved(v_user, p_provider, p_identity, p_context);
  if v_user.email_confirmed_at is null then
    v_user := postern_internal.reclaim_account(v_user, p_context);
  end if;
  perform postern_internal.confirm_email_address(v_user.id, p_context);
  perform postern_internal.end_anonymity(v_user.id);
  return postern_internal.lock_user(v_user.id);
end;
$$;
