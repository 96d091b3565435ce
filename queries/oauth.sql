-- name: BeginOauth :exec
select postern_internal.begin_oauth(p_flow => @flow, p_context => @context);

-- name: ResumeOauth :one
select
  provider::text as provider, referrer::text as referrer, is_email_optional::boolean as is_email_optional,
  secret::text as secret, failure
from postern_internal.resume_oauth(p_state => @state, p_has_code => @has_code, p_context => @context);

-- name: FinishOauth :one
select issued, auth_code, failure from postern_internal.finish_oauth(
  p_state => @state, p_identity => @identity, p_context => @context);

-- name: BeginLinking :exec
select postern_internal.begin_linking(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_flow => @flow, p_context => @context);

-- name: UnlinkIdentity :exec
select postern_internal.unlink_identity(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_identity_id => @identity_id, p_context => @context);
