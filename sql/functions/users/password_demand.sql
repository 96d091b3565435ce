-- Users whose password opens no session any more until they set a new one (postern.require_password_change). Only the
-- password is refused: a link, a code or a provider signs in as ever. Every way to set a password clears the demand
-- (replace_password). Sign-in asks for demands in the statement that it makes anyway (sign_in_with_password).

-- Refuses a right password and sends what leads to a new one, to where the user signed in with, which is confirmed:
-- a recovery link, or a code. Nothing is sent where the last one is too fresh, or a limit on messages is used up.
-- Returns the failure password_change_required (400), because messages have to go out.
-- Raises: as send_recovery and send_phone_otp, but for 429. The caller holds the user's lock.
-- Writes: users, one_time_tokens, outbox, audit, limits.
create or replace function postern_internal.demand_new_password(
  p_user auth.users,
  p_provider text,          -- email | phone
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  begin
    if p_provider = 'email' then
      perform postern_internal.take_limits(p_context, p_user.email);
      perform postern_internal.audit_user('user_recovery_requested', p_user, p_context);
      perform postern_internal.send_recovery(p_user, 'recovery', false, p_context);
    else
      perform postern_internal.take_limits(p_context, p_user.phone);
      perform postern_internal.audit_user('user_recovery_requested', p_user, p_context, '{"channel": "sms"}');
      perform postern_internal.send_phone_otp(p_user, 'confirmation', p_user.phone, 'sms', p_context);
    end if;
  exception when sqlstate 'PT429' then
    null; -- the refusal stands
  end;
  return postern_internal.failure(400, 'password_change_required', case p_provider
    when 'email' then 'A new password is required. A link to set it has been sent to your email'
    else 'A new password is required. Sign in with the code that has been sent to your phone, and set it'
  end);
end;
$$;

-- See the comment on the function.
-- Raises: user_not_found (404). Locks: the user. Writes: password_demands, audit, events.
create or replace function postern.require_password_change(who text, required boolean default true)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_user auth.users := postern_internal.need_user((postern_internal.find_user(who)).id);
begin
  if coalesce(required, true) then
    insert into postern.password_demands (user_id, actor, demanded_at)
    values (v_user.id, v_context ->> 'actor', postern_internal.clock())
    on conflict (user_id) do update set actor = excluded.actor, demanded_at = excluded.demanded_at;
  else
    delete from postern.password_demands as d where d.user_id = v_user.id;
  end if;
  perform postern_internal.audit_admin(
    'user_modified', v_user, v_context, jsonb_build_object('user_phone', coalesce(v_user.phone, '')));
  perform postern_internal.record_event('user.password_change_required', v_user.id, v_context,
    jsonb_build_object('required', coalesce(required, true)));
  return v_user.id;
end;
$$;
comment on function postern.require_password_change(text, boolean) is
'Demands a new password from a user, and returns the user''s id: the password they have opens no session any more. Who signs in with it is refused (400 password_change_required) and gets a recovery link by mail, or a code where they signed in with a phone number. Any new password, whoever sets it, ends the demand. Links, codes and providers sign in as before, and sessions go on; sign_out() ends them.
who: the user''s id, e-mail address, or phone number with a leading +.
required: false takes the demand back; default: true.
Errors: user_not_found (PT404).
Example: select postern.require_password_change(''ann@example.com'');
Example: select postern.require_password_change(id::text), postern.sign_out(id::text) from auth.users where encrypted_password like ''{SSHA}%'';';
