-- name: AdminCreateUser :one
select postern_internal.admin_create_user(
  p_account => @account, p_password_hash => sqlc.narg(password_hash), p_is_import => @is_import,
  p_refusal => sqlc.narg(refusal), p_context => @context)::jsonb as account;

-- name: AdminGetUser :one
select postern_internal.admin_get_user(p_user_id => @user_id)::jsonb as account;

-- name: AdminUpdateUser :one
select postern_internal.admin_update_user(
  p_user_id => @user_id, p_changes => @changes, p_password_hash => sqlc.narg(password_hash),
  p_refusal => sqlc.narg(refusal), p_context => @context)::jsonb as account;

-- name: AdminDeleteUser :exec
select postern_internal.admin_delete_user(
  p_user_id => @user_id, p_is_soft => @is_soft, p_refusal => sqlc.narg(refusal), p_context => @context);

-- name: ListUsers :one
select total::bigint, users::jsonb from postern_internal.list_users(
  p_filter => @filter, p_is_ascending => @is_ascending, p_offset => @skipped, p_limit => @max_rows, p_context => @context);

-- name: ListUsersAfter :one
select users::jsonb, next_created_at, next_id from postern_internal.list_users_after(
  p_filter => @filter, p_created_at => sqlc.narg(created_at), p_id => sqlc.narg(id), p_limit => @max_rows,
  p_context => @context);

-- name: Invite :one
select postern_internal.invite(p_email => @email, p_data => @data, p_context => @context)::jsonb as account;

-- name: GenerateLink :one
select postern_internal.generate_link(
  p_link => @link, p_password_hash => sqlc.narg(password_hash), p_refusal => sqlc.narg(refusal),
  p_context => @context)::jsonb as link;

-- name: ListAudit :one
select total::bigint, entries::json from postern_internal.list_audit(
  p_scope => @scope, p_text => @text, p_offset => @skipped, p_limit => @max_rows);

-- name: AdminListFactors :one
select postern_internal.admin_list_factors(p_user_id => @user_id)::jsonb as factors;

-- name: AdminUpdateFactor :one
select postern_internal.admin_update_factor(
  p_user_id => @user_id, p_factor_id => sqlc.narg(factor_id), p_changes => @changes,
  p_phone_refusal => sqlc.narg(phone_refusal), p_refusal => sqlc.narg(refusal), p_context => @context)::jsonb as factor;

-- name: AdminDeleteFactor :one
select postern_internal.admin_delete_factor(
  p_user_id => @user_id, p_factor_id => sqlc.narg(factor_id), p_refusal => sqlc.narg(refusal),
  p_context => @context)::jsonb as factor;

-- name: AdminListSessions :one
select postern_internal.admin_list_sessions(p_user_id => @user_id)::jsonb as sessions;

-- name: AdminSignOut :one
select postern_internal.admin_sign_out(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_context => @context)::int as ended;

-- name: LookUpUsers :one
select total::bigint, users::jsonb from postern_internal.look_up_users(
  p_email => sqlc.narg(email), p_phone => sqlc.narg(phone), p_context => @context);
