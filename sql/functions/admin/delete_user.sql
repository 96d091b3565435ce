-- Deletes an account (spec/01 section 12.5). The caller holds the user's lock for deletion.
-- Sessions end first, one by one, so that why_signed_out() knows; all else goes with the row. Mails to the user that
-- wait are dropped. A soft deletion keeps the row, without anything that says who it was; done again, it only
-- writes the audit entry.
-- Writes: users and what refers to it, provider_tokens, password_demands, locked_users, session_ends, outbox, audit, events.
create or replace function postern_internal.remove_account(p_user auth.users, p_is_soft boolean, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.audit_deletion(p_user, p_context);
  if p_is_soft and p_user.deleted_at is not null then
    return;
  end if;
  perform postern_internal.end_sessions(p_user.id, 'user_deleted', p_context);
  update postern.outbox as o
  set state = 'dropped', payload = '{}', finished_at = postern_internal.clock()
  where o.user_id = p_user.id and o.state = 'queued';
  delete from postern.provider_tokens as t where t.user_id = p_user.id;
  delete from postern.password_demands as d where d.user_id = p_user.id;
  if p_is_soft then
    perform postern_internal.obscure_user(p_user);
  else
    delete from auth.users as u where u.id = p_user.id;
    delete from postern.locked_users as l where l.user_id = p_user.id;
  end if;
  perform postern_internal.record_event(
    'user.deleted', p_user.id, p_context, jsonb_build_object('soft', p_is_soft));
end;
$$;

-- The audit entry of a deletion: an administrator's, or that of users who delete their own account.
create or replace function postern_internal.audit_deletion(p_user auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_phone jsonb := jsonb_build_object('user_phone', coalesce(p_user.phone, ''));
begin
  if p_context ? 'actor' then
    perform postern_internal.audit_admin('user_deleted', p_user, p_context, v_phone);
  else
    perform postern_internal.audit_user('user_deleted', p_user, p_context,
      postern_internal.audit_traits(p_user.id, p_user.email) || v_phone);
  end if;
end;
$$;

-- Replaces what identifies a user by hashes that only who knows both id and value can find again.
create or replace function postern_internal.obscure_user(p_user auth.users)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  delete from auth.one_time_tokens as t where t.user_id = p_user.id;
  delete from auth.mfa_factors as f where f.user_id = p_user.id;
  delete from auth.webauthn_credentials as c where c.user_id = p_user.id;
  update auth.identities as i
  set identity_data = '{}',
    provider_id = postern_internal.obscured(p_user.id, i.provider || ':' || i.provider_id)
  where i.user_id = p_user.id;
  update auth.users as u
  set email = postern_internal.obscured(u.id, u.email),
    phone = left(postern_internal.obscured(u.id, u.phone), 15),
    email_change = postern_internal.obscured(u.id, u.email_change),
    phone_change = left(postern_internal.obscured(u.id, u.phone_change), 15),
    encrypted_password = null, confirmation_token = '', recovery_token = '', email_change_token_current = '',
    email_change_token_new = '', phone_change_token = '', raw_app_meta_data = '{}', raw_user_meta_data = '{}',
    deleted_at = postern_internal.clock(), updated_at = postern_internal.clock()
  where u.id = p_user.id;
end;
$$;

-- The hash that stands for a value of a deleted user; null counts as empty.
-- Example: select postern_internal.obscured('11111111-1111-4111-8111-111111111111', 'c1new@example.com')
--   = 'JNNFKPMwTzY6tazyplX2wnB-uFqDwPNjj1Oke3LyIJg'
create or replace function postern_internal.obscured(p_user_id uuid, p_value text)
returns text
language sql stable security invoker
as $$
  select postern_internal.base64url(sha256(convert_to(p_user_id || coalesce(p_value, ''), 'UTF8')))
$$;

-- DELETE /admin/users/{id} as the handler calls it.
-- Raises: user_not_found (404), p_refusal, foreign_key_violation where an application's table holds on to the user.
-- Locks: the user, then sessions. Writes: as remove_account.
create or replace function postern_internal.admin_delete_user(
  p_user_id uuid,
  p_is_soft boolean,
  p_refusal jsonb,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.need_user(p_user_id, p_to_delete => true);
begin
  perform postern_internal.refuse(p_refusal);
  perform postern_internal.remove_account(v_user, p_is_soft, p_context);
end;
$$;

-- See the comment on the function. Raises and writes: as admin_delete_user.
create or replace function postern.delete_user(who text, soft boolean default false)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.need_user((postern_internal.find_user(who)).id, p_to_delete => true);
begin
  perform postern_internal.remove_account(v_user, coalesce(soft, false), postern_internal.context());
  return v_user.id;
end;
$$;
comment on function postern.delete_user(text, boolean) is
'Deletes a user with all sessions, identities and factors, drops mails that wait for them, and returns the id.
who: the user''s id, e-mail address, or phone number with a leading +.
soft: true keeps the row and its id for tables that refer to it, with hashes instead of address and number, and without metadata; the address is free for a new user then. postern.restore_user undoes it, postern.purge_deleted finishes it.
Errors: user_not_found (PT404).
Example: select postern.delete_user(''ann@example.com'');
Example: select postern.delete_user(id::text, soft => true) from auth.users where last_sign_in_at < now() - interval ''3 years'';';
