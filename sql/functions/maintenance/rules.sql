-- What maintenance keeps in order: the 13 rules of spec/07 section 4, and what the reference never cleans.
--
-- A rule with a target deletes the rows that fit the condition, in which $1 is the time and $2 the context (see
-- core/context.sql); without one, the function postern_internal.maintain_<rule> does the work. batch is how many
-- rows one transaction takes. A limit that is not set is null, and then nothing fits. Expired things stay for a day,
-- so that somebody who asks why something did not work finds them.
create or replace function postern_internal.maintenance_rules()
returns table (rule text, batch int, target text, condition text)
language sql immutable security invoker
as $$
  values
    ('refresh_tokens_revoked', 1000, 'auth.refresh_tokens', 'revoked and updated_at < $1 - interval ''24 hours'''),
    ('refresh_tokens_ended', 1000, null, null),
    ('sessions_expired', 500, null, null),
    ('saml_relay_states', 1000, 'auth.saml_relay_states', 'created_at < $1 - interval ''24 hours'''),
    ('flow_states', 1000, 'auth.flow_state', 'created_at < $1 - interval ''24 hours'''),
    ('oauth_client_states', 1000, 'auth.oauth_client_states', 'created_at < $1 - interval ''24 hours'''),
    ('mfa_challenges', 1000, 'auth.mfa_challenges', 'created_at < $1 - interval ''24 hours'''),
    ('mfa_factors', 1000, 'auth.mfa_factors', 'status = ''unverified'' and created_at < $1 - interval ''24 hours'''),
    ('webauthn_challenges', 1000, 'auth.webauthn_challenges', 'expires_at < $1'),
    ('anonymous_users', 100, null, null),
    ('deleted_users', 100, null, null),
    ('sessions_timebox', 500, null, null),
    ('sessions_idle', 500, null, null),
    ('sessions_idle_unrefreshed', 500, null, null),
    ('one_time_tokens', 500, null, null),
    ('flow_devices', 1000, 'postern.flow_devices', 'created_at < $1 - interval ''24 hours'''),
    ('linking_flows', 1000, 'postern.linking_flows', 'created_at < $1 - interval ''24 hours'''),
    ('totp_steps', 1000, 'postern.totp_steps', 'used_at < $1 - interval ''24 hours'''), -- such a code is long expired
    ('link_secrets', 1000, 'postern.link_secrets',
      'created_at < $1 - interval ''24 hours'' and not exists (select from auth.one_time_tokens as t where t.id = token_id)'),
    ('challenge_guesses', 1000, 'postern.challenge_guesses', 'last_at < $1 - interval ''24 hours'''),
    ('session_upgrades', 1000, 'postern.session_upgrades',
      'upgraded_at < $1 - interval ''24 hours'' and not exists (select from auth.sessions as s where s.id = session_id)'),
    ('provider_tokens', 1000, 'postern.provider_tokens',
      'not exists (select from auth.identities as i where i.id = identity_id)'),
    ('locked_users', 1000, 'postern.locked_users', 'not exists (select from auth.users as u where u.id = user_id)'),
    ('password_demands', 1000, 'postern.password_demands', 'not exists (select from auth.users as u where u.id = user_id)'),
    ('oauth_authorizations', 1000, 'auth.oauth_authorizations', 'expires_at < $1 - interval ''24 hours'''),
    ('audit_log_entries', 1000, 'auth.audit_log_entries',
      'created_at < $1 - make_interval(secs => ($2 #>> ''{retention,audit}'')::float)'),
    ('session_ends', 1000, 'postern.session_ends',
      'ended_at < $1 - make_interval(secs => ($2 #>> ''{retention,session_ends}'')::float)'),
    ('outbox', 10000, null, null),
    ('webhook_secrets', 1000, 'postern.webhook_secrets', 'expires_at <= $1'),
    ('retention_refusals', 1000, 'postern.retention_refusals', 'refused_at < $1 - interval ''7 days'''),
    ('events', 1000, null, null),
    ('event_partitions', 100, null, null)
$$;
