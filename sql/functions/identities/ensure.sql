-- The facts every e-mail or phone identity begins with (spec/00 section 7).
create or replace function postern_internal.base_identity_data(p_user_id uuid, p_email text)
returns jsonb
language sql stable security invoker
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'sub', p_user_id, 'email', lower(p_email), 'email_verified', false, 'phone_verified', false))
$$;

-- Adds an identity of provider email or phone (provider_id is the user's id) unless it is there.
-- Returns whether it was added. Writes: identities, events.
create or replace function postern_internal.add_identity(
  p_user_id uuid,
  p_provider text,
  p_data jsonb,
  p_context jsonb
)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
begin
  insert into auth.identities (
    id, provider_id, user_id, provider, identity_data, last_sign_in_at, created_at, updated_at)
  values (postern_internal.random_uuid(), p_user_id::text, p_user_id, p_provider, p_data, v_now, v_now, v_now)
  on conflict do nothing;
  if not found then
    return false;
  end if;
  perform postern_internal.record_event(
    'identity.created', p_user_id, p_context, jsonb_build_object('provider', p_provider));
  return true;
end;
$$;
