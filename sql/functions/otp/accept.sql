-- What a redeemed token changes, by kind (spec/01 section 10.3). The caller holds the user's lock.

-- Sign-up or invitation. Somebody invited has no password yet and gets one that nobody knows.
create or replace function postern_internal.accept_signup(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_user.invited_at is not null and coalesce(p_user.encrypted_password, '') = '' then
    perform postern_internal.replace_password(
      p_user.id, postern_internal.unusable_password_hash(), p_context);
  end if;
  if p_user.email_confirmed_at is null then
    perform postern_internal.audit_user('user_signedup', p_user, p_context, '{"provider": "email"}');
  else -- the link confirmed the address on another device before
    perform postern_internal.audit_user('login', p_user, p_context);
  end if;
  perform postern_internal.confirm_email_address(p_user.id, p_context);
  perform postern_internal.mark_identity_verified(p_user);
  perform postern_internal.end_anonymity(p_user.id);
end;
$$;

-- Recovery or magic link: proves the address of an unconfirmed user as well.
create or replace function postern_internal.accept_recovery(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update auth.users set recovery_token = '' where id = p_user.id;
  if p_user.email_confirmed_at is null then
    perform postern_internal.audit_user('user_signedup', p_user, p_context, '{"provider": "email"}');
    perform postern_internal.confirm_email_address(p_user.id, p_context);
  else
    perform postern_internal.audit_user('login', p_user, p_context);
    delete from auth.one_time_tokens where user_id = p_user.id;
  end if;
end;
$$;

-- Confirmation of an e-mail change. Returns true after the first of two.
-- With secure change both addresses confirm, whatever autoconfirm says (DESIGN section 9, row 7).
create or replace function postern_internal.accept_email_change(
  p_user auth.users,
  p_token_type auth.one_time_token_type,
  p_context jsonb
)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if (p_context ->> 'secure_email_change')::boolean
    and coalesce(p_user.email_change_confirm_status, 0) = 0
    and coalesce(p_user.email, '') <> ''
  then
    update auth.users
    set email_change_confirm_status = 1, updated_at = postern_internal.clock(),
      email_change_token_current = case p_token_type
        when 'email_change_token_current' then '' else email_change_token_current end,
      email_change_token_new = case p_token_type
        when 'email_change_token_new' then '' else email_change_token_new end
    where id = p_user.id;
    return true;
  end if;
  perform postern_internal.audit_user('user_modified', p_user, p_context);
  perform postern_internal.apply_email_change(p_user, p_context);
  return false;
end;
$$;

-- Makes the pending address the user's own.
-- Raises: email_exists (422) when somebody else took it in the meantime.
create or replace function postern_internal.apply_email_change(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from auth.one_time_tokens where user_id = p_user.id;
  begin
    update auth.users
    set email = lower(p_user.email_change), email_change = '', email_change_token_current = '',
      email_change_token_new = '', email_change_confirm_status = 0, is_anonymous = false,
      email_confirmed_at = coalesce(email_confirmed_at, postern_internal.clock()),
      raw_user_meta_data = case
        when email_confirmed_at is not null then raw_user_meta_data
        else postern_internal.read_metadata(raw_user_meta_data) || '{"email_verified": true}'
      end,
      updated_at = postern_internal.clock()
    where id = p_user.id;
  exception when unique_violation then
    perform postern_internal.fail(
      422, 'email_exists', 'A user with this email address has already been registered');
  end;
  perform postern_internal.put_email_identity(p_user.id, p_user.email_change, true, p_context);
  perform postern_internal.record_event('user.email_changed', p_user.id, p_context);
  perform postern_internal.notify_user(
    'email_changed', p_user, p_context, jsonb_build_object('old_email', coalesce(p_user.email, '')));
end;
$$;

-- Writes a new address into the e-mail identity, or adds that identity.
create or replace function postern_internal.put_email_identity(
  p_user_id uuid,
  p_email text,
  p_is_verified boolean,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_facts jsonb := jsonb_build_object('email', lower(p_email), 'email_verified', p_is_verified);
begin
  update auth.identities
  set identity_data = postern_internal.read_metadata(identity_data) || v_facts
  where user_id = p_user_id and provider = 'email';
  if not found then
    perform postern_internal.add_identity(
      p_user_id, 'email', postern_internal.base_identity_data(p_user_id, p_email) || v_facts, p_context);
  end if;
end;
$$;

-- The number of an account was proved: for the first time, or once more to sign in.
create or replace function postern_internal.accept_phone(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.audit_user('user_signedup', p_user, p_context, '{"provider": "phone"}');
  perform postern_internal.confirm_phone_number(p_user.id, p_context);
  update auth.users set is_anonymous = false where id = p_user.id and is_anonymous;
end;
$$;

-- Makes the pending number the user's own.
-- Raises: phone_exists (422) when somebody else took it in the meantime.
create or replace function postern_internal.apply_phone_change(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from auth.one_time_tokens where user_id = p_user.id;
  begin
    update auth.users
    set phone = p_user.phone_change, phone_change = '', phone_change_token = '', is_anonymous = false,
      phone_confirmed_at = postern_internal.clock(), updated_at = postern_internal.clock()
    where id = p_user.id;
  exception when unique_violation then
    perform postern_internal.fail(
      422, 'phone_exists', 'A user with this phone number has already been registered');
  end;
  perform postern_internal.record_event('user.phone_changed', p_user.id, p_context);
  perform postern_internal.notify_user('phone_changed', p_user, p_context, jsonb_build_object(
    'phone', p_user.phone_change, 'old_phone', coalesce(p_user.phone, '')));
  if postern_internal.put_phone_identity(p_user.id, p_user.phone_change, true, p_context) then
    perform postern_internal.notify_user('identity_linked', p_user, p_context, '{"provider": "phone"}');
  end if;
end;
$$;

-- Writes a number into the phone identity, or adds that identity. Returns whether it was added.
create or replace function postern_internal.put_phone_identity(
  p_user_id uuid,
  p_phone text,
  p_is_verified boolean,
  p_context jsonb
)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_facts jsonb := jsonb_build_object('phone', p_phone, 'phone_verified', p_is_verified);
begin
  update auth.identities as i
  set identity_data = postern_internal.read_metadata(i.identity_data) || v_facts
  where i.user_id = p_user_id and i.provider = 'phone';
  if found then
    return false;
  end if;
  return postern_internal.add_identity(
    p_user_id, 'phone', postern_internal.base_identity_data(p_user_id, null) || v_facts, p_context);
end;
$$;
