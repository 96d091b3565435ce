-- The mails that carry a one-time code: each makes a code, stores its hash and queues the mail, all in the
-- caller's transaction. The caller holds the user's lock and has checked the frequency.

-- The members every such mail has.
create or replace function postern_internal.mail_payload(p_user auth.users, p_context jsonb)
returns jsonb
language sql stable security invoker
as $$
  select jsonb_build_object(
    'email', coalesce(p_user.email, ''),
    'languages', postern_internal.mail_languages(p_user.raw_user_meta_data, p_context),
    'site_url', p_context ->> 'site_url',
    'redirect_to', coalesce(p_context ->> 'redirect_to', p_context ->> 'site_url'),
    'data', postern_internal.read_metadata(p_user.raw_user_meta_data))
$$;

-- Confirmation of a sign-up (p_template confirmation) or an invitation (invite).
-- Writes: users.confirmation_token, confirmation_sent_at (and invited_at), one_time_tokens, outbox.
create or replace function postern_internal.send_confirmation(
  p_user auth.users,
  p_template text,
  p_is_pkce boolean,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_otp text;
  v_hash text;
  v_link text;
begin
  select m.otp, m.token_hash into v_otp, v_hash
  from postern_internal.make_otp(p_user.email, p_is_pkce, p_context) as m;
  v_link := postern_internal.store_one_time_token(p_user.id, 'confirmation_token', v_hash, p_user.email);
  update auth.users
  set confirmation_token = v_hash, confirmation_sent_at = v_now, updated_at = v_now,
    invited_at = case when p_template = 'invite' then v_now else invited_at end
  where id = p_user.id;
  perform postern_internal.send_mails(p_template, p_user, array[
    postern_internal.mail_payload(p_user, p_context) || jsonb_build_object(
      'recipient', p_user.email, 'token', v_otp, 'token_hash', v_link,
      'confirmation_url', postern_internal.action_link(
        p_template, v_link, case p_template when 'invite' then 'invite' else 'signup' end, p_context))], p_context);
end;
$$;

-- Password recovery (p_template recovery) or a magic link (magic_link); both use the recovery token.
-- Raises: over_email_send_rate_limit (429). Writes: users.recovery_token, recovery_sent_at, one_time_tokens, outbox.
create or replace function postern_internal.send_recovery(
  p_user auth.users,
  p_template text,
  p_is_pkce boolean,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_otp text;
  v_hash text;
  v_link text;
begin
  perform postern_internal.check_mail_frequency(p_user.recovery_sent_at, p_context);
  select m.otp, m.token_hash into v_otp, v_hash
  from postern_internal.make_otp(p_user.email, p_is_pkce, p_context) as m;
  v_link := postern_internal.store_one_time_token(p_user.id, 'recovery_token', v_hash, p_user.email);
  update auth.users
  set recovery_token = v_hash, recovery_sent_at = postern_internal.clock(), updated_at = postern_internal.clock()
  where id = p_user.id;
  perform postern_internal.send_mails(p_template, p_user, array[
    postern_internal.mail_payload(p_user, p_context) || jsonb_build_object(
      'recipient', p_user.email, 'token', v_otp, 'token_hash', v_link,
      'confirmation_url', postern_internal.action_link(
        'recovery', v_link, case p_template when 'magic_link' then 'magiclink' else 'recovery' end, p_context))], p_context);
end;
$$;

-- Confirmation of a new e-mail address: to the new one, and with secure change to the current one as well.
-- Raises: over_email_send_rate_limit (429). Writes: the email_change columns of users, one_time_tokens, outbox.
create or replace function postern_internal.send_email_change(
  p_user auth.users,
  p_new_email text,
  p_is_pkce boolean,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_new record;
  v_current record;
  v_is_double boolean := (p_context ->> 'secure_email_change')::boolean and coalesce(p_user.email, '') <> '';
  v_payload jsonb := postern_internal.mail_payload(p_user, p_context);
  v_mails jsonb[];
  v_new_link text;
  v_current_link text;
begin
  perform postern_internal.check_mail_frequency(p_user.email_change_sent_at, p_context);
  v_new := postern_internal.make_otp(lower(p_new_email), p_is_pkce, p_context);
  v_current := postern_internal.make_otp(p_user.email, p_is_pkce, p_context);
  v_new_link := postern_internal.store_one_time_token(
    p_user.id, 'email_change_token_new', v_new.token_hash, p_new_email);
  if v_is_double then
    v_current_link := postern_internal.store_one_time_token(
      p_user.id, 'email_change_token_current', v_current.token_hash, p_user.email);
  end if;
  update auth.users
  set email_change = lower(p_new_email), email_change_token_new = v_new.token_hash,
    email_change_token_current = case when v_is_double then v_current.token_hash else '' end,
    email_change_confirm_status = 0, email_change_sent_at = postern_internal.clock(),
    updated_at = postern_internal.clock()
  where id = p_user.id;

  v_payload := v_payload || jsonb_build_object('new_email', lower(p_new_email));
  v_mails := array[v_payload || jsonb_build_object(
    'recipient', lower(p_new_email), 'sending_to', lower(p_new_email),
    'token', v_new.otp, 'token_hash', v_new_link,
    'confirmation_url', postern_internal.action_link('email_change', v_new_link, 'email_change', p_context))];
  if v_is_double then
    v_mails := v_mails || (v_payload || jsonb_build_object(
      'recipient', p_user.email, 'sending_to', p_user.email,
      'token', v_current.otp, 'token_hash', v_current_link,
      'confirmation_url', postern_internal.action_link(
        'email_change', v_current_link, 'email_change', p_context)));
  end if;
  perform postern_internal.send_mails('email_change', p_user, v_mails, p_context);
end;
$$;

-- GET /reauthenticate: sends the nonce that PUT /user asks for (spec/01 section 8), by mail or, to a user without an
-- address, by text message. Returns the message id for the reply, mostly null; see send_phone_otp.
-- Raises: as authenticate; validation_failed (400), email_not_confirmed, phone_not_confirmed (422),
--   over_email_send_rate_limit (429), and as send_phone_otp.
-- Locks: the user. Writes: audit, users.reauthentication_token, one_time_tokens, outbox.
create or replace function postern_internal.reauthenticate(p_user_id uuid, p_session_id uuid, p_context jsonb)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id, p_lock => true);
  v_has_email boolean := coalesce(v_user.email, '') <> '';
begin
  if not v_has_email and coalesce(v_user.phone, '') = '' then
    perform postern_internal.fail(
      400, 'validation_failed', 'Reauthentication requires the user to have an email or a phone number');
  elsif v_has_email and v_user.email_confirmed_at is null then
    perform postern_internal.fail(422, 'email_not_confirmed', 'Please verify your email first.');
  elsif not v_has_email and v_user.phone_confirmed_at is null then
    perform postern_internal.fail(422, 'phone_not_confirmed', 'Please verify your phone first.');
  end if;
  perform postern_internal.audit_user('user_reauthenticate_requested', v_user, p_context);
  if not v_has_email then
    return postern_internal.send_phone_otp(v_user, 'reauthentication', v_user.phone, 'sms', p_context);
  end if;
  perform postern_internal.send_reauthentication(v_user, p_context);
  return null;
end;
$$;

-- The mail of the function above.
-- Raises: over_email_send_rate_limit (429). Writes: users.reauthentication_token, one_time_tokens, outbox.
create or replace function postern_internal.send_reauthentication(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_otp text;
  v_hash text;
begin
  perform postern_internal.check_mail_frequency(p_user.reauthentication_sent_at, p_context);
  select m.otp, m.token_hash into v_otp, v_hash
  from postern_internal.make_otp(p_user.email, false, p_context) as m;
  perform postern_internal.store_one_time_token(p_user.id, 'reauthentication_token', v_hash, p_user.email);
  update auth.users
  set reauthentication_token = v_hash, reauthentication_sent_at = postern_internal.clock(),
    updated_at = postern_internal.clock()
  where id = p_user.id;
  perform postern_internal.send_mails('reauthentication', p_user, array[
    postern_internal.mail_payload(p_user, p_context) - 'redirect_to'
      || jsonb_build_object('recipient', p_user.email, 'token', v_otp)], p_context);
end;
$$;

-- A notification, if its switch MAILER_NOTIFICATIONS_<X>_ENABLED is on and there is an address to send it to. One that
-- is not authorized gets none, and the change goes on.
-- p_kind is password_changed, email_changed, ...
create or replace function postern_internal.notify_user(
  p_kind text,
  p_user auth.users,
  p_context jsonb,
  p_extra jsonb default '{}'
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if (p_context -> 'notifications' ->> p_kind)::boolean and coalesce(p_user.email, '') <> ''
    and postern_internal.is_mail_authorized(p_user.email, p_context)
  then
    begin
      perform postern_internal.send_mails(p_kind || '_notification', p_user, array[
        postern_internal.mail_payload(p_user, p_context) - 'redirect_to'
          || jsonb_build_object('recipient', p_user.email) || p_extra], p_context);
    exception when sqlstate 'PT429' then
      null; -- the limit on all mails is used up: the change matters more than the mail about it
    end;
  end if;
end;
$$;
