package sql_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

const (
	zelda      = "00000000-0000-4000-8000-00000000000e"
	zeldaID    = "'" + zelda + "'"
	ssoID      = "'00000000-0000-4000-8000-0000000000e2'"
	flowID     = "'00000000-0000-4000-8000-0000000000e3'"
	tokenID    = "'00000000-0000-4000-8000-0000000000e4'"
	zeldaHubID = "'00000000-0000-4000-8000-0000000000e5'"
	zeldas     = "'00000000-0000-4000-8000-0000000000e6'" // session
)

// zeldasTraces finds what was planted below: everything personal has one of these in it, everything secret the word hush.
const zeldasTraces = `zelda|1555777|203\.0\.113\.7|2001:db8:7|hush`

// planted fills every column of every table that knows users for zelda. Other people's rows stay what they are.
var planted = []string{
	`select postern.create_user('zelda@example.com', id => ` + zeldaID + `, phone => '15557771', email_confirm => true, phone_confirm => true,
		password_hash => '$2a$10$` + strings.Repeat("h", 49) + `hush', user_metadata => '{"full_name": "Zelda Fitz"}', app_metadata => '{"nick": "zelda"}')`,
	`update auth.users set email_change = 'zelda2@example.com', phone_change = '15557772', confirmation_token = 'hush1', recovery_token = 'hush2',
		email_change_token_new = 'hush3', email_change_token_current = 'hush4', phone_change_token = 'hush5', reauthentication_token = 'hush6',
		email_change_confirm_status = 1, invited_at = now(), confirmation_sent_at = now(), recovery_sent_at = now(), email_change_sent_at = now(), phone_change_sent_at = now(),
		reauthentication_sent_at = now(), last_sign_in_at = now(), is_super_admin = false where id = ` + zeldaID,
	`insert into auth.identities (id, provider_id, user_id, provider, identity_data, last_sign_in_at, created_at, updated_at) values
		(` + zeldaHubID + `, 'zelda77', ` + zeldaID + `, 'github', '{"sub": "zelda77", "email": "zelda3@example.com", "avatar_url": "https://example.com/zelda.png"}', now(), now(), now())`,
	`insert into auth.oauth_clients (id, registration_type, redirect_uris, grant_types, token_endpoint_auth_method) values (` + ssoID + `, 'dynamic', 'x', 'x', 'none')`,
	`insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, phone, created_at, updated_at, last_challenged_at, web_authn_credential, web_authn_aaguid, last_webauthn_challenge_data)
		values (` + factorID + `, ` + zeldaID + `, 'zelda''s watch', 'totp', 'verified', 'hush', '15557773', now(), now(), now(), '{"hush": 1}', gen_random_uuid(), '{"hush": 1}')`,
	`insert into auth.mfa_challenges (id, factor_id, created_at, verified_at, ip_address, otp_code, web_authn_session_data) values (` + challengeA + `, ` + factorID + `, now(), now(), '203.0.113.7', 'hush', '{"hush": 1}')`,
	`insert into auth.sessions (id, user_id, created_at, updated_at, factor_id, aal, not_after, refreshed_at, user_agent, ip, tag, oauth_client_id, refresh_token_hmac_key, refresh_token_counter, scopes)
		values (` + zeldas + `, ` + zeldaID + `, now(), now(), ` + factorID + `, 'aal2', now(), now(), 'zelda''s browser', '203.0.113.7', 'zelda', ` + ssoID + `, 'hush', 1, 'zelda')`,
	`insert into auth.sessions (id, user_id, created_at, updated_at, ip) values (gen_random_uuid(), ` + zeldaID + `, now(), now(), '2001:db8:7::1')`,
	`insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) values (gen_random_uuid(), ` + zeldas + `, now(), now(), 'totp')`,
	`insert into auth.refresh_tokens (instance_id, token, user_id, session_id, revoked, parent, created_at, updated_at) values
		('00000000-0000-0000-0000-000000000000', 'hush1', ` + zeldaID + `, ` + zeldas + `, false, 'hush0', now(), now()),
		('00000000-0000-0000-0000-000000000000', 'hush2', ` + zeldaID + `, null, false, 'hush0', now(), now())`,
	`insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) values (` + tokenID + `, ` + zeldaID + `, 'recovery_token', 'hush', 'zelda@example.com')`,
	`insert into auth.flow_state (id, user_id, auth_code, code_challenge_method, code_challenge, provider_type, provider_access_token, provider_refresh_token, created_at, updated_at,
		authentication_method, auth_code_issued_at, invite_token, referrer, oauth_client_state_id, linking_target_id) values
		(` + flowID + `, ` + zeldaID + `, 'hush', 's256', 'hush', 'github', 'hush', 'hush', now(), now(), 'oauth', now(), 'hush', 'https://zelda.example.com', gen_random_uuid(), null),
		(gen_random_uuid(), null, 'hush', 's256', 'hush', 'github', 'hush', 'hush', now(), now(), 'oauth', now(), 'hush', 'https://zelda.example.com', gen_random_uuid(), ` + zeldaID + `)`,
	`insert into auth.webauthn_credentials (user_id, credential_id, public_key, attestation_type, aaguid, friendly_name, last_used_at) values (` + zeldaID + `, 'hush', 'hush', 'none', gen_random_uuid(), 'zelda''s key', now())`,
	`insert into auth.webauthn_challenges (user_id, challenge_type, session_data, expires_at) values (` + zeldaID + `, 'registration', '{"hush": "zelda"}', now())`,
	`insert into auth.oauth_authorizations (id, authorization_id, client_id, user_id, redirect_uri, scope, state, resource, code_challenge, code_challenge_method, authorization_code, approved_at, nonce)
		values (gen_random_uuid(), 'hush', ` + ssoID + `, ` + zeldaID + `, 'https://zelda.example.com', 'zelda', 'hush', 'zelda', 'hush', 's256', 'hush', now(), 'hush')`,
	`insert into auth.oauth_consents (id, user_id, client_id, scopes, revoked_at) values (gen_random_uuid(), ` + zeldaID + `, ` + ssoID + `, 'zelda', now() + interval '1 s')`,
	`insert into auth.sso_providers (id, created_at) values (` + ssoID + `, now())`,
	`insert into auth.saml_relay_states (id, sso_provider_id, request_id, for_email, redirect_to, created_at, updated_at, flow_state_id)
		values (gen_random_uuid(), ` + ssoID + `, 'hush', 'Zelda@example.com', 'https://zelda.example.com', now(), now(), ` + flowID + `)`,
	`insert into postern.provider_tokens (id, identity_id, user_id, provider, access_token, refresh_token, scope, expires_at, refusal, refreshing_until, created_at, updated_at)
		values (gen_random_uuid(), ` + zeldaHubID + `, ` + zeldaID + `, 'github', 'hush', 'hush', 'zelda', now(), 'zelda', now(), now(), now())`,
	`insert into postern.link_secrets values (` + tokenID + `, 'hush', 'hush', now())`,
	`insert into postern.code_guesses values (` + tokenID + `, 'hush', 1, now())`,
	`insert into postern.challenge_guesses values (` + challengeA + `, ` + factorID + `, 1, now())`,
	`insert into postern.flow_devices values (` + flowID + `, 'zelda''s browser', 'x', now())`,
	`insert into postern.linking_flows values (` + flowID + `, ` + zeldaID + `, ` + zeldas + `, now())`,
	`insert into postern.session_upgrades values (` + zeldas + `, ` + zeldaID + `, 1, 1, now())`,
	`insert into postern.totp_steps values (` + factorID + `, ` + zeldaID + `, 1, now())`,
	`insert into postern.retention_refusals values (` + zeldaID + `, 'zelda', now())`,
	`insert into postern.locked_users values (` + zeldaID + `, 'zelda lost her phone', 'alice', now(), now() + interval '100 years', null)`,
	`insert into postern.password_demands values (` + zeldaID + `, 'alice', now())`,
	`insert into postern.user_imports (batch, document, account, outcome, code, message, user_id, is_done) values
		('old', null, '{"hush": "zelda"}', 'skipped', 'zelda', 'zelda', ` + zeldaID + `, true), ('old', '{"email": "Zelda@example.com", "password_hash": "hush"}', null, 'refused', 'x', 'x', null, false),
		('old', '{"phone": "+15557771"}', null, 'refused', 'x', 'x', null, false), ('old', '{"email": "grizelda@example.com"}', null, 'refused', 'x', 'x', null, false)`,
	`insert into postern.session_ends values (gen_random_uuid(), ` + zeldaID + `, 'logout', 'user', now())`,
	`select postern_internal.queue_mail('recovery', 'zelda@example.com', ` + zeldaID + `, '{"token": "hush"}')`,
	`select postern_internal.queue_mail('email_changed_notification', 'Zelda2@example.com', null, '{}')`,
	`insert into postern.suppressed_addresses values ('zelda@example.com', 'zelda''s mailbox is full', 'alice', now())`,
	`insert into postern.outbox (kind, template, recipient, webhook_id, event_id, payload) values ('webhook', 'user.tested', 'https://hooks.example.com', gen_random_uuid(), 7,
		'{"type": "user.tested", "data": {"name": "zelda", "event_id": 7, "user_id": "` + zelda + `", "session_id": null, "actor": "user"}}')`,
	`update postern.outbox set last_error = 'no such user: zelda@example.com', finished_at = now(), expires_at = now() where kind = 'mail'`,
	`select postern_internal.record_event('user.tested', ` + zeldaID + `, '{}', '{"name": "zelda", "ip": "203.0.113.7"}', ` + zeldas + `)`,
	`insert into postern.limits (name, who, full_at, every, burst)
		select n, w, now() + interval '1 hour', 60, 9 from (values
		  ('passwords', postern_internal.account_key('authenticated', 'zelda@example.com')), ('messages', postern_internal.account_key('authenticated', '15557771')),
		  ('factors', ` + factorID + `), ('token', '203.0.113.7'), ('token', '2001:db8:7::/64'), ('token', '198.51.100.1'), ('passwords', 'of somebody else')) as v (n, w)`,
	`select postern_internal.audit_user('login', u, '{"ip": "203.0.113.7"}', '{"provider": "github", "provider_id": "zelda77"}') from auth.users as u where u.id = ` + zeldaID,
	`select postern_internal.audit_user('user_invited', u, '{"ip": "203.0.113.7"}', '{"user_id": "` + bob + `", "user_email": "bob@example.com", "by": "zelda@example.com"}') from auth.users as u where u.id = ` + zeldaID,
	// An older address, a name that the account has no more, an entry without ids, and one that jsonb cannot read.
	`insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address) values
		('00000000-0000-0000-0000-000000000000', gen_random_uuid(), '{"action": "login", "log_type": "account", "actor_id": "` + zelda + `", "actor_username": "zelda0@example.com", "actor_name": "Zelda Sayre"}', now(), '203.0.113.7'),
		('00000000-0000-0000-0000-000000000000', gen_random_uuid(), '{"action": "login", "log_type": "account", "actor_id": "x", "actor_username": "ZELDA@example.com", "traits": {"user_email": "zelda3@example.com"}}', now(), '203.0.113.7'),
		('00000000-0000-0000-0000-000000000000', gen_random_uuid(), '{"action": "login\u0000", "actor_id": "` + zelda + `", "actor_name": "zelda"}', now(), '203.0.113.7')`,
	// Other people, whose addresses have hers in them.
	`select postern.create_user('grizelda@example.com'), postern.create_user(phone => '915557771')`,
}

// namesakes finds the rows that hold a trace of zelda by chance: they belong to people whose addresses are like hers.
const namesakes = `grizelda|915557771`

// impersonal are the tables in which nothing of a person can be but ids, times and counts, or which are the operator's.
var impersonal = map[string]string{
	"auth.custom_oauth_providers": "the operator's", "auth.instances": "unused", "auth.oauth_clients": "applications", "auth.oauth_client_states": "keys of flows",
	"auth.saml_providers": "the operator's", "auth.schema_migrations": "numbers", "auth.sso_domains": "the operator's", "auth.sso_providers": "the operator's",
	"auth.mfa_amr_claims": "ids, methods and times", "postern.challenge_guesses": "ids and counts", "postern.linking_flows": "ids and times",
	"postern.session_ends": "ids and reasons", "postern.session_upgrades": "ids and times", "postern.totp_steps": "ids and times",
	"postern.password_demands": "ids and administrators", "postern.actor_key": "the operator's", "postern.webhooks": "the operator's", "postern.webhook_secrets": "the operator's",
	"postern.event_notifications": "a switch", "postern.quotas": "counts", "postern.maintenance": "names of rules", "postern.settings": "the operator's",
	"postern.installed_files": "names and hashes of files", "postern.schema_version": "a number",
}

// inhabited is a transaction with zelda in every table, besides the people of admin.
func inhabited(t *testing.T) pgx.Tx {
	t.Helper()
	tx := admin(t)
	for _, s := range planted {
		if _, err := tx.Exec(t.Context(), s); err != nil {
			t.Fatalf("%.90s: %v", s, err)
		}
	}
	return tx
}

// texts returns the first column of a query.
func texts(t *testing.T, tx pgx.Tx, query string, args ...any) []string {
	t.Helper()
	rows, err := tx.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

// allTables lists the tables of schemas auth and postern.
func allTables(t *testing.T, tx pgx.Tx) []string {
	t.Helper()
	return texts(t, tx, `select format('%s.%s', relnamespace::regnamespace, relname) from pg_class
		where relnamespace in ('auth'::regnamespace, 'postern'::regnamespace) and relkind in ('r', 'p') and not relispartition order by 1`)
}

// rowsWith returns the rows of a table that hold a trace, whatever the column and its type.
func rowsWith(t *testing.T, tx pgx.Tx, table string) []string {
	t.Helper()
	return texts(t, tx, fmt.Sprintf("select r::text from %s as r where r::text ~* $1 and r::text !~* $2 order by 1", table), zeldasTraces, namesakes)
}

// Nothing of the person is left in any column of any table. A table that is new fails this test until it is filled above, and
// emptied by anonymise_user, or is in the list with its reason.
func TestAnonymiseUser(t *testing.T) {
	t.Parallel()
	tx := inhabited(t)
	tables := allTables(t, tx)
	for table := range impersonal {
		if !slices.Contains(tables, table) {
			t.Errorf("there is no table %s", table)
		}
	}
	for _, table := range tables {
		if has := len(rowsWith(t, tx, table)) > 0; has == (impersonal[table] != "") {
			t.Errorf("%s: has something of her: %t; listed: %q", table, has, impersonal[table])
		}
	}
	const lives = `select (select jsonb_agg(to_jsonb(u) order by id) from auth.users as u where id <> ` + zeldaID + `),
		(select jsonb_agg(to_jsonb(e) order by id) from postern.events as e where user_id <> ` + zeldaID + `),
		(select jsonb_agg(jsonb_build_array(a.id, a.payload, a.ip_address) order by id) from auth.audit_log_entries as a where payload::text ~ '` + namesakes + `')`
	before := ask(t, tx, lives)
	playSteps(t, tx, []step{
		{"select postern.anonymise_user('nobody@example.com')", "PT404 user_not_found: There is no user nobody@example.com"},
		{"select postern.anonymise_user('Zelda@example.com')", zelda},
		{"select postern.anonymise_user('zelda@example.com')", "PT404 user_not_found: There is no user zelda@example.com"},
		// What Supabase Auth cannot read as null (spec/05 section 7).
		{`select num_nulls(aud, role, confirmation_token, recovery_token, email_change_token_new, email_change_token_current, email_change, phone_change,
			phone_change_token, reauthentication_token, email_change_confirm_status, created_at, updated_at, instance_id),
			concat(email, phone, encrypted_password, confirmed_at, last_sign_in_at), raw_app_meta_data, raw_user_meta_data, is_anonymous, is_sso_user, deleted_at,
			banned_until > now() + interval '99 years' from auth.users where id = ` + zeldaID, `0,",{},{},f,f,,t`},
		{"select string_agg(name || ' ' || who, ', ' order by who) from postern.limits", "token 198.51.100.1, passwords of somebody else"},
		{"select payload from postern.outbox", `{"data": {"actor": "user", "user_id": "` + zelda + `", "event_id": 7, "session_id": null}, "type": "user.tested"}`},
		{"select string_agg(distinct reason || ' ' || actor, ', ') from postern.session_ends where user_id = " + zeldaID, "logout user, user_deleted " + ask1(t, tx, "select session_user::text")},
		{"select count(*), count(*) filter (where data <> '{}') from postern.events where user_id = " + zeldaID + " and type in ('user.created', 'user.tested')", "2,0"},
		{"select type, actor = session_user from postern.events where user_id = " + zeldaID + " order by id desc limit 1", "user.anonymised,t"},
		{"select payload ->> 'action', payload -> 'traits', payload ->> 'actor_username' = session_user from auth.audit_log_entries where payload::text ~ 'user_modified'",
			`user_modified,"{"user_id": "` + zelda + `", "user_email": "", "user_phone": ""}",t`},
		{"select payload, ip_address from auth.audit_log_entries where payload::text ~ 'provider' and payload::text ~ 'login'",
			`{"action": "login", "traits": {"provider": "github"}, "actor_id": "` + zelda + `", "log_type": "account", "actor_via_sso": false, "actor_username": ""}",`},
		// What she did to bob stays, with bob.
		{"select payload -> 'traits' from auth.audit_log_entries where payload::text ~ 'user_invited'", `{"user_id": "` + bob + `", "user_email": "bob@example.com"}`},
		{"select postern.anonymise_user('" + zelda + "')", zelda},
		{"select count(*) from postern.purge_deleted('0')", "0"},
	})
	for _, table := range tables {
		for _, row := range rowsWith(t, tx, table) {
			t.Errorf("%s still has %s", table, row)
		}
	}
	if after := ask(t, tx, lives); after != before {
		t.Errorf("somebody else changed: %s\n%s", before, after)
	}
}

// ask1 is the one value of a query.
func ask1(t *testing.T, tx pgx.Tx, query string) string {
	t.Helper()
	return texts(t, tx, query)[0]
}

// An account that was deleted softly, or that is anonymous, stays once it is anonymised.
func TestAnonymisedUsersStay(t *testing.T) {
	t.Parallel()
	playSteps(t, admin(t), []step{
		{"update auth.users set is_anonymous = true, created_at = '2001-01-01' where id = " + bobID, ""},
		{"select postern.delete_user('ann@example.com', soft => true), postern.anonymise_user('" + ann + "'), postern.anonymise_user('bob@example.com')", ann + "," + ann + "," + bob},
		{"select count(*) from postern.purge_deleted('0')", "0"},
		{"update postern.settings set value = value || '{\"retention\": {\"anonymous_users\": 60, \"deleted_users\": 60}}'", ""},
		{"select sum(rows) from postern.run_maintenance() where rule in ('anonymous_users', 'deleted_users')", "0"},
		{"select count(postern.delete_user(id::text)) from auth.users where id in (" + annID + ", " + bobID + ")", "2"},
		{"select payload #>> '{traits,user_email}' from auth.audit_log_entries where payload ->> 'action' = 'user_deleted' and payload #>> '{traits,user_id}' = " + bobID, ""},
		{"select count(*) from auth.audit_log_entries where payload::text ~ 'bob@'", "0"},
	})
}

// leftOut are columns that an export does not show, and tables of which it shows nothing, with the reason.
var leftOut = map[string]string{
	"auth.users.encrypted_password": "hash", "auth.users.confirmation_token": "hash", "auth.users.recovery_token": "hash", "auth.users.email_change_token_new": "hash",
	"auth.users.email_change_token_current": "hash", "auth.users.phone_change_token": "hash", "auth.users.reauthentication_token": "hash",
	"auth.mfa_factors.secret": "secret", "auth.mfa_factors.web_authn_credential": "key", "auth.mfa_factors.last_webauthn_challenge_data": "challenge",
	"auth.mfa_challenges.otp_code": "code", "auth.mfa_challenges.web_authn_session_data": "challenge",
	"auth.sessions.refresh_token_hmac_key": "key", "auth.refresh_tokens.token": "token", "auth.refresh_tokens.parent": "token",
	"auth.one_time_tokens.token_hash": "hash", "auth.flow_state.auth_code": "code", "auth.flow_state.code_challenge": "hash",
	"auth.flow_state.provider_access_token": "token", "auth.flow_state.provider_refresh_token": "token", "auth.flow_state.invite_token": "token",
	"auth.webauthn_credentials.credential_id": "key", "auth.webauthn_credentials.public_key": "key", "auth.webauthn_challenges.session_data": "challenge",
	"auth.oauth_authorizations.authorization_id": "names a request that can be approved", "auth.oauth_authorizations.authorization_code": "code",
	"auth.oauth_authorizations.state": "secret of the client", "auth.oauth_authorizations.nonce": "secret of the client", "auth.oauth_authorizations.code_challenge": "hash",
	"auth.saml_relay_states.request_id": "secret of the request", "postern.outbox.payload": "links and codes",
	"postern.provider_tokens.access_token": "token", "postern.provider_tokens.refresh_token": "token", "postern.code_guesses.token_hash": "hash",
	"postern.link_secrets": "hashes of links", "postern.user_imports.document": "may hold a hash", "postern.user_imports.account": "may hold a hash",
}

// Whatever knows users is in the export with all columns, or left out with a reason; and no secret is in it.
func TestExportUser(t *testing.T) {
	t.Parallel()
	tx := inhabited(t)
	for _, s := range []string{"select postern.create_user('late@example.com')", "update postern.events set data = data || '{\"of\": \"somebody\"}' where user_id <> " + zeldaID} {
		if _, err := tx.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	text := ask1(t, tx, "select postern.export_user('+15557771')::text")
	var bundle map[string]map[string][]map[string]any
	var head struct {
		ExportedAt string `json:"exported_at"`
	}
	if err := json.Unmarshal([]byte(text), &head); err != nil || head.ExportedAt == "" {
		t.Fatalf("%v: %s", err, text)
	}
	if err := json.Unmarshal([]byte(strings.Replace(text, `"exported_at": "`+head.ExportedAt+`"`, `"": {}`, 1)), &bundle); err != nil {
		t.Fatal(err)
	}
	for _, table := range knowUsers(t, tx) {
		schema, name, _ := strings.Cut(table, ".")
		rows := bundle[schema][name]
		if leftOut[table] != "" {
			continue
		} else if len(rows) == 0 {
			t.Errorf("%s knows users, and nothing of it is in the export", table)
			continue
		}
		for _, column := range texts(t, tx, "select attname::text from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped", table) {
			if _, has := rows[0][column]; has == (leftOut[table+"."+column] != "") {
				t.Errorf("%s.%s: in the export %t, to be left out %q", table, column, has, leftOut[table+"."+column])
			}
		}
	}
	for _, word := range []string{"hush", "grizelda", "somebody", ann} {
		if strings.Contains(text, word) {
			t.Errorf("%s is in the export", word)
		}
	}
	want := map[string]int{"identities": 3, "sessions": 2, "refresh_tokens": 2, "flow_state": 2, "mfa_challenges": 1, "saml_relay_states": 1}
	for name, n := range want {
		if got := len(bundle["auth"][name]); got != n {
			t.Errorf("%s: %d rows, want %d", name, got, n)
		}
	}
	if n := len(bundle["auth"]["audit_log_entries"]); n != 5 {
		t.Errorf("audit entries: %d", n)
	}
	if bundle["auth"]["users"][0]["has_password"] != true {
		t.Errorf("user: %v", bundle["auth"]["users"])
	}
	playSteps(t, tx, []step{
		{"select actor = session_user, data from postern.events where type = 'user.exported' and user_id = " + zeldaID, "t,{}"},
		{"select postern.export_user('nobody@example.com')", "PT404 user_not_found: There is no user nobody@example.com"},
		{"select count(postern.export_user(id::text)) = count(*) from auth.users", "t"},
		{"select jsonb_path_exists(postern.export_user('" + bob + "'), '$.*.mfa_factors[*]'), postern.export_user('" + bob + "') #>> '{auth,users,0,has_password}'", "f,true"},
	})
}

// knowUsers lists the tables that know a user: by a foreign key to one that does, or by the name of a column.
func knowUsers(t *testing.T, tx pgx.Tx) []string {
	t.Helper()
	tables := texts(t, tx, `
		with recursive known (relation) as (
		  select 'auth.users'::regclass::oid
		  union
		  select f.relation from known as k join (
		    select c.conrelid as relation, c.confrelid as parent from pg_constraint as c where c.contype = 'f'
		  ) as f on f.parent = k.relation
		)
		select distinct format('%s.%s', relnamespace::regnamespace, relname) from pg_class as c
		where relnamespace in ('auth'::regnamespace, 'postern'::regnamespace) and relkind in ('r', 'p') and not relispartition
		  and (exists (select from known where relation = c.oid) or relname = 'audit_log_entries' or exists (
		    select from pg_attribute as a where attrelid = c.oid and attnum > 0
		      and attname in ('user_id', 'linking_target_id', 'session_id', 'factor_id', 'identity_id', 'flow_id', 'token_id', 'challenge_id', 'flow_state_id', 'email', 'phone', 'recipient', 'address')))
		order by 1`)
	if len(tables) < 24 {
		t.Fatalf("only %v", tables)
	}
	for _, name := range slices.Sorted(maps.Keys(leftOut)) {
		parts := strings.Split(name, ".")
		if !slices.Contains(tables, strings.Join(parts[:2], ".")) {
			t.Errorf("%s is left out, and does not know users", name)
		}
	}
	return tables
}
