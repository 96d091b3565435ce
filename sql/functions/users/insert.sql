-- Inserts a user, or returns null when the address or number was taken in the meantime: the caller looks
-- again. Every token column gets the empty string, as the auth schema wants it (spec/05 section 7).
-- Raises: unique_violation for a taken id, and what triggers on auth.users raise. Writes: users, events.
create or replace function postern_internal.insert_user(
  p_user auth.users,        -- id, aud, role, email, phone, encrypted_password, metadata, is_anonymous, is_sso_user count
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_user auth.users;
begin
  insert into auth.users (
    instance_id, id, aud, role, email, phone, encrypted_password, raw_app_meta_data, raw_user_meta_data,
    is_anonymous, created_at, updated_at, confirmation_token, recovery_token, email_change_token_new,
    email_change_token_current, email_change, phone_change, phone_change_token, reauthentication_token,
    email_change_confirm_status, is_sso_user)
  values (
    postern_internal.nil_uuid(), coalesce(p_user.id, gen_random_uuid()), p_user.aud, coalesce(p_user.role, ''),
    lower(nullif(p_user.email, '')), nullif(p_user.phone, ''), p_user.encrypted_password,
    postern_internal.read_metadata(p_user.raw_app_meta_data),
    postern_internal.read_metadata(p_user.raw_user_meta_data),
    coalesce(p_user.is_anonymous, false), v_now, v_now, '', '', '', '', '', '', '', '', 0,
    coalesce(p_user.is_sso_user, false))
  on conflict do nothing
  returning * into v_user;
  if v_user.id is not null then
    perform postern_internal.record_event('user.created', v_user.id, p_context);
  elsif exists (select from auth.users as u where u.id = p_user.id) then
    raise unique_violation using
      message = 'duplicate key value violates unique constraint "users_pkey"',
      detail = 'Key (id)=(' || p_user.id || ') already exists.',
      schema = 'auth', table = 'users', constraint = 'users_pkey';
  end if;
  return v_user;
end;
$$;
