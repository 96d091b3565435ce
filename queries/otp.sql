-- name: SendMagicLink :exec
select postern_internal.send_magic_link(
  p_email => @email, p_create_user => @create_user, p_data => @data, p_code_challenge => @code_challenge,
  p_code_challenge_method => @code_challenge_method, p_context => @context);

-- name: Recover :exec
select postern_internal.recover(
  p_email => @email, p_code_challenge => @code_challenge, p_code_challenge_method => @code_challenge_method,
  p_context => @context);

-- name: SendSmsCode :one
select coalesce(postern_internal.send_sms_code(
  p_phone => @phone, p_create_user => @create_user, p_data => @data, p_channel => @channel,
  p_context => @context), '')::text as message_id;

-- name: Resend :one
select coalesce(postern_internal.resend(
  p_type => @type, p_email => @email, p_phone => @phone, p_code_challenge => @code_challenge,
  p_code_challenge_method => @code_challenge_method, p_context => @context), '')::text as message_id;

-- name: Reauthenticate :one
select coalesce(postern_internal.reauthenticate(
  p_user_id => @user_id, p_session_id => sqlc.narg(session_id), p_context => @context), '')::text as message_id;

-- name: VerifyOtp :one
select issued, auth_code, is_half_done::boolean, effective_type::text, began_on, failure from postern_internal.verify_otp(
  p_type => @type, p_token_hash => @token_hash, p_token => @token, p_email => @email, p_phone => @phone,
  p_gives_code => @gives_code, p_context => @context);

-- name: VerifyPhoneOtp :one
select issued, failure from postern_internal.verify_phone_otp(
  p_type => @type, p_phone => @phone, p_token => @token, p_context => @context);
