-- New users of an import, many with one statement for each table. They leave what postern.create_user leaves, with the
-- times of the document.

-- Creates the users of some rows of a batch. When that fails, as a trigger of the application may make it, it tries either
-- half, down to the row that is to blame, which is refused. Errors that have nothing to do with a row are raised.
-- Writes: users, identities, mfa_factors, audit, events, user_imports.
create or replace function postern_internal.create_imported(
  p_batch text,
  p_lines bigint[],
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_half int := cardinality(p_lines) / 2;
begin
  begin
    perform postern_internal.insert_imported(p_batch, p_lines, p_context);
    return;
  exception when others then
    perform postern_internal.refuse_import(p_batch, p_lines, sqlstate, sqlerrm);
    if v_half = 0 then
      return;
    end if;
  end;
  perform postern_internal.create_imported(p_batch, p_lines[:v_half], p_context);
  perform postern_internal.create_imported(p_batch, p_lines[v_half + 1:], p_context);
end;
$$;

-- Notes that a row was refused because of an error, if it is one row. Raises again what is not about any row: conflicts
-- of transactions, lack of resources, time-outs.
create or replace function postern_internal.refuse_import(
  p_batch text,
  p_lines bigint[],
  p_sqlstate text,
  p_message text
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if left(p_sqlstate, 2) in ('25', '40', '53', '55', '57', '58', 'XX') then
    raise exception using errcode = p_sqlstate, message = p_message;
  elsif cardinality(p_lines) = 1 then
    update postern.user_imports
    set outcome = 'refused', code = case p_sqlstate when '23505' then 'conflict' else 'unexpected_failure' end,
      message = p_message, user_id = null
    where batch = p_batch and line = p_lines[1];
  end if;
end;
$$;

-- Creates the users of some rows. A row whose address or number the indexes of auth.users know, while no rule does (another
-- audience, somebody who came in between), is refused.
create or replace function postern_internal.insert_imported(
  p_batch text,
  p_lines bigint[],
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_ids uuid[];
begin
  with created as (
    insert into auth.users (
      instance_id, id, aud, role, email, phone, encrypted_password, email_confirmed_at, phone_confirmed_at,
      raw_app_meta_data, raw_user_meta_data, is_anonymous, is_sso_user, banned_until, invited_at, created_at, updated_at,
      last_sign_in_at, confirmation_token, recovery_token, email_change_token_new, email_change_token_current,
      email_change, phone_change, phone_change_token, reauthentication_token, email_change_confirm_status)
    select postern_internal.nil_uuid(), u.id, u.aud, u.role, u.email, u.phone, u.encrypted_password, u.email_confirmed_at,
      u.phone_confirmed_at, u.raw_app_meta_data, u.raw_user_meta_data, u.is_anonymous, u.is_sso_user, u.banned_until,
      u.invited_at, u.created_at, u.updated_at, u.last_sign_in_at, '', '', '', '', '', '', '', '', 0
    from postern.user_imports as i
    cross join lateral jsonb_populate_record(null::auth.users, i.account -> 'user') as u
    where i.batch = p_batch and i.line = any (p_lines)
    order by i.line
    on conflict do nothing
    returning id)
  select array_agg(c.id) into v_ids from created as c;

  insert into auth.identities (
    id, provider_id, user_id, provider, identity_data, last_sign_in_at, created_at, updated_at)
  select e.id, e.provider_id, e.user_id, e.provider, e.identity_data, e.last_sign_in_at, e.created_at, e.updated_at
  from postern_internal.imported_rows(p_batch, p_lines, v_ids) as i
  cross join lateral jsonb_populate_recordset(null::auth.identities, i.account -> 'identities') as e;
  insert into auth.mfa_factors
  select f.*
  from postern_internal.imported_rows(p_batch, p_lines, v_ids) as i
  cross join lateral jsonb_populate_recordset(null::auth.mfa_factors, i.account -> 'factors') as f;
  perform postern_internal.record_imported(p_batch, p_lines, v_ids, p_context);

  update postern.user_imports as i
  set outcome = case when c.is_created then 'created' else 'refused' end,
    user_id = case when c.is_created then (i.account #>> '{user,id}')::uuid end,
    code = case when not c.is_created then 'conflict' end,
    message = case when not c.is_created then 'Another user has the address or the number' end
  from (
    select l.line, coalesce((l.account #>> '{user,id}')::uuid = any (v_ids), false) as is_created
    from postern.user_imports as l where l.batch = p_batch and l.line = any (p_lines)) as c
  where i.batch = p_batch and i.line = c.line;
end;
$$;

-- Of some rows of a batch, those whose users are there now, in order. Inlined into its callers, therefore without a SET clause.
create or replace function postern_internal.imported_rows(p_batch text, p_lines bigint[], p_ids uuid[])
returns setof postern.user_imports
language sql stable security invoker
as $$
  select i.*
  from postern.user_imports as i
  where i.batch = p_batch and i.line = any (p_lines) and (i.account #>> '{user,id}')::uuid = any (p_ids)
  order by i.line
$$;

-- The audit entry and the events of each new user.
create or replace function postern_internal.record_imported(
  p_batch text,
  p_lines bigint[],
  p_ids uuid[],
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
begin
  if not coalesce((p_context ->> 'audit_disabled')::boolean, false) then
    insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
    select postern_internal.nil_uuid(), gen_random_uuid(),
      postern_internal.audit_entry('user_signedup', postern_internal.nil_uuid(), p_context ->> 'actor', false, null,
        postern_internal.audit_traits(u.id, u.email) || jsonb_build_object(
          'user_phone', coalesce(u.phone, ''), 'provider', i.account #> '{identities,0,provider}')
          || postern_internal.said_actor(p_context))::json,
      v_now, left(coalesce(p_context ->> 'ip', ''), 64)
    from postern_internal.imported_rows(p_batch, p_lines, p_ids) as i
    cross join lateral jsonb_populate_record(null::auth.users, i.account -> 'user') as u;
  end if;
  if p_context ? 'silent' then
    return;
  end if;
  insert into postern.events (type, user_id, actor, data, created_at)
  select e.type, u.id, p_context ->> 'actor', e.data || postern_internal.said_actor(p_context), v_now
  from postern_internal.imported_rows(p_batch, p_lines, p_ids) as i
  cross join lateral jsonb_populate_record(null::auth.users, i.account -> 'user') as u
  cross join lateral (
    select 1 as n, 'user.created' as type, '{}'::jsonb as data
    union all
    select 2, 'identity.created', jsonb_build_object('provider', d -> 'provider')
    from jsonb_array_elements(i.account -> 'identities') as d
    union all select 3, 'user.confirmed', '{"by": "email"}' where u.email_confirmed_at is not null
    union all select 4, 'user.confirmed', '{"by": "phone"}' where u.phone_confirmed_at is not null
    union all
    select 5, 'user.banned', jsonb_build_object('until', postern_internal.rfc3339(u.banned_until))
    where postern_internal.is_banned(u)
    union all
    select 6, 'factor.created', jsonb_build_object('factor_id', f -> 'id', 'factor_type', f -> 'factor_type')
    from jsonb_array_elements(i.account -> 'factors') as f) as e
  order by i.line, e.n;
end;
$$;
