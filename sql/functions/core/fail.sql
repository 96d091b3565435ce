-- Ends the call with a wire error that leaves no trace.
-- Raises: SQLSTATE PT<status>, MESSAGE = wire message, DETAIL = wire error_code, HINT = further members of
-- the body as JSON (retry_after, seconds, becomes a header). SCHEMA marks the error as ours: a user's own trigger may
-- raise PTnnn, too.
create or replace function postern_internal.fail(
  p_status int,
  p_code text,
  p_message text,
  p_extra jsonb default null
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT' || p_status,
    message = p_message,
    detail = p_code,
    hint = coalesce(p_extra::text, ''),
    schema = 'postern_internal';
end;
$$;

-- The same error as a value, for refusals that must commit what they wrote (OUT column failure).
create or replace function postern_internal.failure(p_status int, p_code text, p_message text)
returns jsonb
language sql stable security invoker
as $$
  select jsonb_build_object('status', p_status, 'code', p_code, 'message', p_message)
$$;
