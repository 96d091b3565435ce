-- The factors of a user under /admin/users/{id}/factors (spec/01 section 14).

-- Raises: user_not_found (404).
create or replace function postern_internal.admin_list_factors(p_user_id uuid)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return coalesce(postern_internal.admin_get_user(p_user_id) -> 'factors', '[]');
end;
$$;

-- The factor, with its user locked. p_factor_id null: the path holds no UUID, and p_refusal says so.
-- Raises: user_not_found, mfa_factor_not_found (404), p_refusal.
create or replace function postern_internal.need_factor(p_user_id uuid, p_factor_id uuid, p_refusal jsonb)
returns auth.mfa_factors
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_factor auth.mfa_factors;
begin
  perform postern_internal.need_user(p_user_id);
  select f.* into v_factor from auth.mfa_factors as f where f.id = p_factor_id and f.user_id = p_user_id;
  if p_factor_id is not null and v_factor.id is null then
    perform postern_internal.fail(404, 'mfa_factor_not_found', 'Factor not found');
  end if;
  perform postern_internal.refuse(p_refusal);
  return v_factor;
end;
$$;

-- Renames a factor, or gives a phone factor another number. p_changes: friendly_name, phone (checked for shape);
-- p_phone_refusal is what is wrong with phone, which matters for phone factors only.
-- Raises: as need_factor. Locks: the user. Writes: mfa_factors, audit, events.
create or replace function postern_internal.admin_update_factor(
  p_user_id uuid,
  p_factor_id uuid,
  p_changes jsonb,
  p_phone_refusal jsonb,
  p_refusal jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_factor auth.mfa_factors := postern_internal.need_factor(p_user_id, p_factor_id, p_refusal);
begin
  if v_factor.factor_type = 'phone' then
    perform postern_internal.refuse(p_phone_refusal);
  end if;
  update auth.mfa_factors as f
  set friendly_name = coalesce(nullif(p_changes ->> 'friendly_name', ''), f.friendly_name),
    phone = case
      when f.factor_type = 'phone' then coalesce(nullif(p_changes ->> 'phone', ''), f.phone)
      else f.phone
    end,
    updated_at = postern_internal.clock()
  where f.id = p_factor_id
  returning f.* into v_factor;
  perform postern_internal.audit_admin(
    'factor_updated', postern_internal.lock_user(p_user_id), p_context,
    jsonb_build_object('factor_id', v_factor.id, 'factor_type', v_factor.factor_type));
  perform postern_internal.record_event(
    'factor.updated', p_user_id, p_context, jsonb_build_object('factor_id', v_factor.id));
  return postern_internal.factor_json(v_factor);
end;
$$;

-- Removes a factor; sessions that it lifted to aal2 fall back to aal1. Returns the factor that was.
-- Raises: as need_factor. Locks: user, sessions. Writes: mfa_factors, sessions, mfa_amr_claims, audit, events.
create or replace function postern_internal.admin_delete_factor(
  p_user_id uuid,
  p_factor_id uuid,
  p_refusal jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_factor auth.mfa_factors := postern_internal.need_factor(p_user_id, p_factor_id, p_refusal);
begin
  perform postern_internal.audit_user(
    'factor_deleted', postern_internal.lock_user(p_user_id), p_context,
    jsonb_build_object('user_id', p_user_id, 'factor_id', p_factor_id));
  perform postern_internal.drop_factor(v_factor);
  perform postern_internal.record_event(
    'factor.deleted', p_user_id, p_context, jsonb_build_object('factor_id', p_factor_id));
  return postern_internal.factor_json(v_factor);
end;
$$;
