-- name: BeginOauth :one
select postern_internal.begin_oauth(
  p_provider => @provider, p_code_challenge => @code_challenge, p_code_challenge_method => @code_challenge_method,
  p_invite_token => @invite_token, p_is_email_optional => @is_email_optional, p_context => @context)::uuid as state;

-- name: ResumeOauth :one
select provider::text as provider, referrer::text as referrer, is_email_optional::boolean as is_email_optional
from postern_internal.resume_oauth(p_state => @state, p_context => @context);

-- name: FinishOauth :one
select issued, auth_code, failure from postern_internal.finish_oauth(
  p_state => @state, p_identity => @identity, p_context => @context);

-- name: BeginLinking :one
select postern_internal.begin_linking(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_provider => @provider,
  p_code_challenge => @code_challenge, p_code_challenge_method => @code_challenge_method,
  p_is_email_optional => @is_email_optional, p_context => @context)::uuid as state;

-- name: UnlinkIdentity :exec
select postern_internal.unlink_identity(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_identity_id => @identity_id, p_context => @context);
