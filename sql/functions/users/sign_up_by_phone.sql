-- POST /signup with a phone number (spec/01 section 3); also the first half of a code for a new number. What it shares
-- with e-mail is in sign_up.sql.
-- p_password_hash is null for accounts that begin without a password. Data and password of an account that
-- exists already are ignored.
-- Raises: signup_disabled (422), and as send_phone_otp.
-- Locks: the user. Writes: users, identities, one_time_tokens, outbox, audit, events.
-- Outcome: 'repeated' (confirmed account, nothing changed), 'confirmed' (may sign in), 'pending' (message queued).
create or replace function postern_internal.register_phone(
  p_phone text,             -- digits
  p_password_hash text,
  p_data jsonb,
  p_channel text,           -- sms | whatsapp
  p_context jsonb,
  out outcome text,
  out account auth.users
)
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  account := postern_internal.find_or_insert_registrant('phone', p_phone, p_password_hash, p_data, p_context);
  if account.phone_confirmed_at is not null then
    perform postern_internal.audit_user('user_repeated_signup', account, p_context, '{"provider": "phone"}');
    outcome := 'repeated';
    return;
  end if;

  if postern_internal.add_identity(
    account.id, 'phone',
    postern_internal.read_metadata(p_data) || postern_internal.base_identity_data(account.id, null), p_context)
  then
    account := postern_internal.adopt_first_identity(account.id, 'phone');
  end if;
  if (p_context ->> 'phone_autoconfirm')::boolean then
    perform postern_internal.audit_user(
      'user_signedup', account, p_context, jsonb_build_object('provider', 'phone', 'channel', p_channel));
    account := postern_internal.confirm_phone_number(account.id, p_context);
    outcome := 'confirmed';
    return;
  end if;
  perform postern_internal.audit_user(
    'user_confirmation_requested', account, p_context, '{"provider": "phone"}');
  perform postern_internal.send_phone_otp(account, 'confirmation', p_phone, p_channel, p_context);
  account := postern_internal.lock_user(account.id);
  perform postern_internal.announce_new_user(account, p_context);
  outcome := 'pending';
end;
$$;

-- POST /signup with a phone number as the handler calls it. issued: a session was opened; account: the user object for
-- the reply.
-- Raises and writes: as register_phone. Failure: user_already_exists (422), recorded in the audit log.
create or replace function postern_internal.sign_up_by_phone(
  p_phone text,
  p_password_hash text,
  p_data jsonb,
  p_channel text,
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
  perform postern_internal.take_limits(p_context, p_phone);
  v_registered := postern_internal.register_phone(p_phone, p_password_hash, p_data, p_channel, p_context);
  select r.issued, r.account, r.failure into issued, account, failure
  from postern_internal.answer_sign_up(
    'phone', v_registered.outcome, v_registered.account, p_data, p_context) as r;
end;
$$;
