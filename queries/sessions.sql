-- name: RefreshSession :one
select issued, failure from postern_internal.refresh_session(p_token => @token, p_context => @context);

-- name: LogOut :one
select ended::int as ended from postern_internal.log_out(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_scope => @scope, p_context => @context);

-- name: FindPasswordHash :one
select user_id, password_hash from postern_internal.find_password_hash(
  p_email => @email, p_phone => @phone, p_context => @context);

-- name: SignInWithPassword :one
select issued, failure from postern_internal.sign_in_with_password(
  p_user_id => sqlc.narg(user_id), p_matched_hash => sqlc.narg(matched_hash), p_provider => @provider,
  p_context => @context, p_new_hash => sqlc.narg(new_hash));

-- name: ExchangeCode :one
select postern_internal.exchange_code(
  p_auth_code => @auth_code, p_code_verifier => @code_verifier, p_context => @context)::jsonb as issued;

-- name: CheckAdminSession :exec
select postern_internal.check_admin_session(
  p_user_id => @user_id, p_session_id => @session_id, p_context => @context);

-- name: ChargeLimit :one
select postern_internal.charge_limit(p_limit => @limit_of_client)::float8 as wait;

-- name: ListOwnSessions :one
select postern_internal.list_own_sessions(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_context => @context)::jsonb as sessions;

-- name: EndOwnSession :one
select postern_internal.end_own_session(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_ended_id => @ended_id, p_context => @context)::int as ended;
