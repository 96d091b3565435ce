-- What a right code changes (spec/03 section 5, success): the factor counts as verified, the session is aal2 with new
-- tokens, sessions below aal2 end. Returns the grant. The caller holds the user's lock.
-- Raises: session_not_found (403). Locks: the session, then those that end.
create or replace function postern_internal.accept_factor(
  p_user auth.users,
  p_factor auth.mfa_factors,
  p_challenge_id uuid,
  p_session_id uuid,
  p_context jsonb
)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_session auth.sessions;
  v_method text := postern_internal.factor_method(p_factor.factor_type);
  v_token text;
  v_issued jsonb;
begin
  select s.* into v_session from auth.sessions as s where s.id = p_session_id and s.user_id = p_user.id
  for no key update;
  if v_session.id is null then
    perform postern_internal.fail(
      403, 'session_not_found', 'Session from session_id claim in JWT does not exist');
  end if;
  perform postern_internal.audit_user('verification_attempted', p_user, p_context, jsonb_build_object(
    'factor_id', p_factor.id, 'challenge_id', p_challenge_id, 'factor_type', p_factor.factor_type));
  delete from postern.challenge_guesses as g where g.challenge_id = p_challenge_id;
  if p_factor.status = 'unverified' then
    perform postern_internal.mark_factor_verified(p_user, p_factor, p_context);
  end if;
  insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
  values (gen_random_uuid(), p_session_id, postern_internal.clock(), postern_internal.clock(), v_method)
  on conflict on constraint mfa_amr_claims_session_id_authentication_method_pkey
    do update set updated_at = excluded.updated_at;
  v_token := postern_internal.swap_refresh_token(p_user, v_session, p_context);
  update auth.sessions as s
  set aal = 'aal2', factor_id = p_factor.id, updated_at = postern_internal.clock()
  where s.id = p_session_id
  returning s.* into v_session;
  perform postern_internal.end_sessions(p_user.id, 'mfa', p_context, p_only => low.id)
  from (select s.id from auth.sessions as s where s.user_id = p_user.id and s.aal < 'aal2' order by s.id) as low;
  perform postern_internal.record_event('session.upgraded', p_user.id, p_context,
    jsonb_build_object('method', v_method, 'factor_id', p_factor.id), p_session_id);
  -- the user object still lists the attempts that go next, as in the reference
  v_issued := postern_internal.session_grant(p_user, v_session, v_token, v_method, p_context);
  delete from auth.mfa_factors as f
  where f.user_id = p_user.id and f.factor_type = p_factor.factor_type and f.status = 'unverified';
  return v_issued;
end;
$$;

-- The first right code completes the enrolment.
create or replace function postern_internal.mark_factor_verified(
  p_user auth.users,
  p_factor auth.mfa_factors,
  p_context jsonb
)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update auth.mfa_factors as f set status = 'verified', updated_at = postern_internal.clock()
  where f.id = p_factor.id;
  perform postern_internal.record_event('factor.verified', p_user.id, p_context,
    jsonb_build_object('factor_id', p_factor.id, 'factor_type', p_factor.factor_type));
  perform postern_internal.notify_user('mfa_factor_enrolled', p_user, p_context,
    jsonb_build_object('factor_type', p_factor.factor_type));
end;
$$;

-- A new refresh token for a session that reached aal2. Older ones are no longer the previous one of anything, so that
-- none of them leads to aal2 (spec/01 section 5.5); session_upgrades keeps the reuse interval from excusing them.
-- Raises: as session_key. The caller holds the locks of user and session. Writes: refresh_tokens and audit (format 1) or sessions (format 2);
-- session_upgrades.
create or replace function postern_internal.swap_refresh_token(
  p_user auth.users,
  p_session auth.sessions,
  p_context jsonb
)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_now timestamptz := postern_internal.clock();
  v_token text;
  v_id bigint;
begin
  if p_session.refresh_token_hmac_key is not null and p_session.refresh_token_counter is not null then
    p_session.refresh_token_counter := p_session.refresh_token_counter + 2;
    update auth.sessions as s set refresh_token_counter = p_session.refresh_token_counter where s.id = p_session.id;
    v_token := postern_internal.refresh_token_v2(
      p_session.id, p_session.refresh_token_counter, postern_internal.session_key(p_session, p_context));
  else
    update auth.refresh_tokens as t set revoked = true, updated_at = v_now
    where t.session_id = p_session.id and t.revoked is not true;
    v_token := postern_internal.random_refresh_token();
    insert into auth.refresh_tokens (instance_id, token, user_id, session_id, revoked, created_at, updated_at)
    values (postern_internal.nil_uuid(), v_token, p_user.id::text, p_session.id, false, v_now, v_now)
    returning id into v_id;
    perform postern_internal.audit_user('token_revoked', p_user, p_context);
  end if;
  insert into postern.session_upgrades (session_id, user_id, first_token_id, first_counter, upgraded_at)
  values (p_session.id, p_user.id, v_id, p_session.refresh_token_counter, v_now)
  on conflict (session_id) do update set first_token_id = excluded.first_token_id,
    first_counter = excluded.first_counter, upgraded_at = excluded.upgraded_at;
  return v_token;
end;
$$;
