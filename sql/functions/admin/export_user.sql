-- Everything that is stored about a user, for the user (GDPR, articles 15 and 20): one document, named by schema and table.
-- Secrets and hashes are left out column by column; a test holds the document against the catalog, so that a new table or
-- column is either in it, or out of it with a reason.

-- See the comment on the function. Raises: user_not_found (404). Writes: events.
create or replace function postern.export_user(who text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user auth.users := postern_internal.find_user(who);
begin
  perform postern_internal.record_event('user.exported', v_user.id, postern_internal.context());
  return jsonb_build_object(
    'exported_at', postern_internal.rfc3339(postern_internal.clock()),
    'auth', postern_internal.exported_account(v_user)
      || postern_internal.exported_sessions(v_user.id) || postern_internal.exported_history(v_user),
    'postern', postern_internal.exported_side_tables(v_user.id));
end;
$$;
comment on function postern.export_user(text) is
'Returns everything that schemas auth and postern hold about a user, as one document for the user: {"auth": {"users": [...], "identities": [...], ...}, "postern": {"events": [...], ...}}, by schema and table, each row an object. Passwords, tokens, codes, keys and their hashes are left out. Your own tables are not in it: postern.delete_user_plan lists those that refer to the user. The export is recorded as an event.
who: the user''s id, e-mail address, or phone number with a leading +. It reads the whole audit log once for each user.
Errors: user_not_found (PT404).
Example: select jsonb_pretty(postern.export_user(''ann@example.com''));
Example: select postern.export_user(''ann@example.com'') #> ''{auth,sessions}'';';

-- The account itself, and what it signs in with.
create or replace function postern_internal.exported_account(p_user auth.users)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_build_object(
    'users', jsonb_build_array(to_jsonb(p_user) - array[
        'encrypted_password', 'confirmation_token', 'recovery_token', 'email_change_token_new',
        'email_change_token_current', 'phone_change_token', 'reauthentication_token']
      || jsonb_build_object('has_password', coalesce(p_user.encrypted_password, '') <> '')),
    'identities', (
      select coalesce(jsonb_agg(to_jsonb(i) order by i.created_at, i.id), '[]')
      from auth.identities as i where i.user_id = p_user.id),
    'mfa_factors', (
      select coalesce(jsonb_agg(
        to_jsonb(f) - array['secret', 'web_authn_credential', 'last_webauthn_challenge_data']
        order by f.created_at, f.id), '[]')
      from auth.mfa_factors as f where f.user_id = p_user.id),
    'mfa_challenges', (
      select coalesce(jsonb_agg(
        to_jsonb(c) - array['otp_code', 'web_authn_session_data'] order by c.created_at, c.id), '[]')
      from auth.mfa_challenges as c join auth.mfa_factors as f on f.id = c.factor_id where f.user_id = p_user.id),
    'webauthn_credentials', (
      select coalesce(jsonb_agg(to_jsonb(c) - array['credential_id', 'public_key'] order by c.created_at, c.id), '[]')
      from auth.webauthn_credentials as c where c.user_id = p_user.id),
    'webauthn_challenges', (
      select coalesce(jsonb_agg(to_jsonb(c) - 'session_data' order by c.created_at, c.id), '[]')
      from auth.webauthn_challenges as c where c.user_id = p_user.id));
end;
$$;

-- Sessions, what was sent to begin one, and what OAuth clients may do.
create or replace function postern_internal.exported_sessions(p_user_id uuid)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_build_object(
    'sessions', (
      select coalesce(jsonb_agg(to_jsonb(s) - 'refresh_token_hmac_key' order by s.created_at, s.id), '[]')
      from auth.sessions as s where s.user_id = p_user_id),
    'mfa_amr_claims', (
      select coalesce(jsonb_agg(to_jsonb(c) order by c.created_at, c.id), '[]')
      from auth.mfa_amr_claims as c join auth.sessions as s on s.id = c.session_id where s.user_id = p_user_id),
    'refresh_tokens', (
      select coalesce(jsonb_agg(to_jsonb(t) - array['token', 'parent'] order by t.id), '[]')
      from auth.refresh_tokens as t
      where t.user_id = p_user_id::text
        and (t.instance_id = postern_internal.nil_uuid() or t.instance_id is null)),
    'one_time_tokens', (
      select coalesce(jsonb_agg(to_jsonb(t) - 'token_hash' order by t.created_at, t.id), '[]')
      from auth.one_time_tokens as t where t.user_id = p_user_id),
    'flow_state', (
      select coalesce(jsonb_agg(to_jsonb(f) - array[
          'auth_code', 'code_challenge', 'provider_access_token', 'provider_refresh_token', 'invite_token']
        order by f.created_at, f.id), '[]')
      from auth.flow_state as f where p_user_id in (f.user_id, f.linking_target_id)),
    'oauth_authorizations', (
      select coalesce(jsonb_agg(to_jsonb(a) - array[
          'authorization_id', 'authorization_code', 'state', 'nonce', 'code_challenge']
        order by a.created_at, a.id), '[]')
      from auth.oauth_authorizations as a where a.user_id = p_user_id),
    'oauth_consents', (
      select coalesce(jsonb_agg(to_jsonb(c) order by c.granted_at, c.id), '[]')
      from auth.oauth_consents as c where c.user_id = p_user_id));
end;
$$;

-- What the audit log tells of a user, and open sign-ins over SAML, which are known by the address alone. The audit log is
-- searched by the id: an address may have been somebody else's before.
create or replace function postern_internal.exported_history(p_user auth.users)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_build_object(
    'audit_log_entries', (
      select coalesce(jsonb_agg(
        -- not to_jsonb(e): a payload may hold what jsonb refuses
        jsonb_build_object('instance_id', e.instance_id, 'id', e.id, 'created_at', e.created_at,
          'ip_address', e.ip_address, 'payload', postern_internal.audit_payload(e.payload))
        order by e.created_at, e.id), '[]')
      from auth.audit_log_entries as e
      where strpos(e.payload::text, p_user.id::text) > 0),
    'saml_relay_states', (
      select coalesce(jsonb_agg(to_jsonb(s) - 'request_id' order by s.created_at, s.id), '[]')
      from auth.saml_relay_states as s where lower(s.for_email) = lower(p_user.email)));
end;
$$;

-- What Postern knows beyond schema auth.
create or replace function postern_internal.exported_side_tables(p_user_id uuid)
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_build_object(
    'events', (
      select coalesce(jsonb_agg(to_jsonb(e) order by e.id), '[]') from postern.events as e where e.user_id = p_user_id),
    'session_ends', (
      select coalesce(jsonb_agg(to_jsonb(e) order by e.ended_at, e.session_id), '[]')
      from postern.session_ends as e where e.user_id = p_user_id),
    'session_upgrades', (
      select coalesce(jsonb_agg(to_jsonb(u) order by u.upgraded_at, u.session_id), '[]')
      from postern.session_upgrades as u where u.user_id = p_user_id),
    'outbox', (
      select coalesce(jsonb_agg(to_jsonb(o) - 'payload' order by o.id), '[]')
      from postern.outbox as o where o.user_id = p_user_id),
    'provider_tokens', (
      select coalesce(jsonb_agg(to_jsonb(t) - array['access_token', 'refresh_token'] order by t.created_at, t.id), '[]')
      from postern.provider_tokens as t where t.user_id = p_user_id),
    'linking_flows', (
      select coalesce(jsonb_agg(to_jsonb(l) order by l.created_at, l.flow_id), '[]')
      from postern.linking_flows as l where l.user_id = p_user_id),
    'flow_devices', (
      select coalesce(jsonb_agg(to_jsonb(d) order by d.created_at, d.flow_id), '[]')
      from postern.flow_devices as d
      join auth.flow_state as f on f.id = d.flow_id where p_user_id in (f.user_id, f.linking_target_id)),
    'suppressed_addresses', (
      select coalesce(jsonb_agg(to_jsonb(s) order by s.address), '[]')
      from auth.users as u
      join postern.suppressed_addresses as s on s.address in (lower(u.email), u.phone) where u.id = p_user_id),
    'locked_users', (
      select coalesce(jsonb_agg(to_jsonb(l)), '[]') from postern.locked_users as l where l.user_id = p_user_id),
    'password_demands', (
      select coalesce(jsonb_agg(to_jsonb(d)), '[]') from postern.password_demands as d where d.user_id = p_user_id),
    'totp_steps', (
      select coalesce(jsonb_agg(to_jsonb(s) order by s.used_at, s.factor_id), '[]')
      from postern.totp_steps as s where s.user_id = p_user_id),
    'challenge_guesses', (
      select coalesce(jsonb_agg(to_jsonb(g) order by g.last_at, g.challenge_id), '[]')
      from postern.challenge_guesses as g
      join auth.mfa_factors as f on f.id = g.factor_id where f.user_id = p_user_id),
    'code_guesses', (
      select coalesce(jsonb_agg(to_jsonb(g) - 'token_hash' order by g.last_at, g.token_id), '[]')
      from postern.code_guesses as g
      join auth.one_time_tokens as t on t.id = g.token_id where t.user_id = p_user_id),
    'user_imports', (
      select coalesce(jsonb_agg(to_jsonb(i) - array['document', 'account'] order by i.batch, i.line), '[]')
      from postern.user_imports as i where i.user_id = p_user_id),
    'retention_refusals', (
      select coalesce(jsonb_agg(to_jsonb(r)), '[]') from postern.retention_refusals as r where r.user_id = p_user_id));
end;
$$;
