-- What the command line calls: schema postern, as any SQL client does. All parameters are text, so that they need no
-- preparation and work through a pooler.

-- name: SqlCreateUser :one
select postern.create_user(
  email => @email::text, phone => @phone::text, password_hash => sqlc.narg(password_hash)::text,
  email_confirm => cast(@email_confirm::text as boolean), phone_confirm => cast(@phone_confirm::text as boolean),
  user_metadata => cast(@user_metadata::text as jsonb), app_metadata => cast(@app_metadata::text as jsonb),
  role => sqlc.narg(role)::text)::text as id;

-- name: SqlGetUser :one
select postern.get_user(who => @who::text)::jsonb as account;

-- name: SqlFindUsers :many
select id::text, coalesce(email, '')::text as email, coalesce(phone, '')::text as phone, created_at, last_sign_in_at,
  confirmed_at, banned_until, deleted_at
from postern.find_users(query => @query::text, max_rows => cast(@max_rows::text as int));

-- name: SqlBanUser :one
select postern.ban_user(who => @who::text, duration => cast(@duration::text as interval))::timestamptz as banned_until;

-- name: SqlUnbanUser :exec
select postern.unban_user(who => @who::text);

-- name: SqlDeleteUser :exec
select postern.delete_user(who => @who::text, soft => cast(@is_soft::text as boolean));

-- name: SqlSetPasswordHash :exec
select postern.set_password_hash(who => @who::text, password_hash => @password_hash::text);

-- name: CreateUserByCommand :one
select postern_internal.create_user_by_command(
  p_email => @email::text, p_password_hash => @password_hash::text, p_role => @role::text, p_aud => @aud::text,
  p_is_confirmed => cast(@is_confirmed::text as boolean))::text as id;

-- name: DeleteUserByCommand :exec
select postern_internal.delete_user_by_command(p_who => @who::text, p_aud => @aud::text);

-- name: ListSealedValues :many
select v.id::text as id, v.stored::text as stored from postern_internal.list_sealed_values(
  p_column => @place::text, p_after => cast(nullif(@after::text, '') as uuid), p_limit => cast(@max_rows::text as int)) as v;

-- name: ReplaceSealedValues :one
select postern_internal.replace_sealed_values(
  p_column => @place::text, p_ids => cast(@ids::text[] as uuid[]), p_old => @old::text[], p_new => @new::text[])::int as replaced;

-- name: SqlLint :many
select rule::text, severity::text, object::text, what::text, fix::text from postern.lint();

-- name: SqlImportUsers :one
select created::bigint, updated::bigint, skipped::bigint, refused::bigint from postern.import_users(
  batch => @batch::text, update_existing => cast(@update_existing::text as boolean), silent => cast(@silent::text as boolean));

-- name: TakeRefusedUsers :many
with taken as (delete from postern.user_imports where batch = @batch::text returning line, outcome, code, message)
select line, coalesce(code, '')::text as code, coalesce(message, '')::text as message
from taken where outcome = 'refused' order by line;

-- name: SqlExportUsers :many
select d::text as document from postern.export_users(
  secrets => cast(@secrets::text as boolean), after => cast(nullif(@after::text, '') as uuid),
  max_rows => cast(@max_rows::text as bigint)) as d;
