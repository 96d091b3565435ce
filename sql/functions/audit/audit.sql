-- Rows of auth.audit_log_entries (spec/01 sections 1.8 and 15), one per action, unless
-- AUDIT_LOG_DISABLE_POSTGRES is on. A server that logs them gets them as a notice, which costs no round trip.
create or replace function postern_internal.write_audit(
  p_actions text[],
  p_actor_id uuid,
  p_actor_username text,
  p_via_sso boolean,
  p_actor_name text,        -- null when the actor has none
  p_traits jsonb,           -- null when there are none
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_traits jsonb := case
      when p_context ? 'set_actor' then coalesce(p_traits, '{}') || postern_internal.said_actor(p_context)
      else p_traits
    end;
  v_ip text := left(coalesce(p_context ->> 'ip', ''), 64);
  v_now timestamptz := postern_internal.clock();
  v_is_stored boolean := not coalesce((p_context ->> 'audit_disabled')::boolean, false);
  v_is_sent boolean := p_context ? 'audit_log';
  v_action text;
  v_id uuid;
  v_entry jsonb;
  v_ids uuid[];
  v_entries jsonb[];
begin
  foreach v_action in array p_actions loop
    v_id := gen_random_uuid();
    v_entry := postern_internal.audit_entry(
      v_action, p_actor_id, p_actor_username, p_via_sso, p_actor_name, v_traits);
    if v_is_stored then
      insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
      values (postern_internal.nil_uuid(), v_id, v_entry::json, v_now, v_ip);
    end if;
    if v_is_sent then
      v_ids := v_ids || v_id;
      v_entries := v_entries || v_entry;
    end if;
  end loop;
  if v_is_sent then
    raise notice using message = 'postern.audit', detail = jsonb_build_object(
      'ids', v_ids, 'entries', v_entries, 'ip_address', v_ip, 'created_at', postern_internal.rfc3339(v_now))::text;
  end if;
end;
$$;

-- The payload of an entry. Inlined into its callers, therefore without a SET clause.
create or replace function postern_internal.audit_entry(
  p_action text,
  p_actor_id uuid,
  p_actor_username text,
  p_via_sso boolean,
  p_actor_name text,
  p_traits jsonb
)
returns jsonb
language sql stable security invoker
as $$
  select jsonb_build_object(
      'action', p_action, 'log_type', postern_internal.audit_log_type(p_action), 'actor_id', p_actor_id,
      'actor_username', coalesce(p_actor_username, ''), 'actor_via_sso', coalesce(p_via_sso, false))
    || case when p_actor_name is null then '{}' else jsonb_build_object('actor_name', p_actor_name) end
    || case when p_traits is null then '{}' else jsonb_build_object('traits', p_traits) end
$$;

-- The log_type of an action (spec/01 section 15).
create or replace function postern_internal.audit_log_type(p_action text)
returns text
language sql immutable security invoker
as $$
  select case
    when p_action in ('login', 'logout', 'invite_accepted') then 'account'
    when p_action in ('user_signedup', 'user_invited', 'user_deleted') then 'team'
    when p_action in ('token_revoked', 'token_refreshed') then 'token'
    when p_action in ('factor_in_progress', 'factor_unenrolled', 'challenge_created',
      'verification_attempted', 'factor_deleted', 'factor_updated') then 'factor'
    else 'user'
  end
$$;

-- A user did it.
create or replace function postern_internal.audit_user(
  p_action text,
  p_user auth.users,
  p_context jsonb,
  p_traits jsonb default null
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.write_audit(
    array[p_action], p_user.id, coalesce(nullif(p_user.phone, ''), p_user.email), p_user.is_sso_user,
    p_user.raw_user_meta_data ->> 'full_name', p_traits, p_context);
end;
$$;

-- An administrator did it to a user: over HTTP the role of the token, in SQL the session user.
create or replace function postern_internal.audit_admin(
  p_action text,
  p_user auth.users,
  p_context jsonb,
  p_traits jsonb default '{}'
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform postern_internal.write_audit(
    array[p_action], postern_internal.nil_uuid(), p_context ->> 'actor', false, null,
    postern_internal.audit_traits(p_user.id, p_user.email) || p_traits, p_context);
end;
$$;

-- An SQL caller did it to many users, with an entry for each: audit_admin in one statement.
create or replace function postern_internal.audit_admin_many(p_action text, p_user_ids uuid[], p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if not coalesce((p_context ->> 'audit_disabled')::boolean, false) then
    insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
    select postern_internal.nil_uuid(), gen_random_uuid(),
      postern_internal.audit_entry(p_action, postern_internal.nil_uuid(), p_context ->> 'actor', false, null,
        postern_internal.audit_traits(u.id, u.email) || postern_internal.said_actor(p_context))::json,
      postern_internal.clock(), left(coalesce(p_context ->> 'ip', ''), 64)
    from unnest(p_user_ids) as i (id) join auth.users as u on u.id = i.id;
  end if;
end;
$$;

-- Whom an administrator's action was about.
create or replace function postern_internal.audit_traits(p_user_id uuid, p_email text)
returns jsonb
language sql stable security invoker
as $$
  select jsonb_build_object('user_id', p_user_id, 'user_email', coalesce(p_email, ''))
$$;
