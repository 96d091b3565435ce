-- Tells the mfa-verification hook of a try with a code (spec/07 section 2.5). Returns its rejection as failure:
-- mfa_verification_rejected (403), after which all sessions of the user are gone.
-- Raises: as run_hook. Writes: sessions, session_ends, events.
create or replace function postern_internal.verify_factor_attempt(
  p_factor auth.mfa_factors,
  p_is_valid boolean,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_output jsonb;
begin
  v_output := postern_internal.run_hook('mfa-verification', null, jsonb_build_object(
    'user_id', p_factor.user_id, 'factor_id', p_factor.id, 'factor_type', p_factor.factor_type,
    'valid', p_is_valid), p_context);
  if v_output ->> 'decision' is distinct from 'reject' then
    return null;
  end if;
  perform postern_internal.end_sessions(p_factor.user_id, 'hook', p_context || '{"actor": "hook"}');
  return postern_internal.failure(403, 'mfa_verification_rejected', coalesce(nullif(v_output ->> 'message', ''),
    'Further MFA verification attempts will be rejected.'));
end;
$$;
