-- Users of an import who exist already, where the caller wants them brought up to the document.

-- Changes a user as an administrator does who sends what differs from the document, and adds the identities that the
-- document lists and the user has not. Returns whether there was anything to change.
-- Raises: as change_account. Locks: the user. Writes: as change_account, identities, events.
create or replace function postern_internal.update_imported(p_user_id uuid, p_account jsonb, p_context jsonb)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.need_user(p_user_id);
  v_new auth.users := jsonb_populate_record(null::auth.users, p_account -> 'user');
  v_changes jsonb := postern_internal.imported_changes(v_user, p_account);
  v_hash text := case when v_new.encrypted_password is distinct from v_user.encrypted_password then v_new.encrypted_password end;
  v_added int := 0;
begin
  if v_changes <> '{}' or v_hash is not null then
    perform postern_internal.change_account(v_user, v_changes, v_hash, p_context);
  end if;
  if (p_account ->> 'has_identities')::boolean then
    v_added := postern_internal.add_imported_identities(p_user_id, p_account -> 'identities', p_context);
  end if;
  -- The times of the document are the true ones: an address was confirmed there, not now.
  update auth.users as u
  set email_confirmed_at = coalesce(v_user.email_confirmed_at, v_new.email_confirmed_at, u.email_confirmed_at),
    phone_confirmed_at = coalesce(v_user.phone_confirmed_at, v_new.phone_confirmed_at, u.phone_confirmed_at),
    last_sign_in_at = greatest(u.last_sign_in_at, v_new.last_sign_in_at)
  where u.id = p_user_id and (v_changes <> '{}' or v_new.last_sign_in_at > coalesce(u.last_sign_in_at, '-infinity'));
  return found or v_hash is not null or v_added > 0;
end;
$$;

-- What change_account has to do.
create or replace function postern_internal.imported_changes(p_user auth.users, p_account jsonb)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_new auth.users := jsonb_populate_record(null::auth.users, p_account -> 'user');
  v_wanted jsonb := p_account -> 'changes';
begin
  return jsonb_strip_nulls(jsonb_build_object(
      'role', case when v_wanted ? 'role' and v_new.role is distinct from p_user.role then v_new.role end,
      'email', case when v_new.email is distinct from lower(nullif(p_user.email, '')) then v_new.email end,
      'phone', case when v_new.phone is distinct from nullif(p_user.phone, '') then v_new.phone end,
      'email_confirm', case when v_new.email_confirmed_at is not null and p_user.email_confirmed_at is null then true end,
      'phone_confirm', case when v_new.phone_confirmed_at is not null and p_user.phone_confirmed_at is null then true end,
      'ban_seconds', case when v_new.banned_until is distinct from p_user.banned_until
        then extract(epoch from v_new.banned_until - postern_internal.clock()) end))
    || case
      when postern_internal.merge_metadata(p_user.raw_user_meta_data, v_wanted -> 'user_metadata')
        = postern_internal.read_metadata(p_user.raw_user_meta_data) then '{}'
      else jsonb_build_object('user_metadata', v_wanted -> 'user_metadata')
    end
    || case
      when postern_internal.merge_metadata(p_user.raw_app_meta_data, v_wanted -> 'app_metadata')
        = postern_internal.read_metadata(p_user.raw_app_meta_data) then '{}'
      else jsonb_build_object('app_metadata', v_wanted -> 'app_metadata')
    end;
end;
$$;

-- Adds identities that the user has not; of email and phone one is enough. Returns how many.
create or replace function postern_internal.add_imported_identities(p_user_id uuid, p_identities jsonb, p_context jsonb)
returns int
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_added text[];
begin
  with added as (
    insert into auth.identities (
      id, provider_id, user_id, provider, identity_data, last_sign_in_at, created_at, updated_at)
    select e.id, case when e.provider_id = e.user_id::text then p_user_id::text else e.provider_id end, p_user_id, e.provider,
      case when e.identity_data ->> 'sub' = e.user_id::text then e.identity_data || jsonb_build_object('sub', p_user_id)
        else e.identity_data end,
      e.last_sign_in_at, e.created_at, e.updated_at
    from jsonb_populate_recordset(null::auth.identities, p_identities) as e
    where not exists (
      select from auth.identities as o
      where o.user_id = p_user_id and o.provider = e.provider
        and (o.provider_id = e.provider_id or e.provider in ('email', 'phone')))
    returning provider)
  select coalesce(array_agg(a.provider), '{}') into v_added from added as a;
  perform postern_internal.record_event(
    'identity.created', p_user_id, p_context, jsonb_build_object('provider', p))
  from unnest(v_added) as p;
  if v_added <> '{}' then
    perform postern_internal.recompute_providers(p_user_id);
  end if;
  return cardinality(v_added);
end;
$$;
