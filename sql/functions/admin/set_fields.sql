-- What else an administrator changes in an account, as PUT /admin/users/{id} does (update_user.sql).

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.set_user_metadata(who text, metadata jsonb)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform postern_internal.check_metadata(metadata);
  return (postern_internal.change_by_sql(who, jsonb_build_object('user_metadata', metadata))).raw_user_meta_data;
end;
$$;
comment on function postern.set_user_metadata(text, jsonb) is
'Merges an object into a user''s user_metadata and returns the result. Each member replaces the one of that name; null deletes it. Users change it themselves: nothing that grants a right belongs here.
who: the user''s id, e-mail address, or phone number with a leading +.
metadata: a JSON object.
Errors: user_not_found (PT404), validation_failed (PT400).
Example: select postern.set_user_metadata(''ann@example.com'', ''{"full_name": "Ann Lee", "nickname": null}'');';

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.set_role(who text, role text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if coalesce(btrim(role), '') = '' then
    perform postern_internal.fail(400, 'validation_failed', 'A role is required');
  end if;
  return (postern_internal.change_by_sql(who, jsonb_build_object('role', role))).id;
end;
$$;
comment on function postern.set_role(text, text) is
'Sets the role of a user in tokens and returns the user''s id. Tokens show it after their next refresh. PostgREST runs requests as the database role of that name, which has to be granted to its own.
who: the user''s id, e-mail address, or phone number with a leading +.
role: the role; the admin endpoints of HTTP obey those of GOTRUE_JWT_ADMIN_ROLES.
Errors: user_not_found (PT404), validation_failed (PT400).
Example: select postern.set_role(''ann@example.com'', ''editor'');';

-- See the comment on the function. Raises and writes: as change_by_sql and the checks of check_input.sql.
create or replace function postern.update_user(
  who text,
  email text default null,
  password text default null,
  phone text default null,
  password_hash text default null,
  email_confirm boolean default false,
  phone_confirm boolean default false,
  user_metadata jsonb default '{}',
  app_metadata jsonb default '{}',
  role text default null,
  ban_duration interval default null
)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_changes jsonb := jsonb_build_object(
    'email', postern_internal.check_email(email), 'phone', postern_internal.check_phone(phone), 'role', role,
    'email_confirm', email_confirm, 'phone_confirm', phone_confirm,
    'user_metadata', coalesce(user_metadata, '{}'), 'app_metadata', coalesce(app_metadata, '{}'));
  v_hash text;
begin
  perform postern_internal.check_metadata(v_changes -> 'user_metadata');
  perform postern_internal.check_metadata(v_changes -> 'app_metadata');
  if ban_duration is not null then
    v_changes := v_changes || jsonb_build_object('ban_seconds', postern_internal.ban_seconds(ban_duration));
  end if;
  if password is not null and password_hash is not null then
    perform postern_internal.fail(
      400, 'validation_failed', 'Only a password or a password hash should be provided');
  elsif password is not null then
    v_hash := postern_internal.hash_password(password);
  elsif password_hash is not null then
    v_hash := postern_internal.check_password_hash(password_hash);
  end if;
  return (postern_internal.change_by_sql(who, v_changes, v_hash)).id;
end;
$$;
comment on function postern.update_user(
  text, text, text, text, text, boolean, boolean, jsonb, jsonb, text, interval) is
'Changes several things of a user at once and returns the user''s id, like PUT /admin/users/{id}: one audit entry. What is left out stays as it is. No mail is sent.
who: the user''s id, e-mail address, or phone number with a leading +.
email, phone: the new address or number. phone may begin with + and hold spaces.
password: hashed with bcrypt by the extension pgcrypto; or password_hash: one of the forms that docs/passwords.md lists. All sessions of the user end.
email_confirm, phone_confirm: true marks the address or number as confirmed.
user_metadata, app_metadata: JSON objects, merged into what is there; null as a value deletes a member.
role: role in tokens.
ban_duration: how long the user is banned from now on; postern.unban_user() lifts a ban.
Errors: user_not_found (PT404), validation_failed (PT400), feature_disabled (PT422) without pgcrypto; unique_violation (23505) where somebody has the address or number.
Example: select postern.update_user(''ann@example.com'', email => ''ann.lee@example.com'', email_confirm => true, app_metadata => ''{"plan": "gold"}'');';

-- See the comment on the function. Raises and writes: as change_by_sql.
create or replace function postern.clear_password(who text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return (postern_internal.change_by_sql(who, '{}', '')).id;
end;
$$;
comment on function postern.clear_password(text) is
'Takes the password from a user, ends all sessions of the user and returns the user''s id. Codes and links mailed before stop working. The user comes back by a new link, a code or a provider, and can set a password then.
who: the user''s id, e-mail address, or phone number with a leading +.
Errors: user_not_found (PT404).
Example: select postern.clear_password(''ann@example.com'');';
