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

-- See the comment on the function. Raises: user_not_found (404).
create or replace function postern.list_factors(who text)
returns table (
  factor_id uuid,
  factor_type text,
  status text,
  friendly_name text,
  phone text,
  created_at timestamptz,
  last_challenged_at timestamptz
)
language sql stable security definer set search_path = ''
as $$
  select f.id, f.factor_type::text, f.status::text, nullif(f.friendly_name, ''), nullif(f.phone, ''), f.created_at,
    f.last_challenged_at
  from auth.mfa_factors as f
  where f.user_id = (select (postern_internal.find_user(who)).id)
  order by f.created_at, f.id
$$;
comment on function postern.list_factors(text) is
'Lists the second factors of a user, oldest first, without their secrets. Only those with status verified are asked for.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select factor_id, factor_type, status, friendly_name from postern.list_factors(''ann@example.com'');';

-- See the comment on the function. Raises and writes: as admin_update_factor and check_phone.
create or replace function postern.update_factor(
  who text,
  factor_id uuid,
  friendly_name text default null,
  phone text default null
)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid := (postern_internal.find_user(who)).id;
begin
  perform postern_internal.admin_update_factor(
    v_id, coalesce(factor_id, postern_internal.nil_uuid()),
    jsonb_build_object('friendly_name', friendly_name, 'phone', postern_internal.check_phone(phone)),
    null, null, postern_internal.context());
  return v_id;
end;
$$;
comment on function postern.update_factor(text, uuid, text, text) is
'Gives a second factor another name, or a phone factor another number, and returns the user''s id. What is left out stays as it is.
who: the user''s id, e-mail address, or phone number with a leading +.
factor_id: of the factor.
friendly_name: the new name; no other factor of the user has it.
phone: the new number; it may begin with + and hold spaces. Factors of other types have none, and stay without.
Errors: user_not_found, mfa_factor_not_found (PT404), validation_failed (PT400); unique_violation (23505) where another factor of the user has the name or number.
Example: select postern.update_factor(''ann@example.com'', f.factor_id, ''old phone'') from postern.list_factors(''ann@example.com'') f where f.factor_type = ''phone'';';

-- See the comment on the function. Raises and writes: as admin_delete_factor.
create or replace function postern.delete_factor(who text, factor_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid := (postern_internal.find_user(who)).id;
begin
  perform postern_internal.admin_delete_factor(
    v_id, coalesce(factor_id, postern_internal.nil_uuid()), null, postern_internal.context());
  return v_id;
end;
$$;
comment on function postern.delete_factor(text, uuid) is
'Removes a second factor and returns the user''s id. Sessions that it lifted to aal2 fall back to aal1. As over HTTP, the audit entry is in the user''s name; the event says who did it.
who: the user''s id, e-mail address, or phone number with a leading +.
factor_id: of the factor.
Errors: user_not_found, mfa_factor_not_found (PT404).
Example: select postern.delete_factor(''ann@example.com'', f.factor_id) from postern.list_factors(''ann@example.com'') f where f.factor_type = ''phone'';';

-- See the comment on the function. Raises and writes: as admin_delete_factor.
create or replace function postern.reset_mfa(who text)
returns int
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_user auth.users := postern_internal.need_user((postern_internal.find_user(who)).id);
  v_factor_id uuid;
  v_count int := 0;
begin
  for v_factor_id in
    select f.id from auth.mfa_factors as f where f.user_id = v_user.id order by f.created_at, f.id
  loop
    perform postern_internal.admin_delete_factor(v_user.id, v_factor_id, null, v_context);
    v_count := v_count + 1;
  end loop;
  return v_count;
end;
$$;
comment on function postern.reset_mfa(text) is
'Removes all second factors of a user who has lost them, and returns how many there were. Sessions at aal2 fall back to aal1; the user signs in without a second factor then and can enrol a new one. Recorded as by postern.delete_factor, for each factor.
who: the user''s id, e-mail address, or phone number with a leading +. Make sure that it is the user who asks for it.
Errors: user_not_found (PT404).
Example: select postern.reset_mfa(''ann@example.com'');';
