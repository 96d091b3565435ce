-- POST /admin/generate_link (spec/01 section 13): a link that the administrator delivers. Nothing is mailed.
-- p_link: type, email, new_email, data, redirect_to (effective). p_refusal is what is wrong with the password of a new
-- user or with new_email, raised where these matter.
-- Raises and writes: as issue_link.
-- Returns the user object with action_link, email_otp, hashed_token, verification_type and redirect_to.
create or replace function postern_internal.generate_link(
  p_link jsonb,
  p_password_hash text,     -- of a new user, type signup
  p_refusal jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_made record := postern_internal.issue_link(p_link, p_password_hash, p_refusal, p_context);
begin
  return postern_internal.user_document(v_made.account) || jsonb_build_object(
    'action_link', v_made.action_link,
    'email_otp', v_made.email_otp,
    -- for email_change_new it is made of the current address and means nothing: so does the reference
    'hashed_token', case v_made.verification_type
      when 'email_change_new' then postern_internal.otp_hash(p_link ->> 'email', v_made.email_otp)
      else v_made.hashed_token
    end,
    'verification_type', v_made.verification_type,
    'redirect_to', p_link ->> 'redirect_to');
end;
$$;

-- Makes the link, for generate_link and postern.issue_link.
-- Raises: user_not_found (404), validation_failed (400), email_exists (422), p_refusal. Locks: the user.
-- Writes: users, identities, one_time_tokens, audit, events.
create or replace function postern_internal.issue_link(
  p_link jsonb,
  p_password_hash text,
  p_refusal jsonb,
  p_context jsonb,
  out account auth.users,
  out action_link text,
  out email_otp text,
  out hashed_token text,    -- what POST /verify takes as token_hash
  out verification_type text
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_context jsonb := p_context || jsonb_build_object('redirect_to', p_link ->> 'redirect_to');
  v_email text := p_link ->> 'email';
  v_hash text;
  v_is_new boolean;
begin
  verification_type := p_link ->> 'type';
  email_otp := postern_internal.random_otp((p_context ->> 'otp_length')::int);
  v_hash := postern_internal.otp_hash(v_email, email_otp);
  account := postern_internal.lock_user(
    (select u.id from postern_internal.find_users_by_email(v_email, p_context ->> 'aud') as u));
  v_is_new := account.id is null;
  if v_is_new and verification_type = 'magiclink' then
    verification_type := 'signup';
    p_password_hash := postern_internal.unusable_password_hash();
  elsif v_is_new and verification_type in ('recovery', 'email_change_current', 'email_change_new') then
    perform postern_internal.fail(404, 'user_not_found', 'User with this email not found');
  end if;

  case
    when verification_type in ('magiclink', 'recovery') then
      perform postern_internal.audit_user('user_recovery_requested', account, v_context);
      hashed_token := postern_internal.put_token(account.id, 'recovery_token', v_hash, v_email);
    when verification_type in ('signup', 'invite') then
      account := postern_internal.link_new_user(
        account, verification_type, p_link, p_password_hash, p_refusal, v_context);
      hashed_token := postern_internal.put_token(account.id, 'confirmation_token', v_hash, v_email);
    when verification_type = 'email_change_current' then
      perform postern_internal.link_email_change(
        account, verification_type, p_link ->> 'new_email', p_refusal, v_context);
      hashed_token := postern_internal.put_token(account.id, 'email_change_token_current', v_hash, v_email);
    when verification_type = 'email_change_new' then
      perform postern_internal.link_email_change(
        account, verification_type, p_link ->> 'new_email', p_refusal, v_context);
      hashed_token := postern_internal.put_token(account.id, 'email_change_token_new',
        postern_internal.otp_hash(p_link ->> 'new_email', email_otp), p_link ->> 'new_email');
    else
      perform postern_internal.fail(
        400, 'validation_failed', 'Invalid email action link type requested: ' || coalesce(verification_type, ''));
  end case;
  perform postern_internal.record_event(
    'link.generated', account.id, v_context, jsonb_build_object('type', verification_type));

  account := postern_internal.lock_user(account.id);
  if v_is_new then
    perform postern_internal.announce_new_user(account, v_context);
  end if;
  action_link := postern_internal.action_link(
    case
      when verification_type = 'signup' then 'confirmation'
      when verification_type = 'invite' then 'invite'
      when verification_type in ('magiclink', 'recovery') then 'recovery'
      else 'email_change'
    end,
    hashed_token, regexp_replace(verification_type, '^(email_change)_.*$', '\1'), v_context);
end;
$$;

-- The user of a link of type signup or invite: made if there is none. Data is merged into an unconfirmed account that
-- signs up. Raises: email_exists (422) for a confirmed one, p_refusal for a new one.
create or replace function postern_internal.link_new_user(
  p_user auth.users,        -- as far as there is one
  p_type text,
  p_link jsonb,
  p_password_hash text,
  p_refusal jsonb,
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_user.id is null then
    perform postern_internal.refuse(p_refusal);
    p_user := postern_internal.find_or_insert_invitee(
      p_link ->> 'email', case p_type when 'invite' then '' else p_password_hash end, p_link -> 'data', p_context);
  elsif p_type = 'signup' then
    update auth.users as u
    set raw_user_meta_data = postern_internal.merge_metadata(u.raw_user_meta_data, p_link -> 'data')
    where u.id = p_user.id;
  end if;
  if p_user.email_confirmed_at is not null then
    perform postern_internal.fail_email_exists();
  end if;
  if p_type = 'invite' then
    perform postern_internal.audit_admin('user_invited', p_user, p_context);
    perform postern_internal.record_event('user.invited', p_user.id, p_context);
    update auth.users as u set invited_at = postern_internal.clock() where u.id = p_user.id;
  end if;
  return p_user;
end;
$$;

-- Notes the address that a link of type email_change_current or email_change_new leads to.
-- Raises: validation_failed (400) without secure change, p_refusal, email_exists (422).
create or replace function postern_internal.link_email_change(
  p_user auth.users,
  p_type text,
  p_new_email text,
  p_refusal jsonb,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_type = 'email_change_current' and not (p_context ->> 'secure_email_change')::boolean then
    perform postern_internal.fail(
      400, 'validation_failed', 'Enable secure email change to generate link for current email');
  end if;
  perform postern_internal.refuse(p_refusal);
  if postern_internal.owner_of_email(p_new_email, p_context) <> p_user.id then
    perform postern_internal.fail_email_exists();
  end if;
  update auth.users as u
  set email_change = p_new_email, email_change_confirm_status = 0
  where u.id = p_user.id;
end;
$$;

-- Writes a token's hash where verification looks for it: the token's row, and column and time of the user. Returns what a
-- link says. The caller holds the user's lock. For tokens of mails, not phone_change_token or reauthentication_token.
create or replace function postern_internal.put_token(
  p_user_id uuid,
  p_type auth.one_time_token_type,
  p_hash text,
  p_address text
)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_link text;
begin
  v_link := postern_internal.store_one_time_token(p_user_id, p_type, p_hash, p_address);
  if p_type = 'confirmation_token' then
    update auth.users set confirmation_token = p_hash, confirmation_sent_at = v_now, updated_at = v_now
    where id = p_user_id;
  elsif p_type = 'recovery_token' then
    update auth.users set recovery_token = p_hash, recovery_sent_at = v_now, updated_at = v_now
    where id = p_user_id;
  elsif p_type = 'email_change_token_current' then
    update auth.users set email_change_token_current = p_hash, email_change_sent_at = v_now, updated_at = v_now
    where id = p_user_id;
  elsif p_type = 'email_change_token_new' then
    update auth.users set email_change_token_new = p_hash, email_change_sent_at = v_now, updated_at = v_now
    where id = p_user_id;
  end if;
  return v_link;
end;
$$;
