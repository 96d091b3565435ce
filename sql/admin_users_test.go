package sql_test

import (
	"strings"
	"testing"
)

// What the functions return and refuse; what they leave is compared with HTTP in admin_twins_test.go.
func TestChangesOfAccounts(t *testing.T) {
	t.Parallel()
	const recorded = "select (select count(*) from postern.events), (select count(*) from auth.audit_log_entries)"
	for name, steps := range map[string][]step{
		"address and number": {
			{"select postern.set_email('ann@example.com', ' ')", "PT400 validation_failed: Unable to validate email address: invalid format"},
			{"select postern.set_email('ann@example.com', null)", "PT400 validation_failed: An email address is required"},
			{"select postern.set_email('eve@example.com', 'new@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
			{"select postern.set_email('ann@example.com', 'BOB@example.com')", "23505 Key (email)=(bob@example.com) already exists.: duplicate key value violates unique constraint \"users_email_partial_key\""},
			{"select postern.set_phone('ann@example.com', '')", "PT400 validation_failed: A phone number is required"},
			{"select postern.set_phone('ann@example.com', '0123')", "PT400 validation_failed: Invalid phone number format (E.164 required)"},
			{"select postern.set_phone('ann@example.com', '15550001')", "23505 Key (phone)=(15550001) already exists.: duplicate key value violates unique constraint \"users_phone_key\""},
			{"select postern.confirm_phone('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
			{recorded, "0,0"},
			{"select postern.set_email('ann@example.com', 'New@example.com'), postern.set_phone('new@example.com', '+1 555 0009')", ann + "," + ann},
			{"select postern.confirm_phone('+15550009')", ann},
			{"select distinct actor = session_user from postern.events", "t"},
			{"select distinct payload ->> 'action', payload ->> 'actor_username' = session_user from auth.audit_log_entries", "user_modified,t"},
		},
		"counting": {
			{"select postern.count_users(), postern.count_users(''), postern.count_users(null)", "4,4,4"},
			{"select postern.count_users('LEE'), postern.count_users('@example.com'), postern.count_users('+1 555'), postern.count_users('%')", "1,3,1,0"},
			{"select postern.count_users(upper('" + ann + "'))", "1"},
			{"select q from unnest(array['', 'a', 'lee', '555', '" + bob + "']) as q where postern.count_users(q) <> (select count(*) from postern.find_users(q, 1000))", ""},
			{"update auth.users set instance_id = gen_random_uuid() where email = 'dan@example.com'", ""},
			{"select postern.count_users()", "3"},
		},
		"set-wise": {
			{"select count(postern.set_email(id::text, 'new.' || email, true)) from auth.users where email <> ''", "3"},
			{"select string_agg(email || ' ' || (email_confirmed_at is not null), ' ' order by email) from auth.users where email <> ''",
				"new.ann@example.com true new.bob@example.com true new.dan@example.com true"},
		},
		"metadata and role": {
			{"select postern.set_user_metadata('ann@example.com', '{\"full_name\": null, \"b\": {\"c\": 1}}')", `{"b": {"c": 1}, "email_verified": true}`},
			{"select postern.set_user_metadata('ann@example.com', 'null')", "PT400 validation_failed: Metadata has to be a JSON object"},
			{"select postern.set_user_metadata('ann@example.com', null)", "PT400 validation_failed: Metadata has to be a JSON object"},
			{"select postern.set_role('ann@example.com', ' ')", "PT400 validation_failed: A role is required"},
			{"select postern.set_role('ann@example.com', 'editor')", ann},
			{"select role, raw_app_meta_data from auth.users where id = '" + ann + "'", `editor,"{"provider": "email", "providers": ["email"]}`},
		},
		"several things": {
			{"select postern.update_user('ann@example.com', password => 'x', password_hash => 'y')", "PT400 validation_failed: Only a password or a password hash should be provided"},
			{"select postern.update_user('ann@example.com', password_hash => 'md5')", "PT400 validation_failed: Not a password hash of a known format: bcrypt, Argon2, scrypt, PBKDF2, LDAP, sha-crypt, phpass, Django, ASP.NET or Keycloak, within the limits of docs/passwords.md"},
			{"select postern.update_user('ann@example.com', password => '')", "PT400 validation_failed: A password cannot be empty"},
			{"select postern.update_user('ann@example.com', app_metadata => '[]')", "PT400 validation_failed: Metadata has to be a JSON object"},
			{"select postern.update_user('ann@example.com', ban_duration => '0')", "PT400 validation_failed: A ban lasts for some time; postern.unban_user() ends it"},
			{recorded, "0,0"},
			{"select postern.update_user('dan@example.com', role => '', user_metadata => null)", "00000000-0000-4000-8000-00000000000d"},
			{"select role, banned_until > now(), raw_user_meta_data from auth.users where email = 'dan@example.com'", "authenticated,t,{}"},
		},
		"identities": {
			{armed, ""},
			{"update postern.settings set value = value || '{\"notifications\": {\"identity_unlinked\": true}}'", ""},
			{"select postern.unlink_identity('ann@example.com', gen_random_uuid())", "PT422 identity_not_found: Identity doesn't exist"},
			{"select postern.unlink_identity('ann@example.com', null)", "PT422 identity_not_found: Identity doesn't exist"},
			{"select postern.unlink_identity('dan@example.com', identity_id) from postern.list_identities('dan@example.com')",
				"PT422 single_identity_not_deletable: User must have at least 1 identity after unlinking"},
			{recorded, "0,0"},
			{"select postern.ban_user('ann@example.com') is null", "f"},
			{"select postern.unlink_identity('ann@example.com', identity_id) from postern.list_identities('ann@example.com') where provider = 'email'", ann},
			{"select email, raw_app_meta_data from auth.users where id = '" + ann + "'", `lee@example.com,"{"provider": "github", "providers": ["github"]}`},
			{"select payload ->> 'actor_username' = session_user, payload #>> '{traits,user_id}', payload #>> '{traits,provider}' from auth.audit_log_entries where payload ->> 'action' = 'identity_unlinked'",
				"t," + ann + ",email"},
			{"select data ->> 'provider', actor = session_user from postern.events where type = 'identity.deleted'", "email,t"},
			{"select template, recipient from postern.outbox", "identity_unlinked_notification,ann@example.com"},
		},
		"second factors": {
			{armed, ""},
			{"select postern.delete_factor('bob@example.com', " + factorID + ")", "PT404 mfa_factor_not_found: Factor not found"},
			{"select postern.delete_factor('ann@example.com', null)", "PT404 mfa_factor_not_found: Factor not found"},
			{"select postern.delete_factor('eve@example.com', " + factorID + ")", "PT404 user_not_found: There is no user eve@example.com"},
			{"select postern.reset_mfa('bob@example.com')", "0"},
			{recorded, "0,0"},
			{"select postern.delete_factor('ann@example.com', " + otherID + ")", ann},
			{"select count(*) from auth.sessions where aal = 'aal2'", "1"},
			{"select postern.reset_mfa('ann@example.com')", "1"},
			{"select count(*) from auth.sessions where aal = 'aal2'", "0"},
			{"select distinct type, actor = session_user from postern.events", "factor.deleted,t"},
			{"select count(*) from postern.list_factors('ann@example.com')", "0"},
		},
		"no password": {
			{"update postern.settings set value = value || '{\"email_identity\": true}'", ""},
			{"delete from auth.identities where user_id = '" + ann + "'", ""},
			{"insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) values (gen_random_uuid(), '" + ann + "', 'recovery_token', 'x', 'ann@example.com')", ""},
			{"update auth.users set recovery_token = 'x' where id = '" + ann + "'", ""},
			{"select postern.clear_password('ann@example.com'), postern.clear_password('ann@example.com')", ann + "," + ann},
			{"select encrypted_password is null, recovery_token = '' from auth.users where id = '" + ann + "'", "t,t"},
			{"select count(*) from auth.one_time_tokens", "0"},
			{"select count(*) from auth.identities where user_id = '" + ann + "'", "0"},
			{"select reason, count(*) from postern.session_ends group by 1", "password_change,2"},
			{"select string_agg(type, ' ' order by id) from postern.events where type like 'user.%'",
				"user.password_changed user.updated user.password_changed user.updated"},
			{"select distinct payload ->> 'action', payload ->> 'actor_username' = session_user from auth.audit_log_entries", "user_modified,t"},
			{"select password_hash is null from postern_internal.find_password_hash('ann@example.com', '', postern_internal.context())", "t"},
			{"select postern.set_password_hash('ann@example.com', '$2a$10$" + strings.Repeat("a", 53) + "')", ann},
			{"select provider, is_verified from postern.list_identities('ann@example.com')", "email,t"},
			{"select postern.clear_password('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
		},
		"links and codes": {
			{"select postern.send_magic_link('ann@example.com') is null, postern.send_magic_link('bob@example.com') is null", "f,f"},
			{"insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) values (gen_random_uuid(), '" + ann + "', 'phone_change_token', 'x', '15550009')", ""},
			{"update auth.users set phone_change_sent_at = now() - interval '61 seconds' where id = '" + ann + "'", ""},
			{"insert into auth.flow_state (id, user_id, provider_type, authentication_method) values (gen_random_uuid(), '" + ann + "', 'email', 'magiclink')", ""},
			{"select string_agg(format('%s %s %s %s', token_type, sent_to, expires_at - now(), is_alive), ', ') from postern.list_one_time_tokens('ann@example.com')",
				"recovery ann@example.com 1 day t, phone_change 15550009 -00:00:01 f"},
			{"update postern.settings set value = value || '{\"sms_checks_codes\": true}'", ""},
			{"select expires_at, is_alive from postern.list_one_time_tokens('ann@example.com') where token_type = 'phone_change'", ","},
			{"select postern.expire_links('ann@example.com'), postern.expire_links('dan@example.com')", "2,0"},
			{"select count(*) from postern.list_one_time_tokens('ann@example.com')", "0"},
			{"select count(*) from auth.flow_state", "0"},
			{"select recovery_token = '' and recovery_sent_at is null from auth.users where id = '" + ann + "'", "t"},
			{"select count(*) from auth.sessions", "2"},
			{"select user_id, data, actor = session_user from postern.events where type = 'user.links_expired' order by id limit 1", ann + `,"{"count": 2}",t`},
			{"select count(*) from auth.audit_log_entries where payload ->> 'action' = 'user_modified' and payload ->> 'actor_username' = session_user", "2"},
			{"select token_type, is_alive from postern.list_one_time_tokens('bob@example.com')", "confirmation,t"},
			{"select postern.send_magic_link('ann@example.com') is null", "f"},
			{"select postern.expire_links('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
			{"select count(*) from postern.list_one_time_tokens('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}
