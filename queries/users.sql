-- name: GetUser :one
select postern_internal.get_user(p_user_id => @user_id, p_session_id => sqlc.narg(session_id))::jsonb as account;

-- name: SignUp :one
select issued, account, failure from postern_internal.sign_up(
  p_email => @email, p_password_hash => @password_hash, p_data => @data, p_code_challenge => @code_challenge,
  p_code_challenge_method => @code_challenge_method, p_context => @context);

-- name: SignUpByPhone :one
select issued, account, failure from postern_internal.sign_up_by_phone(
  p_phone => @phone, p_password_hash => @password_hash, p_data => @data, p_channel => @channel,
  p_context => @context);

-- name: PreparePasswordChange :one
select
  coalesce(password_hash, '')::text as password_hash, coalesce(needs_current_password, false) as needs_current_password,
  failure
from postern_internal.prepare_password_change(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_changes => @changes, p_context => @context);

-- name: UpdateUser :one
select postern_internal.update_user(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_changes => @changes,
  p_old_hash => sqlc.narg(old_hash), p_password_hash => sqlc.narg(password_hash),
  p_context => @context)::jsonb as account;

-- name: PublishSettings :exec
select postern_internal.publish_settings(p_settings => @settings);

-- name: SignUpAnonymously :one
select postern_internal.sign_up_anonymously(p_data => @data, p_context => @context)::jsonb as issued;

-- name: DeleteOwnUser :one
select failure from postern_internal.delete_own_user(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_nonce => @nonce, p_is_soft => @is_soft,
  p_proof_within => @proof_within, p_context => @context);
