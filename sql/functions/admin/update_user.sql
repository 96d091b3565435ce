-- Changes an account as an administrator (spec/01 section 12.4). The caller holds the user's lock.
-- p_changes: role, email_confirm, phone_confirm, email, phone (checked for shape), user_metadata, app_metadata,
-- ban_seconds (JSON null lifts a ban); other members that are missing, null or '' change nothing.
-- Raises: unique_violation for a taken address or number, as the reference.
-- Writes: users, identities, one_time_tokens, flow_state, sessions, session_ends, audit, events.
create or replace function postern_internal.change_account(
  p_user auth.users,
  p_changes jsonb,
  p_password_hash text,     -- null: the password stays
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_email text := nullif(p_changes ->> 'email', '');
  v_phone text := nullif(p_changes ->> 'phone', '');
  v_email_confirm boolean := coalesce((p_changes ->> 'email_confirm')::boolean, false);
  v_phone_confirm boolean := coalesce((p_changes ->> 'phone_confirm')::boolean, false);
begin
  if v_email_confirm then
    perform postern_internal.confirm_email_address(p_user.id, p_context);
  end if;
  if v_phone_confirm then
    perform postern_internal.confirm_phone_number(p_user.id, p_context);
  end if;
  if p_password_hash is not null then
    perform postern_internal.replace_password(p_user.id, p_password_hash, p_context);
    perform postern_internal.end_flows(p_user.id);
  end if;
  if v_email is not null then
    perform postern_internal.put_email_identity(p_user.id, v_email, v_email_confirm, p_context);
    if lower(v_email) is distinct from p_user.email then
      perform postern_internal.record_event('user.email_changed', p_user.id, p_context);
    end if;
  end if;
  if v_phone is not null then
    perform postern_internal.put_phone_identity(p_user.id, v_phone, v_phone_confirm, p_context);
  end if;

  update auth.users as u
  set role = coalesce(nullif(btrim(p_changes ->> 'role'), ''), u.role),
    email = coalesce(lower(v_email), u.email),
    phone = coalesce(v_phone, u.phone),
    is_anonymous = u.is_anonymous
      and not (v_email is not null and v_email_confirm) and not (v_phone is not null and v_phone_confirm),
    raw_app_meta_data = postern_internal.merge_metadata(u.raw_app_meta_data, p_changes -> 'app_metadata'),
    raw_user_meta_data = postern_internal.merge_metadata(u.raw_user_meta_data, p_changes -> 'user_metadata'),
    updated_at = postern_internal.clock()
  where u.id = p_user.id
  returning u.* into p_user;
  if p_changes ? 'ban_seconds' then
    p_user := postern_internal.set_ban(p_user.id, (p_changes ->> 'ban_seconds')::float, p_context);
  end if;
  perform postern_internal.audit_admin(
    'user_modified', p_user, p_context, jsonb_build_object('user_phone', coalesce(p_user.phone, '')));
  perform postern_internal.record_event('user.updated', p_user.id, p_context);
  return p_user;
end;
$$;

-- Bans a user for so many seconds from now on; null lifts the ban. Sessions stay, but cannot be refreshed. A locked account
-- stays shut: the ban is what remains of it after unlock_user().
-- The caller holds the user's lock. Writes: users or locked_users, events.
create or replace function postern_internal.set_ban(p_user_id uuid, p_seconds float, p_context jsonb)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_until timestamptz := postern_internal.clock() + make_interval(secs => p_seconds);
  v_is_locked boolean;
  v_user auth.users;
begin
  update postern.locked_users as l set other_ban = v_until
  from auth.users as u
  where l.user_id = p_user_id and u.id = l.user_id and u.banned_until = l.banned_until;
  v_is_locked := found;
  update auth.users as u
  set banned_until = case when v_is_locked then u.banned_until else v_until end, updated_at = postern_internal.clock()
  where u.id = p_user_id
  returning u.* into v_user;
  perform postern_internal.record_event(
    case when v_until > postern_internal.clock() then 'user.banned' else 'user.unbanned' end, p_user_id, p_context,
    jsonb_strip_nulls(jsonb_build_object('until', postern_internal.rfc3339(v_until))));
  return v_user;
end;
$$;

-- PUT /admin/users/{id} as the handler calls it. The reply is the user object as the reference shows it: the account
-- as it is now, but confirmed_at and the identities that were there as they were before (spec/01 section 12.4).
-- Raises: user_not_found (404), p_refusal, and as change_account. Locks: the user. Writes: as change_account.
create or replace function postern_internal.admin_update_user(
  p_user_id uuid,
  p_changes jsonb,
  p_password_hash text,
  p_refusal jsonb,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.need_user(p_user_id);
  v_before jsonb := postern_internal.user_document(v_user);
  v_after jsonb;
begin
  perform postern_internal.refuse(p_refusal);
  v_user := postern_internal.change_account(v_user, p_changes, p_password_hash, p_context);
  v_after := postern_internal.user_document(v_user);
  return v_after - 'confirmed_at'
    || jsonb_strip_nulls(jsonb_build_object('confirmed_at', v_before -> 'confirmed_at'))
    || jsonb_build_object('identities', (
      select coalesce(jsonb_agg(coalesce(b.identity, a.identity) order by a.n), '[]')
      from jsonb_array_elements(v_after -> 'identities') with ordinality as a (identity, n)
      left join jsonb_array_elements(v_before -> 'identities') as b (identity)
        on b.identity -> 'identity_id' = a.identity -> 'identity_id'));
end;
$$;

-- One change of schema postern: finds, locks and changes a user.
create or replace function postern_internal.change_by_sql(
  p_who text,
  p_changes jsonb,
  p_password_hash text default null
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  return postern_internal.change_account(
    postern_internal.need_user((postern_internal.find_user(p_who)).id),
    p_changes, p_password_hash, postern_internal.context());
end;
$$;

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.confirm_email(who text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return (postern_internal.change_by_sql(who, '{"email_confirm": true}')).id;
end;
$$;
comment on function postern.confirm_email(text) is
'Marks the e-mail address of a user as confirmed and returns the user''s id. Codes and links mailed before stop working.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select postern.confirm_email(''ann@example.com'');';

-- See the comment on the function. Raises and writes: as hash_password and change_by_sql.
create or replace function postern.set_password(who text, password text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return (postern_internal.change_by_sql(who, '{}', postern_internal.hash_password(password))).id;
end;
$$;
comment on function postern.set_password(text, text) is
'Sets a user''s password, ends all sessions of the user and returns the user''s id. Codes and links mailed before stop working.
who: the user''s id, e-mail address, or phone number with a leading +.
password: 1 to 72 bytes; hashed with bcrypt by the extension pgcrypto. Rules for strength are not applied.
Errors: user_not_found (PT404), validation_failed (PT400), feature_disabled (PT422) without pgcrypto.
Example: select postern.set_password(''ann@example.com'', ''correct horse battery staple'');';

-- See the comment on the function. Raises and writes: as check_password_hash and change_by_sql.
create or replace function postern.set_password_hash(who text, password_hash text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return (postern_internal.change_by_sql(
    who, '{}', postern_internal.check_password_hash(coalesce(password_hash, '')))).id;
end;
$$;
comment on function postern.set_password_hash(text, text) is
'Sets a user''s password by its hash, ends all sessions of the user and returns the user''s id.
who: the user''s id, e-mail address, or phone number with a leading +.
password_hash: bcrypt, Argon2, Firebase scrypt, or one of the forms of imports that docs/passwords.md lists.
Errors: user_not_found (PT404), validation_failed (PT400).
Example: select postern.set_password_hash(u.email, o.hash) from old_users o join auth.users u using (email);';

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.set_app_metadata(who text, metadata jsonb)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform postern_internal.check_metadata(metadata);
  return (postern_internal.change_by_sql(who, jsonb_build_object('app_metadata', metadata))).raw_app_meta_data;
end;
$$;
comment on function postern.set_app_metadata(text, jsonb) is
'Merges an object into a user''s app_metadata and returns the result. Each member replaces the one of that name; null deletes it. Tokens show it after their next refresh.
who: the user''s id, e-mail address, or phone number with a leading +.
metadata: a JSON object.
Errors: user_not_found (PT404), validation_failed (PT400).
Example: select postern.set_app_metadata(''ann@example.com'', ''{"plan": "gold", "trial": null}'');';

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.ban_user(who text, duration interval default '100 years')
returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return (postern_internal.change_by_sql(
    who, jsonb_build_object('ban_seconds', postern_internal.ban_seconds(duration)))).banned_until;
end;
$$;
comment on function postern.ban_user(text, interval) is
'Bans a user and returns until when. A banned user cannot sign in or refresh; access tokens work until they expire, unless the server is asked, which refuses them at once.
who: the user''s id, e-mail address, or phone number with a leading +.
duration: how long, from now on; default: 100 years.
Errors: user_not_found (PT404), validation_failed (PT400).
Example: select postern.ban_user(''mallory@example.com'', ''7 days'');
Example: select email, postern.ban_user(id::text) from auth.users where email like ''%@spam.example'';';

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.unban_user(who text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return (postern_internal.change_by_sql(who, '{"ban_seconds": null}')).id;
end;
$$;
comment on function postern.unban_user(text) is
'Lifts the ban of a user and returns the user''s id.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select postern.unban_user(''mallory@example.com'');';
