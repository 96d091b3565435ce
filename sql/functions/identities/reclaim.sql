-- Against accounts that were prepared for somebody else (pre-hijacking): what an account loses when the owner of its address
-- comes, which nobody had confirmed. The two functions are called one after the other; the caller holds the user's lock.

-- Takes the password and all identities but this one, and writes user_metadata anew (spec/02 section 6, step 3a).
-- Writes: users, identities, provider_tokens, password_demands, events.
create or replace function postern_internal.drop_unproved(
  p_user auth.users,
  p_provider text,
  p_identity jsonb,
  p_context jsonb
)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_provider text;
begin
  for v_provider in
    delete from auth.identities
    where user_id = p_user.id and not (provider = p_provider and provider_id = p_identity ->> 'sub')
    returning provider
  loop
    perform postern_internal.record_event('identity.deleted', p_user.id, p_context,
      jsonb_build_object('provider', v_provider, 'reason', 'reclaimed'));
  end loop;
  delete from postern.provider_tokens as t
  where t.user_id = p_user.id and not exists (select from auth.identities as i where i.id = t.identity_id);
  delete from postern.password_demands as d where d.user_id = p_user.id;
  update auth.users
  set encrypted_password = null, raw_user_meta_data = postern_internal.external_data(p_identity)
  where id = p_user.id;
  perform postern_internal.recompute_providers(p_user.id);
  return postern_internal.lock_user(p_user.id);
end;
$$;

-- Takes every other way in or back: sessions with their refresh tokens, the phone number, codes and links that were sent,
-- changes that wait, second factors, passkeys, flows that have begun, and what OAuth clients were allowed.
-- Only for an address that is proved now: without proof nobody may take these from somebody.
-- Writes: sessions, session_ends, users, one_time_tokens, mfa_factors, webauthn_credentials, flow_state and more; events.
create or replace function postern_internal.reclaim_account(p_user auth.users, p_context jsonb)
returns auth.users
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_factor auth.mfa_factors;
begin
  perform postern_internal.end_sessions(p_user.id, 'reclaimed', p_context);
  for v_factor in delete from auth.mfa_factors as f where f.user_id = p_user.id returning f.* loop
    perform postern_internal.record_event('factor.deleted', p_user.id, p_context, jsonb_build_object(
      'factor_id', v_factor.id, 'factor_type', v_factor.factor_type, 'reason', 'reclaimed'));
  end loop;
  delete from auth.one_time_tokens as t where t.user_id = p_user.id;
  delete from auth.webauthn_credentials as c where c.user_id = p_user.id;
  delete from auth.webauthn_challenges as c where c.user_id = p_user.id;
  delete from auth.oauth_authorizations as a where a.user_id = p_user.id;
  delete from auth.oauth_consents as c where c.user_id = p_user.id;
  perform postern_internal.end_flows(p_user.id);
  update auth.users as u
  set phone = null, phone_confirmed_at = null, confirmation_token = '', recovery_token = '',
    email_change = '', email_change_token_new = '', email_change_token_current = '', email_change_confirm_status = 0,
    phone_change = '', phone_change_token = '', reauthentication_token = '', updated_at = postern_internal.clock()
  where u.id = p_user.id
  returning u.* into p_user;
  perform postern_internal.record_event('user.reclaimed', p_user.id, p_context);
  return p_user;
end;
$$;
