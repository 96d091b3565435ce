-- Tells the password-verification hook of a try (spec/07 section 2.5). Returns its rejection as failure:
-- invalid_credentials (400). Raises: as run_hook. Writes: with should_logout_user sessions, session_ends, events.
create or replace function postern_internal.verify_password_attempt(
  p_user auth.users,        -- locked; null for a stranger
  p_matched_hash text,      -- null: the password was wrong
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_output jsonb;
begin
  if not (p_context -> 'hooks') ? 'password-verification'
    or coalesce(p_user.encrypted_password, '') = '' or postern_internal.is_banned(p_user)
  then
    return null;
  end if;
  v_output := postern_internal.run_hook('password-verification', null, jsonb_build_object(
    'user_id', p_user.id, 'valid', coalesce(p_user.encrypted_password = p_matched_hash, false)), p_context);
  if v_output ->> 'decision' is distinct from 'reject' then
    return null;
  end if;
  if (v_output ->> 'should_logout_user')::boolean then
    perform postern_internal.end_sessions(p_user.id, 'hook', p_context || '{"actor": "hook"}');
  end if;
  return postern_internal.failure(400, 'invalid_credentials', coalesce(nullif(v_output ->> 'message', ''),
    'Further password verification attempts will be rejected.'));
end;
$$;
