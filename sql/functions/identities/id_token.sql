-- Sign-in with an ID token that a client got from a provider by itself (spec/02 section 12).

-- POST /token?grant_type=id_token, once the token was verified: signs in whom it names, or adds the identity to the account
-- of a signed-in user. p_identity: as sign_in_externally; p_provider is the issuer's URL where no provider is configured
-- for it.
-- Raises: over_request_rate_limit (429); for a signed-in user as authenticate; as sign_in_externally.
-- Returns as failure: as sign_in_externally. Locks: the user. Writes: limits, and what sign_in_externally and issue_session
-- write.
create or replace function postern_internal.sign_in_with_id_token(
  p_provider text,
  p_identity jsonb,
  p_is_email_optional boolean,
  p_context jsonb,
  p_linking_user_id uuid default null,
  p_linking_session_id uuid default null, -- of that user's access token; null for one without a session
  out issued jsonb,
  out failure jsonb
)
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_visit record;
begin
  perform postern_internal.take_limits(p_context);
  if p_linking_user_id is not null then
    perform postern_internal.authenticate(p_linking_user_id, p_linking_session_id, p_lock => true);
  end if;
  v_visit := postern_internal.sign_in_externally(p_provider, p_identity, p_context,
    p_is_email_optional => p_is_email_optional, p_linking_target_id => p_linking_user_id);
  failure := v_visit.failure;
  if failure is not null then
    return;
  end if;
  issued := postern_internal.issue_session(v_visit.account_id, 'oauth', p_context);
  if issued #>> '{user,confirmed_at}' = postern_internal.rfc3339(postern_internal.clock()) then
    issued := issued #- '{user,confirmed_at}'; -- of this very request: the reply does not have it (spec/00 section 7)
  end if;
end;
$$;
