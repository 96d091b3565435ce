-- Manual linking (spec/02 section 8): a signed-in user, maybe an anonymous one, adds a provider to the account.

-- GET /user/identities/authorize: begins a flow that ends with the identity at this user.
-- Raises: as authenticate and begin_oauth. Writes: as begin_oauth; linking_flows.
create or replace function postern_internal.begin_linking(
  p_user_id uuid,
  p_session_id uuid,
  p_flow jsonb,             -- as begin_oauth
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id);
begin
  perform postern_internal.begin_oauth(p_flow || '{"invite_token": ""}', p_context);
  update auth.flow_state as f set linking_target_id = v_user.id where f.id = (p_flow ->> 'state')::uuid;
  insert into postern.linking_flows (flow_id, user_id, session_id, created_at)
  values ((p_flow ->> 'state')::uuid, v_user.id, p_session_id, postern_internal.clock());
end;
$$;

-- Whoever was signed out in the meantime must not add a way in. Flows that another server began have no session here.
-- The caller holds the user's lock, so no change of the password ends the session now. Raises: session_not_found (403).
create or replace function postern_internal.check_linking_flow(p_flow_id uuid)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if exists (
    select from postern.linking_flows as l
    where l.flow_id = p_flow_id and l.session_id is not null
      and not exists (select from auth.sessions as s where s.id = l.session_id and s.user_id = l.user_id))
  then
    perform postern_internal.fail(403, 'session_not_found', 'The session that began to link the identity has ended');
  end if;
end;
$$;

-- The end of such a flow: adds the identity; an account without an address gets the identity's.
-- Raises: user_not_found, identity_already_exists (422), email_exists (400), user_banned (403).
-- Returns as failure, because the identity stays: email_not_confirmed (422).
-- Locks: the user. Writes: identities, users, one_time_tokens, audit, events, outbox.
create or replace function postern_internal.link_identity(
  p_user_id uuid,
  p_provider text,
  p_identity jsonb,
  p_context jsonb,
  out account auth.users,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.lock_names(p_provider, p_identity, p_context);
  account := postern_internal.lock_user(p_user_id);
  if account.id is null then
    perform postern_internal.fail(422, 'user_not_found', 'Linking target user not found');
  elsif postern_internal.is_banned(account) then
    perform postern_internal.fail(403, 'user_banned', 'User is banned');
  end if;
  perform postern_internal.put_linked_identity(p_user_id, p_provider, p_identity, 'link', p_context);
  if coalesce(account.email, '') = '' then
    failure := postern_internal.adopt_linked_email(account, p_provider, p_identity, p_context);
    if failure is not null then
      return;
    end if;
  end if;
  account := postern_internal.finish_linking(p_user_id, p_provider, p_context);
end;
$$;

-- Adds the identity to an account that the caller has locked. Raises: identity_already_exists (422).
-- Writes: as put_external_identity.
create or replace function postern_internal.put_linked_identity(
  p_user_id uuid,
  p_provider text,
  p_identity jsonb,
  p_decision text,          -- as of put_external_identity
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_owner uuid := (
    select i.user_id from auth.identities as i
    where i.provider = p_provider and i.provider_id = p_identity ->> 'sub');
begin
  if v_owner = p_user_id then
    perform postern_internal.fail(422, 'identity_already_exists', 'Identity is already linked');
  elsif v_owner is not null
    or not postern_internal.put_external_identity(p_user_id, p_provider, p_identity, p_decision, p_context)
  then
    perform postern_internal.fail(422, 'identity_already_exists', 'Identity is already linked to another user');
  end if;
end;
$$;

-- What follows once an identity is linked, and the account as it is then. Writes: users, outbox.
create or replace function postern_internal.finish_linking(p_user_id uuid, p_provider text, p_context jsonb)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  perform postern_internal.recompute_providers(p_user_id);
  v_user := postern_internal.lock_user(p_user_id);
  perform postern_internal.notify_user('identity_linked', v_user, p_context, jsonb_build_object('provider', p_provider));
  return v_user;
end;
$$;

-- Gives an account without an address that of a new identity. One that the provider did not verify is mailed a
-- confirmation: email_not_confirmed (422) is returned as failure.
-- Raises: email_exists (400), unexpected_failure (500) where there is no address at all.
create or replace function postern_internal.adopt_linked_email(
  p_user auth.users,
  p_provider text,
  p_identity jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  if postern_internal.candidate_email(p_identity) ->> 'email' is null then
    perform postern_internal.fail(500, 'unexpected_failure', 'Error sending confirmation email');
  end if;
  v_user := postern_internal.promote_email(p_user, p_context);
  if coalesce(v_user.email, '') = '' then
    perform postern_internal.fail(
      400, 'email_exists', 'A user with this email address has already been registered');
  end if;
  if (p_context ->> 'autoconfirm')::boolean or exists (
    select from auth.identities as i
    where i.user_id = p_user.id and i.email = v_user.email and i.identity_data ->> 'email_verified' = 'true')
  then
    perform postern_internal.confirm_email_address(p_user.id, p_context);
    perform postern_internal.end_anonymity(p_user.id);
    return null;
  end if;
  perform postern_internal.check_mail_frequency(v_user.confirmation_sent_at, p_context);
  perform postern_internal.send_confirmation(v_user, 'confirmation', false, p_context);
  return postern_internal.failure(422, 'email_not_confirmed', format(
    'Unverified email with %s. A confirmation email has been sent to your %1$s email', p_provider));
end;
$$;

-- An anonymous account that got a confirmed address is a permanent one.
create or replace function postern_internal.end_anonymity(p_user_id uuid)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update auth.users set is_anonymous = false, updated_at = postern_internal.clock()
  where id = p_user_id and is_anonymous;
  if found then
    perform postern_internal.recompute_providers(p_user_id);
  end if;
end;
$$;

-- Makes the address of an identity the user's own: of the first identity whose address nobody else has, verified ones
-- first, those without an address last. Pending confirmations become void. Returns a null row when none fits.
-- The caller holds the user's lock. Writes: users, one_time_tokens.
create or replace function postern_internal.promote_email(p_user auth.users, p_context jsonb)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_identity auth.identities;
  v_is_confirmed boolean;
begin
  select i.* into v_identity
  from auth.identities as i
  where i.user_id = p_user.id
    and not exists (
      select from postern_internal.find_users_by_email(nullif(i.email, ''), p_user.aud) as u where u.id <> p_user.id)
  order by coalesce(i.email, '') = '', coalesce(i.identity_data ->> 'email_verified' <> 'true', true), i.created_at, i.id
  limit 1;
  if v_identity.id is null then
    return null;
  end if;
  v_is_confirmed := coalesce(v_identity.email, '') <> ''
    and (v_identity.identity_data ->> 'email_verified' = 'true' or (p_context ->> 'autoconfirm')::boolean);
  delete from auth.one_time_tokens as t where t.user_id = p_user.id;
  begin
    update auth.users as u
    set email = nullif(v_identity.email, ''), confirmation_token = '', recovery_token = '', email_change = '',
      email_change_token_new = '', email_change_token_current = '', email_change_confirm_status = 0,
      phone_change = '', phone_change_token = '', reauthentication_token = '',
      email_confirmed_at = case when v_is_confirmed then u.email_confirmed_at end,
      raw_user_meta_data = case
        when v_is_confirmed then u.raw_user_meta_data
        else postern_internal.read_metadata(u.raw_user_meta_data) || '{"email_verified": false}'
      end,
      updated_at = postern_internal.clock()
    where u.id = p_user.id
    returning u.* into p_user;
  exception when unique_violation then -- somebody took it in the meantime, or has it under another audience
    return null;
  end;
  return p_user;
end;
$$;

-- DELETE /user/identities/{id} (spec/02 section 10).
-- Raises: as authenticate and remove_identity. Locks: the user. Writes: audit, and as remove_identity.
create or replace function postern_internal.unlink_identity(
  p_user_id uuid,
  p_session_id uuid,
  p_identity_id uuid,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id, p_lock => true);
  v_traits jsonb := postern_internal.remove_identity(v_user, p_identity_id, p_session_id, p_context);
begin
  perform postern_internal.audit_user('identity_unlinked', v_user, p_context, v_traits);
end;
$$;

-- Takes an identity from an account, which keeps an address of its own as long as one is left. The caller holds the user's
-- lock and writes the audit entry; its traits are returned.
-- Raises: single_identity_not_deletable, identity_not_found, email_conflict_identity_not_deletable (422).
-- Writes: identities, provider_tokens, users, one_time_tokens, events, outbox.
create or replace function postern_internal.remove_identity(
  p_user auth.users,
  p_identity_id uuid,
  p_session_id uuid,        -- of the user who does it; null: an administrator does
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_identity auth.identities;
begin
  if (select count(*) from auth.identities as i where i.user_id = p_user.id) < 2 then
    perform postern_internal.fail(
      422, 'single_identity_not_deletable', 'User must have at least 1 identity after unlinking');
  end if;
  delete from auth.identities as i where i.id = p_identity_id and i.user_id = p_user.id
  returning i.* into v_identity;
  if v_identity.id is null then
    perform postern_internal.fail(422, 'identity_not_found', 'Identity doesn''t exist');
  end if;
  delete from postern.provider_tokens as t where t.identity_id = v_identity.id;
  perform postern_internal.record_event('identity.deleted', p_user.id, p_context,
    jsonb_build_object('provider', v_identity.provider), p_session_id);
  if v_identity.provider = 'phone' then
    update auth.users as u set phone = null, phone_confirmed_at = null, updated_at = postern_internal.clock()
    where u.id = p_user.id;
  elsif not exists (
      select from auth.identities as i where i.user_id = p_user.id and i.email = lower(p_user.email))
    and (postern_internal.promote_email(p_user, p_context)).id is null
  then
    perform postern_internal.fail(
      422, 'email_conflict_identity_not_deletable', 'Unable to unlink identity due to email conflict');
  end if;
  perform postern_internal.recompute_providers(p_user.id);
  perform postern_internal.notify_user('identity_unlinked', p_user, p_context,
    jsonb_build_object('provider', v_identity.provider));
  return jsonb_build_object(
    'identity_id', v_identity.id, 'provider', v_identity.provider, 'provider_id', v_identity.provider_id);
end;
$$;
