-- name: EnrollFactor :one
select postern_internal.enroll_factor(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_factor => @factor, p_refusal => sqlc.narg(refusal),
  p_context => @context)::text as email;

-- name: ChallengeFactor :one
select postern_internal.challenge_factor(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_factor_id => @factor_id, p_challenge => @challenge,
  p_refusal => sqlc.narg(refusal), p_context => @context)::jsonb as challenge;

-- name: PrepareFactorVerification :one
select factor_type::text as factor_type, secret::text as secret, checked_at::timestamptz as checked_at, failure
from postern_internal.prepare_factor_verification(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_factor_id => @factor_id,
  p_challenge_id => @challenge_id, p_has_code => @has_code, p_refusal => sqlc.narg(refusal), p_context => @context);

-- name: VerifyFactor :one
select issued, failure from postern_internal.verify_factor(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_factor_id => @factor_id,
  p_challenge_id => @challenge_id, p_code => @code, p_matched => sqlc.narg(matched), p_step => sqlc.narg(step),
  p_resealed => sqlc.narg(resealed), p_context => @context);

-- name: UnenrollFactor :one
select postern_internal.unenroll_factor(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_factor_id => @factor_id,
  p_context => @context)::jsonb as factor;
