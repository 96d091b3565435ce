-- DELETE /user, where POSTERN_USER_DELETION lets users delete their account. A stolen session is not enough: it takes
-- a proof of the last p_proof_within seconds, which is a sign-in or a second factor of this session, or the code of GET
-- /reauthenticate. Anonymous users have nothing to prove with but the session.
-- Raises: as authenticate; insufficient_aal (401) for a user with a second factor that the session has not seen;
--   reauthentication_needed (400); as redeem_nonce; foreign_key_violation where an application's table holds on to the user.
-- Returns as failure, because it was counted: as redeem_nonce.
-- Locks: the user for deletion, then sessions. Writes: as remove_account and redeem_nonce.
create or replace function postern_internal.delete_own_user(
  p_user_id uuid,
  p_session_id uuid,
  p_nonce text,             -- '' for none
  p_is_soft boolean,
  p_proof_within float8,    -- seconds
  p_context jsonb,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_user auth.users;
begin
  perform from auth.users as u where u.id = p_user_id for update; -- at once the lock that it takes, see need_user
  v_user := postern_internal.authenticate(p_user_id, p_session_id);
  perform postern_internal.take_limits(p_context);
  if postern_internal.lacks_second_factor(v_user.id, p_session_id) then
    perform postern_internal.fail(
      401, 'insufficient_aal', 'AAL2 session is required to delete the account when MFA is enabled.');
  end if;
  if not v_user.is_anonymous and not postern_internal.has_recent_proof(p_session_id, p_proof_within) then
    if p_nonce = '' then
      perform postern_internal.fail(
        400, 'reauthentication_needed', 'Deleting the account requires a recent sign-in or reauthentication');
    end if;
    failure := postern_internal.redeem_nonce(v_user, p_nonce, p_context);
    if failure is not null or postern_internal.is_asking() then
      return;
    end if;
  end if;
  perform postern_internal.remove_account(v_user, p_is_soft, p_context);
end;
$$;

-- Whether the session was opened, or lifted by a second factor, in the last p_within seconds: by anything but an
-- anonymous sign-in. A refresh is none.
create or replace function postern_internal.has_recent_proof(p_session_id uuid, p_within float8)
returns boolean
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return exists (
    select from auth.mfa_amr_claims as c
    where c.session_id = p_session_id
      and c.authentication_method <> 'anonymous'
      and c.updated_at > postern_internal.clock() - make_interval(secs => p_within));
end;
$$;
