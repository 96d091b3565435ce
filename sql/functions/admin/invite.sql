-- Invites an address (spec/01 section 11): makes the account unless it is there, and mails a link. An account that
-- waits for its confirmation is invited again, with the data it has.
-- Raises: email_exists (422) for a confirmed user. Locks: the user.
-- Writes: users, identities, one_time_tokens, outbox, audit, events.
create or replace function postern_internal.invite_account(p_email text, p_data jsonb, p_context jsonb)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  v_user := postern_internal.find_or_insert_invitee(p_email, '', p_data, p_context);
  if v_user.email_confirmed_at is not null then
    perform postern_internal.fail_email_exists();
  end if;
  perform postern_internal.audit_admin('user_invited', v_user, p_context);
  perform postern_internal.record_event('user.invited', v_user.id, p_context);
  perform postern_internal.send_confirmation(v_user, 'invite', false, p_context);
  v_user := postern_internal.lock_user(v_user.id);
  perform postern_internal.announce_new_user(v_user, p_context);
  return v_user;
end;
$$;

-- The account of an e-mail address, locked; made if there is none, with an e-mail identity but no confirmation.
-- Invitations and generated links begin with it. p_password_hash '': no password yet.
-- Raises: email_exists (422) where the address belongs to another audience. Writes: users, identities, events.
create or replace function postern_internal.find_or_insert_invitee(
  p_email text,
  p_password_hash text,
  p_data jsonb,
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_new auth.users;
  v_user auth.users;
begin
  v_new.aud := p_context ->> 'aud';
  v_new.role := p_context ->> 'default_role';
  v_new.email := p_email;
  v_new.encrypted_password := p_password_hash;
  v_new.raw_app_meta_data := '{"provider": "email", "providers": ["email"]}';
  v_new.raw_user_meta_data := p_data;
  for attempt in 1 .. 3 loop
    v_user := postern_internal.lock_user(
      (select u.id from postern_internal.find_users_by_email(p_email, p_context ->> 'aud') as u));
    if v_user.id is not null then
      return v_user;
    end if;
    v_new.id := postern_internal.random_uuid();
    perform postern_internal.admit_new_user(v_new, p_context);
    v_user := postern_internal.insert_user(v_new, p_context);
    if v_user.id is not null then
      perform postern_internal.add_identity(
        v_user.id, 'email', postern_internal.base_identity_data(v_user.id, p_email), p_context);
      return v_user;
    end if;
  end loop;
  perform postern_internal.fail_email_exists();
  return null; -- not reached
end;
$$;

-- POST /invite as the handler calls it. Raises and writes: as invite_account.
create or replace function postern_internal.invite(p_email text, p_data jsonb, p_context jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.invite_account(p_email, p_data, p_context);
begin
  return postern_internal.user_document(v_user); -- a statement of its own, to see the identity
end;
$$;

-- See the comment on the function. Raises and writes: as invite_account. Settings: as postern.create_user.
create or replace function postern.invite_user(
  email text,
  user_metadata jsonb default '{}',
  redirect_to text default null
)
returns uuid
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off
  set jit = off set max_parallel_workers_per_gather = 0
as $$
declare
  v_email text := postern_internal.check_email(email);
begin
  if v_email is null then
    perform postern_internal.fail(400, 'validation_failed', 'An email address is required');
  end if;
  return (postern_internal.invite_account(v_email, user_metadata, postern_internal.mail_context(redirect_to))).id;
end;
$$;
comment on function postern.invite_user(text, jsonb, text) is
'Invites somebody by e-mail and returns the id of the account, which is new unless an unconfirmed one was there. The mail is sent when the transaction commits.
email: the address.
user_metadata: a JSON object for a new account.
redirect_to: where the link leads; it has to be allowed by GOTRUE_URI_ALLOW_LIST; default: GOTRUE_SITE_URL.
Errors: email_exists (PT422) for a confirmed user, validation_failed (PT400).
Example: select postern.invite_user(''bob@example.com'', ''{"team": "blue"}'');
Example: select postern.invite_user(email) from waiting_list order by created_at limit 100;';

-- See the comment on the function. Raises: user_not_found (404), validation_failed (400),
-- over_email_send_rate_limit (429). Locks and writes: as postern_internal.send_magic_link.
create or replace function postern.send_magic_link(who text, redirect_to text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.find_mail_user(who);
begin
  perform postern_internal.send_magic_link(
    v_user.email, false, '{}', null, null,
    postern_internal.mail_context(redirect_to) || jsonb_build_object('aud', v_user.aud));
  return v_user.id;
end;
$$;
comment on function postern.send_magic_link(text, text) is
'Mails a user a link for signing in and returns the user''s id. A user who has not confirmed the address gets the confirmation mail instead. The mail is sent when the transaction commits.
who: the user''s id, e-mail address, or phone number with a leading +.
redirect_to: where the link leads; it has to be allowed by GOTRUE_URI_ALLOW_LIST; default: GOTRUE_SITE_URL.
Errors: user_not_found (PT404), over_email_send_rate_limit (PT429), validation_failed (PT400) for a user without an address.
Example: select postern.send_magic_link(''ann@example.com'');';
