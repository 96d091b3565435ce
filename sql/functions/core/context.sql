-- What a rule needs to know besides its arguments: the operator's settings and who is calling.
-- The HTTP server sends this document with each call; SQL callers get the settings that a server
-- published last (postern.settings) and themselves as the actor.
--
--   actor, ip, user_agent, aud, redirect_to            the caller (ip, user_agent may be missing)
--   set_actor {session_user, reason}                   present: an SQL caller said who the actor is (core/actor.sql)
--   site_url, verify_urls {invite, confirmation, recovery, email_change}
--   default_role, admin_role, jwt_aud                  JWT_DEFAULT_GROUP_NAME, JWT_ADMIN_GROUP_NAME, JWT_AUD
--   autoconfirm, secure_email_change, allow_unverified, signup_disabled, phone_autoconfirm
--   language                                           Accept-Language of the caller, for mails (may be missing)
--   authorized_addresses                               in lower case; empty: mail may go to anybody
--   otp_exp, otp_length, mail_frequency                seconds, digits, seconds (may be a fraction)
--   sms_otp_exp, sms_otp_length, sms_frequency         the same for text messages
--   sms_provider ('' when none can be used), sms_checks_codes (it makes the codes itself)
--   sms_test_otps {phone: code}, sms_test_otps_until   fixed codes, and when they end (may be missing)
--   flow_expiry                                        seconds that a PKCE code lives
--   other_device_page                                  POSTERN_MAILER_OTHER_DEVICE_PAGE; missing: false
--   rotation, reuse_interval, allow_reuse, token_version, upgrade_percentage    refresh tokens
--   timebox, inactivity, low_aal (seconds or missing), single_per_user, tags    sessions
--   reauthenticate, current_password                   rules for a new password
--   audit_disabled, notifications {password_changed, email_changed, ...: true where it is on}
--   retention {tokens, audit, events, session_ends, anonymous_users, deleted_users}  seconds; published only, for maintenance
--   linking_domains {provider: domain}                 providers outside the default linking domain
--   linking_policy                                     verified | never | ask: what a verified address that is known leads to
--   email_identity                                     a first password brings an e-mail identity
--   mfa {enroll, verify: types of factors; challenge_expiry, factor_expiry, phone_frequency: seconds; max_enrolled,
--     max_verified, max_guesses, code_reuse}           second factors
--   seals                                              true where values are encrypted (core/ask.sql); else missing
--   new_session {id, plain, stored}                    with it: id and key for a session of format 2 tokens
--   custom_providers_off, max_custom_providers         GOTRUE_CUSTOM_OAUTH_ENABLED is off; a quota (else missing)
--   external_url, issuer, jwt_exp                      API_EXTERNAL_URL; iss and lifetime (s) of tokens, where a hook sees claims
--   audit_log                                          present: audit entries are sent to the caller, too (audit/audit.sql)
--   hooks                                              the operator's hooks that are on, see hooks/run.sql
--   silent                                             present: an import that records no events
--   answers, by_sql                                    a server that can be asked (core/ask.sql), or an SQL caller
-- Only servers send these, so SQL callers have no limits (functions/limits):
--   limit {name, who, every, burst}                    the client's bucket, on limited routes
--   account, account_limits {passwords, factors, messages: {every, burst}}, otp_attempts
--   quotas {mail, sms: {events, every}}
create or replace function postern_internal.context()
returns jsonb
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return postern_internal.default_settings()
    || coalesce((select value from postern.settings), '{}')
    || (jsonb_build_object('actor', session_user, 'by_sql', true, 'ip', host(inet_client_addr()))
      || postern_internal.actor_context());
end;
$$;

-- What SQL callers read before a server has published its settings. Without arguments, a SET clause or a table it is a
-- constant to the planner: a statement that creates many users builds it once.
create or replace function postern_internal.default_settings()
returns jsonb
language sql immutable security invoker
as $$
  select jsonb_build_object(
      'site_url', '', 'verify_urls', '{}'::jsonb, 'aud', 'authenticated',
      'jwt_aud', 'authenticated', 'default_role', 'authenticated',
      'admin_role', 'admin', 'autoconfirm', false, 'phone_autoconfirm', false,
      'secure_email_change', true, 'allow_unverified', false, 'signup_disabled', false,
      'otp_exp', 86400, 'otp_length', 6, 'mail_frequency', 60, 'flow_expiry', 300,
      'sms_otp_exp', 60, 'sms_otp_length', 6, 'sms_frequency', 60, 'sms_provider', '',
      'sms_checks_codes', false, 'sms_test_otps', '{}'::jsonb,
      'rotation', true, 'reuse_interval', 10, 'allow_reuse', false, 'token_version', 1,
      'jwt_exp', 3600, 'issuer', '', 'upgrade_percentage', 0, 'single_per_user', false, 'tags', '[]'::jsonb,
      'reauthenticate', false, 'current_password', false, 'audit_disabled', false,
      'notifications', '{}'::jsonb, 'hooks', '{}'::jsonb, 'linking_domains', '{}'::jsonb,
      'linking_policy', 'verified', 'email_identity', false,
      'authorized_addresses', '[]'::jsonb,
      'mfa', '{"enroll": ["totp"], "verify": ["totp"], "challenge_expiry": 300, "factor_expiry": 300,
        "phone_frequency": 60, "max_enrolled": 10, "max_verified": 10, "max_guesses": 5, "code_reuse": false}'::jsonb
    )
$$;

-- One setting as text: what a user gets whose row, made by hand, has NULL there.
create or replace function postern_internal.default_setting(p_name text)
returns text
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return postern_internal.context() ->> p_name;
end;
$$;

-- Stores what SQL callers read as settings. Called by a server when it starts; writes only changes.
create or replace function postern_internal.publish_settings(p_settings jsonb)
returns void
language sql volatile security invoker set search_path = ''
as $$
  insert into postern.settings (value) values (p_settings)
  on conflict (is_only_row) do update
    set value = excluded.value, published_at = now()
    where settings.value is distinct from excluded.value
$$;
