package api_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	varint "encoding/binary" // binary is the program's
	"fmt"
	"os"
	"slices"
	"strings"
)

// interchangeRule is a rule of spec/05 in its words, a query for what breaks it, and a statement after which it is broken.
type interchangeRule struct{ text, query, breaking string }

const nilUUID = "'00000000-0000-0000-0000-000000000000'"

// notNull are the columns of spec/05 section 7: "These NULLs make every request that loads the row fail with status 500".
var notNull = map[string]string{
	"users": "aud role confirmation_token recovery_token email_change_token_new email_change_token_current email_change phone_change " +
		"phone_change_token reauthentication_token email_change_confirm_status created_at updated_at",
	"refresh_tokens":    "token user_id revoked created_at updated_at",
	"sessions":          "created_at updated_at",
	"identities":        "created_at updated_at",
	"flow_state":        "provider_access_token provider_refresh_token created_at updated_at",
	"mfa_factors":       "friendly_name secret",
	"mfa_challenges":    "otp_code",
	"oauth_clients":     "client_secret_hash",
	"audit_log_entries": "created_at",
}

// nullRules are those of section 7.
func nullRules() (rules []interchangeRule) {
	for table, columns := range notNull {
		for _, column := range strings.Fields(columns) {
			breaking := fmt.Sprintf("update auth.%s set %s = null", table, column)
			if table == "oauth_clients" { // which this server does not make yet
				breaking = `insert into auth.oauth_clients (id, registration_type, redirect_uris, grant_types, token_endpoint_auth_method)
					values (gen_random_uuid(), 'manual', 'https://a', 'authorization_code', 'none')`
			}
			rules = append(rules, interchangeRule{
				fmt.Sprintf("7: %s.%s must not be NULL though the catalog allows it", table, column),
				fmt.Sprintf("select id from auth.%s where %s is null", table, column), breaking,
			})
		}
	}
	for table, why := range map[string]string{
		"users":             "NULL or another value makes the user invisible (404), write the nil UUID",
		"refresh_tokens":    "instance_id = nil UUID",
		"audit_log_entries": "instance_id = nil UUID (else not listed)",
	} {
		rules = append(rules, interchangeRule{"7: " + table + ".instance_id: " + why,
			"select id from auth." + table + " where instance_id is distinct from " + nilUUID, "update auth." + table + " set instance_id = null"})
	}
	for column, table := range map[string]string{"email": "users", "phone": "users", "parent": "refresh_tokens"} {
		where := " where id = (select id from auth." + table + " limit 1)" // phone is unique
		rules = append(rules, interchangeRule{"7: The peer itself writes NULL (not the empty string) for an absent e-mail, phone and parent: " + column,
			"select id from auth." + table + " where " + column + " = ''", "update auth." + table + " set " + column + " = ''" + where})
	}
	return rules
}

// specColumns are the columns of spec/05 section 4, as values of SQL.
func specColumns() string {
	text, err := os.ReadFile("../sql/testdata/columns.tsv")
	if err != nil {
		panic(err)
	}
	var values []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(line, "\t")
		values = append(values, fmt.Sprintf("('%s', '%s')", fields[0], fields[1]))
	}
	return strings.Join(values, ", ")
}

// userTokens is where users keep an open token of a type, with the time it was sent at.
const userTokens = `(select u.id, c.* from auth.users as u cross join lateral (values
	('confirmation_token', u.confirmation_token, u.confirmation_sent_at), ('recovery_token', u.recovery_token, u.recovery_sent_at),
	('email_change_token_new', u.email_change_token_new, u.email_change_sent_at), ('email_change_token_current', u.email_change_token_current, u.email_change_sent_at),
	('phone_change_token', u.phone_change_token, u.phone_change_sent_at), ('reauthentication_token', u.reauthentication_token, u.reauthentication_sent_at)
	) as c (kind, hash, sent_at))`

// claimsOf compares what the functions of section 3 return with what they should, once the claims are set.
const claimsOf = `select 'wrong' from (select set_config('request.jwt.claims', '{"sub": "` + annID + `", "role": "r", "email": "e"}', true) as text offset 0) as claims
	where case when claims.text <> '' then (auth.uid(), auth.role(), auth.email(), auth.jwt() ->> 'sub') is distinct from ('` + annID + `'::uuid, 'r', 'e', '` + annID + `') end`

// interchangeRules are those of section 9. Rules 5 and 6, about databases of other versions, are in sql/upgrade_test.go.
func interchangeRules() []interchangeRule {
	columns := specColumns()
	return slices.Concat([]interchangeRule{
		{"9.1: Keep every table, column, type, constraint and index above, with its name",
			"select n from (values " + columns + ") as s (t, n) where not exists (select from pg_attribute where attrelid = to_regclass('auth.' || s.t) and attname = s.n and not attisdropped)",
			"alter table auth.users rename column is_super_admin to was_super_admin"},
		{"9.1: Names that the peer uses in statements: mfa_amr_claims_session_id_authentication_method_pkey",
			"select 1 where not exists (select from pg_constraint where conname = 'mfa_amr_claims_session_id_authentication_method_pkey' and contype = 'u' and conrelid = 'auth.mfa_amr_claims'::regclass)",
			"alter table auth.mfa_amr_claims rename constraint mfa_amr_claims_session_id_authentication_method_pkey to x"},
		{"9.2: Never drop or rewrite a column, and add no column to any peer table",
			"select attname from pg_attribute as a join pg_class as c on c.oid = a.attrelid where c.relnamespace = 'auth'::regnamespace and relkind = 'r' and attnum > 0" +
				" and (attisdropped or (relname, attname) not in (values " + columns + "))",
			"alter table auth.sessions add column extra int"},
		{"9.3: Put the replacement's own objects under names that the peer does not use",
			"select relname from pg_class where relnamespace = 'auth'::regnamespace and relkind in ('r', 'v', 'm', 'p', 'f') and relname not in (select t from (values " + columns + ") as s (t, n))" +
				" union all select proname from pg_proc where pronamespace = 'auth'::regnamespace and proname not in ('uid', 'role', 'email', 'jwt')" +
				" union all select tgname from pg_trigger as t join pg_class as c on c.oid = tgrelid where relnamespace = 'auth'::regnamespace and not tgisinternal",
			"create view auth.more as select 1 as a"},
		{"9.3: do not add foreign stamps to schema_migrations",
			"select version from auth.schema_migrations where version not in (" + stampList() + ")", "insert into auth.schema_migrations values ('20991231000000')"},
		{"9.4: insert all 70 stamps, so that the peer's migrate is a no-op afterwards",
			"select s from unnest(array[" + stampList() + "]) as s where s not in (select version from auth.schema_migrations)", "delete from auth.schema_migrations where version = '00'"},
		{"9.4: use varchar(255) or at least varchar(14)",
			"select 1 from pg_attribute where attrelid = 'auth.schema_migrations'::regclass and attname = 'version' and atttypmod not between 18 and 259",
			"alter table auth.schema_migrations alter version type varchar(300)"},
		{"9.7: Keep the generated columns generated (users.confirmed_at, identities.email)",
			"select 1 where 2 <> (select count(*) from pg_attribute where attgenerated = 's' and (attrelid, attname) in (('auth.users'::regclass, 'confirmed_at'), ('auth.identities'::regclass, 'email')))",
			"alter table auth.identities alter email drop expression"},
	}, valueRules, sessionRules, catalogRules)
}

// valueRules are about the values of users, tokens and factors.
var valueRules = []interchangeRule{
	// Hashes stand for the contacts of soft-deleted users, as in the peer.
	{"9.8: lower-case e-mail", "select email from auth.users where deleted_at is null and (email <> lower(email) or email_change <> lower(email_change))" +
		" union all select identity_data ->> 'email' from auth.identities where identity_data ->> 'email' <> lower(identity_data ->> 'email')" +
		" union all select relates_to from auth.one_time_tokens where relates_to <> lower(relates_to)",
		"update auth.identities set identity_data = '{\"email\": \"A@b.c\"}'"},
	{"9.8: phone digits without +", "select phone from auth.users where deleted_at is null and (phone !~ '^[0-9]+$' or phone_change !~ '^[0-9]*$')" +
		" union all select phone from auth.mfa_factors where phone !~ '^[0-9]*$'", "update auth.users set phone_change = '+1555'"},
	{"4.5: one_time_tokens.token_hash: hex SHA-224 of (address + code), with pkce_ prefix in the PKCE flow",
		"select token_hash from auth.one_time_tokens where token_hash !~ '^(pkce_)?[0-9a-f]{56}$'", "update auth.one_time_tokens set token_hash = upper(token_hash)"},
	{"9.9: Write one_time_tokens AND the matching users column in the same transaction",
		"select t.relates_to, t.token_type from auth.one_time_tokens as t where not exists (select from " + userTokens + " as u where u.id = t.user_id and u.kind = t.token_type::text and u.hash = t.token_hash)",
		"update auth.users set recovery_token = ''"},
	{"9.9: clearing one without the other leaves a dead or a stale token",
		"select u.kind, u.id from " + userTokens + " as u where u.hash <> '' and not exists (select from auth.one_time_tokens as t where u.id = t.user_id and u.kind = t.token_type::text and u.hash = t.token_hash)",
		"delete from auth.one_time_tokens"},
	{"9.9: and then checks the sent-at times on users", "select u.kind, u.id from " + userTokens + " as u where u.hash <> '' and (u.sent_at is null or u.sent_at > now())",
		"update auth.users set recovery_sent_at = null"},
	{"9.10: Timestamps without time zone (sessions.refreshed_at, one_time_tokens.*) hold UTC",
		"select at from (select refreshed_at from auth.sessions union all select created_at from auth.one_time_tokens union all select updated_at from auth.one_time_tokens) as t (at)" +
			" where at not between (now() at time zone 'UTC') - interval '1 hour' and now() at time zone 'UTC' + interval '1 minute'",
		"update auth.sessions set refreshed_at = now() at time zone 'Asia/Tokyo'"},
	{"9.16: Password hashes: write bcrypt cost 10, so that the peer can read it", // the least cost where tests hash
		"select encrypted_password from auth.users where encrypted_password <> '' and encrypted_password !~ '^\\$2a\\$(10|04)\\$[./0-9A-Za-z]{53}$'",
		"update auth.users set encrypted_password = '$2b$12$' || repeat('a', 53)"},
	{"4.1: email_change_confirm_status: how many of the two confirmations of a secure e-mail change are done",
		"select id from auth.users where email_change_confirm_status > 0 and email_change = ''", "update auth.users set email_change_confirm_status = 1"},
	{"4.2: identities.provider_id: id of the user at the provider (identity_data.sub)",
		"select i.provider from auth.identities as i join auth.users as u on u.id = i.user_id where u.deleted_at is null and i.provider_id is distinct from i.identity_data ->> 'sub'",
		"update auth.identities set provider_id = 'x' || id"},
	{"4.6: mfa_factors.secret: TOTP secret (base32); empty for other types", "select id from auth.mfa_factors where (factor_type = 'totp') <> (secret ~ '^[A-Z2-7]{16,}$')",
		"update auth.mfa_factors set secret = 'x'"},
	{"4.7: mfa_challenges.otp_code: code in clear; empty for other factors",
		"select c.id from auth.mfa_challenges as c join auth.mfa_factors as f on f.id = c.factor_id where (f.factor_type = 'phone') <> (c.otp_code ~ '^[0-9]{6,10}$')",
		"update auth.mfa_challenges set otp_code = 'x'"},
	{"4.9: flow_state.auth_code: uuid text handed to the client", "select id from auth.flow_state where code_challenge is not null and auth_code !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'",
		"update auth.flow_state set auth_code = 'x'"},
}

// sessionRules are about sessions and their tokens.
var sessionRules = []interchangeRule{
	{"9.11: refresh_tokens.user_id is text: compare with the UUID's text form, lower case",
		"select t.user_id from auth.refresh_tokens as t where not exists (select from auth.sessions as s where s.id = t.session_id and s.user_id::text = t.user_id)",
		"update auth.refresh_tokens set user_id = upper(user_id)"},
	{"9.12: format 1 is looked up in refresh_tokens; format 1 has exactly 12 characters", "select token from auth.refresh_tokens where token !~ '^[a-z2-7]{12}$'",
		"update auth.refresh_tokens set token = upper(token)"},
	{"4.4: refresh_tokens.parent: token string that this one replaced",
		"select t.token from auth.refresh_tokens as t where t.parent is not null and not exists (select from auth.refresh_tokens as p where p.token = t.parent and p.session_id = t.session_id and p.revoked)",
		"update auth.refresh_tokens set revoked = false"},
	{"9.12: format 2 is checked with the key and counter of the session row",
		"select s.id from auth.sessions as s where (s.refresh_token_hmac_key is null) <> (s.refresh_token_counter is null) or s.refresh_token_hmac_key !~ '^[A-Za-z0-9_-]{43}$'" +
			" or (s.refresh_token_hmac_key is null) <> exists (select from auth.refresh_tokens as t where t.session_id = s.id and not t.revoked)",
		"update auth.sessions set refresh_token_counter = null"},
	{"9.13: mfa_amr_claims rows are part of a sign-in and must be written with it",
		"select s.id from auth.sessions as s where not exists (select from auth.mfa_amr_claims as c where c.session_id = s.id)", "delete from auth.mfa_amr_claims"},
	{"9.13: Session rows decide AAL and AMR",
		"select s.id from auth.sessions as s where (s.aal = 'aal2') <> exists (select from auth.mfa_amr_claims as c where c.session_id = s.id and c.authentication_method in ('totp', 'mfa/phone', 'mfa/webauthn'))" +
			" or (s.aal = 'aal2') <> (s.factor_id is not null)",
		"update auth.sessions set aal = 'aal1'"},
}

// catalogRules are about grants, functions, indexes of others, and the audit log.
var catalogRules = []interchangeRule{
	{"9.14: A postgres role that can SELECT with grant option is expected by dashboards; keep the grants of section 1",
		"select relname from pg_class where relnamespace = 'auth'::regnamespace and relkind = 'r' and relrowsecurity <> exists (" +
			"select from aclexplode(relacl) as a where a.grantee = 'postgres'::regrole and a.privilege_type = 'SELECT' and a.is_grantable)",
		"set local role supabase_auth_admin; revoke grant option for select on auth.users from postgres"},
	{"9.15: The functions of section 3 may be replaced only in place and with the same meaning", claimsOf,
		"create or replace function auth.role() returns text language sql stable as $$ select 'x'::text $$"},
	{"3: no arguments, language sql, STABLE, not strict, SECURITY INVOKER, parallel unsafe, EXECUTE to PUBLIC (default ACL)",
		"select proname from pg_proc as p join pg_language as l on l.oid = prolang where pronamespace = 'auth'::regnamespace" +
			" and (pronargs, lanname, provolatile, proisstrict, prosecdef, proparallel, proacl::text, proconfig::text) is distinct from (0, 'sql', 's', false, false, 'u', null, null)",
		"alter function auth.uid() set search_path = ''"},
	{"9.17: Leave the index-worker indexes alone if present", "select 1 where to_regclass('auth.idx_users_created_at_desc') is null", "drop index auth.idx_users_created_at_desc"},
	{"9.18: audit_log_entries.payload is json: write an object, keep key names",
		"select payload::text from auth.audit_log_entries where json_typeof(payload) <> 'object' or exists (select from json_object_keys(payload) as k" +
			" where k not in ('actor_id', 'actor_username', 'actor_via_sso', 'actor_name', 'action', 'log_type', 'traits'))" +
			" or not payload::jsonb ?& array['actor_id', 'actor_username', 'actor_via_sso', 'action', 'log_type']",
		"update auth.audit_log_entries set payload = '{}'"},
}

// stampList are the 70 stamps of spec/05 section 6, as values of SQL.
func stampList() string {
	text, err := os.ReadFile("../sql/testdata/stamps.txt")
	if err != nil {
		panic(err)
	}
	return "'" + strings.Join(strings.Fields(string(text)), "', '") + "'"
}

// checkRefreshTokens checks, as the peer would, that tokens given out are valid: rule 12 of section 9.
func (s *server) checkRefreshTokens(tokens []string) {
	s.t.Helper()
	count := map[bool]int{}
	for _, token := range tokens {
		isFormat1 := len(token) == 12
		count[isFormat1]++
		if isFormat1 {
			if n := s.scan("select count(*) from auth.refresh_tokens where token = $1 and not revoked", token); n != "1" {
				s.t.Errorf("%s is not in refresh_tokens", token)
			}
			continue
		}
		text, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(text) < 38 || text[0] != 0 {
			s.t.Errorf("%s is no token of format 2: %v", token, err)
			continue
		}
		body, mac, sum := text[:len(text)-20], text[len(text)-20:len(text)-4], text[len(text)-4:]
		counter, _ := varint.Uvarint(body[17:])
		key, err := base64.RawURLEncoding.DecodeString(s.scan(
			"select refresh_token_hmac_key from auth.sessions where id = encode($1, 'hex')::uuid and refresh_token_counter = $2", body[1:17], int64(counter)))
		signed, all := hmac.New(sha256.New, key), sha256.Sum256(text[:len(text)-4])
		signed.Write(body)
		if err != nil || !hmac.Equal(mac, signed.Sum(nil)[:16]) || string(sum) != string(all[:4]) {
			s.t.Errorf("%s is not valid: %v", token, err)
		}
	}
	if count[true] < 5 || count[false] < 5 {
		s.t.Errorf("%d tokens of format 1, %d of format 2", count[true], count[false])
	}
}
