-- DELETE /factors/{id} (spec/03 section 6). Sessions that the factor lifted to aal2 stay, at aal1.
-- Raises: as authenticate; mfa_factor_not_found (404), insufficient_aal (422).
-- Locks: user, sessions. Writes: as drop_factor; audit, events, outbox.
create or replace function postern_internal.unenroll_factor(
  p_user_id uuid,
  p_session_id uuid,
  p_factor_id uuid,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.authenticate(p_user_id, p_session_id, p_lock => true);
  v_factor auth.mfa_factors := postern_internal.find_factor(p_user_id, p_factor_id);
begin
  if v_factor.status = 'verified' and not postern_internal.is_aal2(p_session_id) then
    perform postern_internal.fail(422, 'insufficient_aal', 'AAL2 required to unenroll verified factor');
  end if;
  perform postern_internal.drop_factor(v_factor);
  perform postern_internal.audit_user('factor_unenrolled', v_user, p_context, jsonb_build_object(
    'factor_id', v_factor.id, 'factor_status', v_factor.status, 'session_id', p_session_id));
  perform postern_internal.record_event('factor.deleted', p_user_id, p_context,
    jsonb_build_object('factor_id', v_factor.id, 'factor_type', v_factor.factor_type), p_session_id);
  perform postern_internal.notify_user('mfa_factor_unenrolled', v_user, p_context,
    jsonb_build_object('factor_type', v_factor.factor_type));
  return jsonb_build_object('id', v_factor.id);
end;
$$;
