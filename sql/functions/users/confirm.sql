-- Marks a user's e-mail address as confirmed, if it is not yet, and voids every one-time token of the user.
-- Writes: users, one_time_tokens, events. The caller holds the user's lock.
create or replace function postern_internal.confirm_email_address(p_user_id uuid, p_context jsonb)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_user auth.users;
begin
  delete from auth.one_time_tokens where user_id = p_user_id;
  update auth.users
  set email_confirmed_at = coalesce(email_confirmed_at, v_now), confirmation_token = '',
    raw_user_meta_data = postern_internal.read_metadata(raw_user_meta_data) || '{"email_verified": true}',
    updated_at = v_now
  where id = p_user_id
  returning * into v_user;
  if v_user.email_confirmed_at = v_now then
    perform postern_internal.record_event('user.confirmed', p_user_id, p_context, '{"by": "email"}');
  end if;
  return v_user;
end;
$$;

-- Marks a user's phone number as confirmed at this moment, also once more, and voids every one-time token of the user.
-- Writes: users, one_time_tokens, events. The caller holds the user's lock.
create or replace function postern_internal.confirm_phone_number(p_user_id uuid, p_context jsonb)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_is_first boolean := exists (
    select from auth.users as u where u.id = p_user_id and u.phone_confirmed_at is null);
  v_user auth.users;
begin
  delete from auth.one_time_tokens where user_id = p_user_id;
  update auth.users
  set phone_confirmed_at = v_now, confirmation_token = '', updated_at = v_now
  where id = p_user_id
  returning * into v_user;
  if v_is_first then
    perform postern_internal.record_event('user.confirmed', p_user_id, p_context, '{"by": "phone"}');
  end if;
  return v_user;
end;
$$;

-- Notes in the identities with the user's own address that it is verified.
create or replace function postern_internal.mark_identity_verified(p_user auth.users)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update auth.identities
  set identity_data = identity_data || '{"email_verified": true}'
  where user_id = p_user.id and email = p_user.email;
end;
$$;
