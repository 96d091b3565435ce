-- name: BeginOauth :exec
select postern_internal.begin_oauth(p_flow => @flow, p_context => @context);

-- name: ResumeOauth :one
select
  provider::text as provider, referrer::text as referrer, is_email_optional::boolean as is_email_optional,
  secret::text as secret, custom, failure
from postern_internal.resume_oauth(p_state => @state, p_has_code => @has_code, p_context => @context);

-- name: FinishOauth :one
select issued, auth_code, failure from postern_internal.finish_oauth(
  p_state => @state, p_identity => @identity, p_context => @context);

-- name: SignInWithIDToken :one
select issued, failure from postern_internal.sign_in_with_id_token(
  p_provider => @provider, p_identity => @identity, p_is_email_optional => @is_email_optional, p_context => @context,
  p_linking_user_id => sqlc.narg(linking_user_id), p_linking_session_id => sqlc.narg(linking_session_id));

-- name: BeginLinking :exec
select postern_internal.begin_linking(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_flow => @flow, p_context => @context);

-- name: UnlinkIdentity :exec
select postern_internal.unlink_identity(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_identity_id => @identity_id, p_context => @context);

-- name: ListProviderTokens :one
select postern_internal.list_provider_tokens(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id))::jsonb as tokens;

-- name: TakeProviderToken :one
select
  id::uuid as id, provider::text as provider, access_token::text as access_token, refresh_token::text as refresh_token,
  document::jsonb as document, is_due::boolean as is_due, is_busy::boolean as is_busy
from postern_internal.take_provider_token(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_identity_id => @identity_id);

-- name: ClaimDueProviderTokens :many
select id::uuid as id, provider::text as provider, refresh_token::text as refresh_token
from postern_internal.claim_due_provider_tokens(p_ahead => @ahead, p_limit => @max_rows);

-- name: FinishProviderRefresh :exec
select postern_internal.finish_provider_refresh(
  p_id => @id, p_used => @used, p_kept => sqlc.narg(kept), p_refusal => sqlc.narg(refusal));
