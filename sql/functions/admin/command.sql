-- What the commands `postern admin createuser` and `postern admin deleteuser` call: those of the reference, for
-- scripts that have them (spec/07 section 3).

-- Creates a user with a password. Raises: email_exists (422). Writes: as create_account.
create or replace function postern_internal.create_user_by_command(
  p_email text,
  p_password_hash text,
  p_role text,              -- '': that of every new user
  p_aud text,               -- '': the default audience
  p_is_confirmed boolean
)
returns uuid
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
begin
  if p_aud <> '' then
    v_context := v_context || jsonb_build_object('aud', p_aud);
  end if;
  return (postern_internal.create_account(
    jsonb_build_object('email', p_email, 'role', p_role, 'email_confirm', p_is_confirmed),
    p_password_hash, null, v_context)).id;
end;
$$;

-- Deletes a user, named by id or by address in an audience. Raises and writes: as postern.delete_user.
create or replace function postern_internal.delete_user_by_command(p_who text, p_aud text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_id uuid;
begin
  select u.id into v_id
  from postern_internal.find_users_by_email(
    p_who, coalesce(nullif(p_aud, ''), postern_internal.context() ->> 'aud')) as u;
  perform postern.delete_user(coalesce(v_id::text, p_who), false);
end;
$$;
