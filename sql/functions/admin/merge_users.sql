-- Makes one account of two that belong to one person.
--
-- Whoever held the removed account gains what an administrator decides by merging, the identities at providers, and nothing
-- besides: password, second factors, passkeys, sessions, codes, links and what OAuth clients were allowed go with it, and an
-- address or number counts only if it was confirmed.

-- See the comment on the function.
-- Raises: as find_user and check_merge. Locks: both users in id order, rows that move.
-- Writes: tables of the application, identities, provider_tokens, users, and as remove_account; audit, events, outbox.
create or replace function postern.merge_users(keep text, remove text, on_conflict text default 'refuse')
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_context jsonb := postern_internal.context();
  v_keep_id uuid := (postern_internal.find_user(keep)).id;
  v_remove_id uuid := (postern_internal.find_user(remove)).id;
  v_keep auth.users;
  v_remove auth.users;
begin
  perform from auth.users as u where u.id in (v_keep_id, v_remove_id) order by u.id for update;
  v_keep := postern_internal.need_user(v_keep_id);
  v_remove := postern_internal.need_user(v_remove_id);
  perform postern_internal.check_merge(v_keep, v_remove, on_conflict);
  perform postern_internal.move_rows(v_keep, v_remove, on_conflict);
  perform postern_internal.move_identities(v_keep, v_remove, v_context);
  perform postern_internal.end_flows(v_remove_id);
  perform postern_internal.remove_account(v_remove, false, v_context);
  v_keep := postern_internal.take_over(v_keep, v_remove);
  perform postern_internal.audit_admin('user_modified', v_keep, v_context, jsonb_build_object(
    'user_phone', coalesce(v_keep.phone, ''), 'merged_user_id', v_remove_id));
  perform postern_internal.record_event(
    'user.merged', v_remove_id, v_context, jsonb_build_object('kept', v_keep_id, 'removed', v_remove_id));
  perform postern_internal.record_event(
    'user.merged', v_keep_id, v_context, jsonb_build_object('kept', v_keep_id, 'removed', v_remove_id));
  return v_keep_id;
end;
$$;
comment on function postern.merge_users(text, text, text) is
'Makes one account of two that belong to one person, and returns the id of the one that is kept. Rows of your tables that refer to the removed user refer to the kept one afterwards; postern.merge_users_plan shows which. Identities at providers move with the tokens that are kept for them, and whoever signed in with one gets into the kept account from then on: be sure that both belong to one person. Address and number of the kept user stay; where it has none, a confirmed one of the removed user takes the place, with its identity. Of metadata, members that the kept user lacks are filled in, but for claims about address and number. Password, second factors, passkeys, sessions (reason user_deleted), codes, links and consents of the removed user go, those of the kept user stay, as do role and ban.
keep, remove: a user''s id, e-mail address, or phone number with a leading +.
on_conflict: what becomes of rows of the removed user that collide with one of the kept user in a unique index: refuse (the default), or keep, which drops them; rows that refer to them by something else than the user''s id go as their foreign keys say.
Errors: user_not_found (PT404); validation_failed (PT400); merge_refused (PT409) where rows collide, a foreign key or a missing right is in the way, the kept user is deleted, the removed one is locked, only the removed one is an SSO account, or their audiences differ; then nothing has changed.
Example: select postern.merge_users(keep => ''ann@example.com'', remove => ''ann@old.example.com'');
Example: select postern.merge_users(d.keep::text, d.remove::text, on_conflict => ''keep'') from duplicates d;';

-- Whether two accounts can be one. Raises: validation_failed (400), merge_refused (409).
create or replace function postern_internal.check_merge(p_keep auth.users, p_remove auth.users, p_on_conflict text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_refusal text := case
    when p_keep.deleted_at is not null then 'The user to keep is deleted'
    when p_remove.is_sso_user and not p_keep.is_sso_user then 'An SSO account can only be removed for another one: keep it'
    when exists (select from postern.locked_users as l where l.user_id = p_remove.id)
      then 'The user to remove is locked, and whoever got in would get into the other account: postern.unlock_user() first'
    when p_keep.aud <> p_remove.aud then 'The users belong to different audiences'
  end;
begin
  if p_keep.id = p_remove.id then
    perform postern_internal.fail(400, 'validation_failed', 'Two users are needed, and both are the same');
  elsif coalesce(p_on_conflict not in ('refuse', 'keep'), true) then
    perform postern_internal.fail(400, 'validation_failed', 'on_conflict is refuse or keep');
  elsif v_refusal is not null then
    perform postern_internal.fail(409, 'merge_refused', v_refusal);
  end if;
end;
$$;

-- Lets rows of the application refer to the kept user. All in one statement: foreign keys are checked at its end, so it does
-- not matter which rows come first. The plan is made once the rows are locked.
-- Raises: merge_refused (409), before anything is changed.
create or replace function postern_internal.move_rows(p_keep auth.users, p_remove auth.users, p_on_conflict text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_row record;
  v_denied text[];
  v_blocking text[];
  v_colliding text[];
  v_tables oid[] := array[]::oid[]; -- of the rows that collide
  v_rows tid[] := array[]::tid[];
  v_steps text[];
begin
  perform postern_internal.lock_moving_rows(p_remove.id);
  for v_row in
    select p.*, p.relation::regclass::text as name from postern_internal.plan_merge(p_keep, p_remove) as p
    where p.relation <> 'auth.identities'::regclass
  loop
    if v_row.effect = 'denied' then
      v_denied := v_denied || v_row.name;
    elsif v_row.effect = 'blocks' and v_row.row_count > 0 then
      v_blocking := v_blocking || v_row.name;
    elsif v_row.effect = 'moves' and v_row.row_count > 0 then
      v_steps := v_steps || postern_internal.steps_to_move(v_row.relation, v_row.column_names);
      v_tables := v_tables || v_row.colliding_tables;
      v_rows := v_rows || v_row.colliding_rows;
      v_colliding := v_colliding || case when cardinality(v_row.colliding_rows) > 0 then v_row.name end;
    end if;
  end loop;
  perform postern_internal.refuse_merge('The owner of schema auth may not change all rows of %s', v_denied);
  if p_on_conflict = 'refuse' then
    perform postern_internal.refuse_merge(
      'Rows of both users collide in %s; on_conflict => ''keep'' drops those of the removed user', v_colliding);
  end if;
  perform postern_internal.refuse_merge('Rows of %s hold on to rows that would go', v_blocking);
  if v_steps is not null then
    execute (
      select 'with ' || string_agg(format('s%s as (%s)', n, step), ', ' order by n) || ' select'
      from unnest(v_steps) with ordinality as s (step, n))
    using p_remove.id, p_keep.id, v_tables, v_rows;
  end if;
end;
$$;

-- Raises merge_refused (409), if there are tables to name.
create or replace function postern_internal.refuse_merge(p_message text, p_tables text[])
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_tables text := (select string_agg(distinct t, ', ') from unnest(p_tables) as t);
begin
  if v_tables is not null then
    perform postern_internal.fail(
      409, 'merge_refused', format(p_message, v_tables) || '. See postern.merge_users_plan');
  end if;
end;
$$;

-- Locks the rows that move, as far as this role may: nobody can add rows then that refer to them.
create or replace function postern_internal.lock_moving_rows(p_remove uuid)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_table record;
begin
  for v_table in
    select t.relation, t.columns from postern_internal.tables_that_move() as t
    where postern_internal.may_move(t.relation, t.columns)
  loop
    execute format('select from %s as c where %s for update',
      postern_internal.table_source(v_table.relation), postern_internal.holds_id(v_table.columns, '$1'))
    using p_remove;
  end loop;
end;
$$;

-- What happens to one table, as parts of a statement ($1: removed, $2: kept user, $3 and $4: rows that collide): those go,
-- the others get the new id.
create or replace function postern_internal.steps_to_move(p_relation oid, p_columns text[])
returns text[]
language sql stable security invoker set search_path = ''
as $$
  select array[
    format('delete from %s as c using unnest($3, $4) as r (o, t) where c.tableoid = r.o and c.ctid = r.t', s.source),
    format('update %s as c set %s where (%s) and not exists '
        || '(select from unnest($3, $4) as r (o, t) where c.tableoid = r.o and c.ctid = r.t)',
      s.source, (
        select string_agg(format('%1$I = case when c.%1$I = $1 then $2 else c.%1$I end', c), ', ')
        from unnest(p_columns) as c),
      postern_internal.holds_id(p_columns, '$1'))]
  from postern_internal.table_source(p_relation) as s (source)
$$;

-- Whether the kept user gets the address, or the number, of the removed one: it has none, and that one was confirmed.
create or replace function postern_internal.takes_email(p_keep auth.users, p_remove auth.users)
returns boolean
language sql immutable security invoker
as $$
  select coalesce(p_keep.email, '') = '' and coalesce(p_remove.email, '') <> '' and not p_keep.is_sso_user
    and p_remove.email_confirmed_at is not null and p_remove.deleted_at is null
$$;

create or replace function postern_internal.takes_phone(p_keep auth.users, p_remove auth.users)
returns boolean
language sql immutable security invoker
as $$
  select coalesce(p_keep.phone, '') = '' and coalesce(p_remove.phone, '') <> '' and not p_keep.is_sso_user
    and p_remove.phone_confirmed_at is not null and p_remove.deleted_at is null
$$;

-- Whether an identity of the removed user moves: those of address and number where these do, those at providers always. An
-- SSO account gets no other way in. Of a deleted user nothing is left but hashes.
create or replace function postern_internal.identity_moves(
  p_identity auth.identities,
  p_keep auth.users,
  p_remove auth.users,
  p_context jsonb
)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if p_remove.deleted_at is not null
    or p_keep.is_sso_user and postern_internal.linking_domain(p_identity.provider, p_context) = 'default'
  then
    return false;
  elsif p_identity.provider not in ('email', 'phone') then
    return true;
  end if;
  return case p_identity.provider
      when 'email' then postern_internal.takes_email(p_keep, p_remove)
      else postern_internal.takes_phone(p_keep, p_remove)
    end
    and not exists (
      select from auth.identities as i where i.user_id = p_keep.id and i.provider = p_identity.provider);
end;
$$;

-- Writes: identities, provider_tokens, events, outbox.
create or replace function postern_internal.move_identities(p_keep auth.users, p_remove auth.users, p_context jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_identity auth.identities;
begin
  for v_identity in
    select i.* from auth.identities as i
    where i.user_id = p_remove.id and postern_internal.identity_moves(i, p_keep, p_remove, p_context)
    order by i.created_at, i.id
  loop
    update auth.identities as i
    set user_id = p_keep.id, updated_at = postern_internal.clock()
    where i.id = v_identity.id;
    update auth.identities as i -- those of address and number are named by their user
    set provider_id = p_keep.id::text, identity_data = i.identity_data || jsonb_build_object('sub', p_keep.id)
    where i.id = v_identity.id and i.provider in ('email', 'phone');
    update postern.provider_tokens as t set user_id = p_keep.id where t.identity_id = v_identity.id;
    perform postern_internal.record_event('identity.created', p_keep.id, p_context,
      jsonb_build_object('provider', v_identity.provider, 'reason', 'merged'));
    if v_identity.provider not in ('email', 'phone') then
      perform postern_internal.notify_user('identity_linked', p_keep, p_context,
        jsonb_build_object('provider', v_identity.provider));
    end if;
  end loop;
end;
$$;

-- Gives the kept user what it lacks, once the other one is gone. Writes: users.
create or replace function postern_internal.take_over(p_keep auth.users, p_remove auth.users)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_takes_email boolean := postern_internal.takes_email(p_keep, p_remove);
  v_takes_phone boolean := postern_internal.takes_phone(p_keep, p_remove);
begin
  update auth.users as u
  set email = case when v_takes_email then p_remove.email else u.email end,
    email_confirmed_at = case when v_takes_email then p_remove.email_confirmed_at else u.email_confirmed_at end,
    phone = case when v_takes_phone then p_remove.phone else u.phone end,
    phone_confirmed_at = case when v_takes_phone then p_remove.phone_confirmed_at else u.phone_confirmed_at end,
    raw_user_meta_data = postern_internal.read_metadata(p_remove.raw_user_meta_data)
      - array['sub', 'iss', 'provider_id', 'email', 'email_verified', 'phone', 'phone_verified']
      || postern_internal.read_metadata(u.raw_user_meta_data)
      || case when v_takes_email then '{"email_verified": true}'::jsonb else '{}' end,
    raw_app_meta_data = postern_internal.read_metadata(p_remove.raw_app_meta_data) - array['provider', 'providers']
      || postern_internal.read_metadata(u.raw_app_meta_data),
    is_anonymous = u.is_anonymous and not (
      v_takes_email or v_takes_phone or exists (select from auth.identities as i where i.user_id = u.id)),
    updated_at = postern_internal.clock()
  where u.id = p_keep.id;
  perform postern_internal.recompute_providers(p_keep.id);
  return postern_internal.lock_user(p_keep.id);
end;
$$;
