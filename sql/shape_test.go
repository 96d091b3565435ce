package sql_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Schema auth is that of spec/05: in a database made from empty, and in one that Postern worked on and has left.
func TestSchemaIsThatOfTheSpec(t *testing.T) {
	t.Parallel()
	for state, leave := range map[string][]string{
		"installed": nil,
		"left":      {published, people, annSession, "select postern.delete_user('ann@example.com')", "drop schema postern_internal, postern cascade"},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			conn := installed(t)
			exec(t, conn, leave...)
			columnsAreThoseOfTheSpec(t, conn)
			namesAreThoseOfTheSpec(t, conn)
			keysAndIndexesAreThoseOfTheSpec(t, conn)
			enumsAreThoseOfTheSpec(t, conn)
			functionsAreThoseOfTheSpec(t, conn)
			stampsAreAllThere(t, conn)
			grantsAreThoseOfTheSpec(t, conn)
			checksRejectWhatTheSpecSays(t, conn)
		})
	}
}

// columnsAreThoseOfTheSpec: in its order.
func columnsAreThoseOfTheSpec(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	exec(t, conn, "set search_path = auth")
	got := lines(t, conn, `
		select concat_ws(E'\t', relname, attname,
		  replace(replace(replace(replace(format_type(atttypid, atttypmod),
		    'character varying', 'varchar'), 'timestamp with time zone', 'timestamptz'),
		    'timestamp without time zone', 'timestamp'), 'boolean', 'bool'),
		  case when attnotnull then 'no' else 'yes' end,
		  case
		    when attgenerated <> '' then '-'
		    else coalesce(
		      case when expression like 'NULL::%' then '-'
		        when expression like 'nextval(%' then 'next of refresh_tokens_id_seq'
		        when expression = '(now() + ''00:03:00''::interval)' then 'now() + 3 minutes'
		        else regexp_replace(expression, '::[a-z_ \[\]]+$', '') end, '-')
		  end,
		  case when attgenerated = 's' then 'generated' else '-' end)
		from pg_class c
		join pg_attribute a on attrelid = c.oid and attnum > 0 and not attisdropped
		left join pg_attrdef on adrelid = attrelid and adnum = attnum
		cross join lateral (select pg_get_expr(adbin, adrelid)) as d (expression)
		where relnamespace = 'auth'::regnamespace and relkind = 'r'
		order by relname, attnum`)
	want := fileLines(t, "columns.tsv")
	slices.SortStableFunc(want, func(a, b string) int { return strings.Compare(table(a), table(b)) })
	diff(t, "columns", want, got)
}

func table(line string) string {
	name, _, _ := strings.Cut(line, "\t")
	return name
}

// namesAreThoseOfTheSpec: all keys, constraints and indexes have the names of spec/05; checks that it does not name are
// PostgreSQL's to name, and counted.
func namesAreThoseOfTheSpec(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	got := lines(t, conn, `
		select concat_ws(E'\t', conrelid::regclass, conname) collate "C"
		from pg_constraint
		where connamespace = 'auth'::regnamespace and contype <> 'n'
		  and not (contype = 'c' and conname ~ '^(oauth_clients|oauth_authorizations|oauth_consents|custom_oauth_providers|webauthn_challenges)')
		union
		select concat_ws(E'\t', indrelid::regclass, relname) collate "C"
		from pg_index join pg_class c on c.oid = indexrelid
		where relnamespace = 'auth'::regnamespace
		order by 1`)
	diff(t, "names", fileLines(t, "names.tsv"), got)

	exec(t, conn, "set search_path = auth")
	checks := lines(t, conn, `
		select format('%s %s', conrelid::regclass, count(*))
		from pg_constraint
		where connamespace = 'auth'::regnamespace and contype = 'c' and conname ~ ('^' || conrelid::regclass || '_.*check\d*$')
		group by conrelid order by 1`)
	diff(t, "checks without a name in the spec", []string{
		"custom_oauth_providers 18", "oauth_authorizations 8", "oauth_clients 4", "oauth_consents 3",
		"one_time_tokens 1", "users 1", "webauthn_challenges 1",
	}, checks)
}

func enumsAreThoseOfTheSpec(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	diff(t, "enums", []string{
		"aal_level: aal1, aal2, aal3",
		"code_challenge_method: s256, plain",
		"factor_status: unverified, verified",
		"factor_type: totp, webauthn, phone",
		"oauth_authorization_status: pending, approved, denied, expired",
		"oauth_client_type: public, confidential",
		"oauth_registration_type: dynamic, manual",
		"oauth_response_type: code",
		"one_time_token_type: confirmation_token, reauthentication_token, recovery_token, " +
			"email_change_token_new, email_change_token_current, phone_change_token",
	}, lines(t, conn, `
		select typname || ': ' || string_agg(enumlabel, ', ' order by enumsortorder)
		from pg_enum join pg_type t on t.oid = enumtypid
		where typnamespace = 'auth'::regnamespace group by typname order by 1`))
}

func stampsAreAllThere(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	diff(t, "stamps", fileLines(t, "stamps.txt"), stamps(t, conn))
}

// grantsAreThoseOfTheSpec: row level security and the grant to dashboards go together, on 16 tables and no other.
func grantsAreThoseOfTheSpec(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	got := lines(t, conn, `
		select relname || ' ' || coalesce(array_to_string(relacl, ' '), '-')
		from pg_class where relnamespace = 'auth'::regnamespace and relrowsecurity order by 1`)
	var want []string
	for _, name := range []string{
		"audit_log_entries", "flow_state", "identities", "instances", "mfa_amr_claims", "mfa_challenges", "mfa_factors",
		"one_time_tokens", "refresh_tokens", "saml_providers", "saml_relay_states", "schema_migrations", "sessions",
		"sso_domains", "sso_providers", "users",
	} {
		want = append(want, name+" supabase_auth_admin=arwdDxt/supabase_auth_admin postgres=r*/supabase_auth_admin")
	}
	if lines(t, conn, "show server_version_num")[0] >= "170000" { // MAINTAIN
		for i := range want {
			want[i] = strings.Replace(want[i], "arwdDxt", "arwdDxtm", 1)
		}
	}
	diff(t, "tables with row level security", want, got)
	diff(t, "other tables with grants, forced tables, policies, triggers, rules", []string(nil), lines(t, conn, `
		select relname::text from pg_class
		where relnamespace = 'auth'::regnamespace and relkind = 'r'
		  and (relforcerowsecurity or not relrowsecurity and relacl is not null)
		union all
		select polname::text from pg_policy join pg_class as c on c.oid = polrelid where relnamespace = 'auth'::regnamespace
		union all
		select tgname::text from pg_trigger join pg_class as c on c.oid = tgrelid
		where relnamespace = 'auth'::regnamespace and not tgisinternal
		union all
		select format('%s is of kind %s', relname, relkind) from pg_class
		where relnamespace = 'auth'::regnamespace and (relkind not in ('r', 'i', 'S') or relhasrules)`))
}

// keysAndIndexesAreThoseOfTheSpec: what they hold, not only their names (spec/05 section 4).
func keysAndIndexesAreThoseOfTheSpec(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	exec(t, conn, "set search_path = ''")
	diff(t, "indexes", fileLines(t, "indexes.tsv"), lines(t, conn, `
		select concat_ws(E'\t', indrelid::regclass, relname, regexp_replace(regexp_replace(pg_get_indexdef(indexrelid),
		  '^CREATE (UNIQUE )?INDEX \S+ ON \S+ USING ', '\1'), '::(text|character varying)|auth\.', '', 'g')) collate "C"
		from pg_index join pg_class as c on c.oid = indexrelid
		where relnamespace = 'auth'::regnamespace and not indisprimary order by 1`))
	diff(t, "foreign keys", fileLines(t, "foreign_keys.tsv"), lines(t, conn, `
		select concat_ws(E'\t', conrelid::regclass, conname, pg_get_constraintdef(oid)) collate "C"
		from pg_constraint where connamespace = 'auth'::regnamespace and contype = 'f' order by 1`))
	diff(t, "primary keys", []string{"(id) 22", "(version) 1"}, lines(t, conn, `
		select format('%s %s', substr(pg_get_constraintdef(oid), 13), count(*))
		from pg_constraint where connamespace = 'auth'::regnamespace and contype = 'p' group by substr(pg_get_constraintdef(oid), 13) order by 1`))
	diff(t, "sequences", []string{"refresh_tokens_id_seq bigint 1 1 9223372036854775807 1 f"}, lines(t, conn, `
		select concat_ws(' ', sequencename, data_type, start_value, min_value, max_value, increment_by, cycle) from pg_sequences where schemaname = 'auth'`))
}

// functionsAreThoseOfTheSpec: section 3, and the values for claims in either form.
func functionsAreThoseOfTheSpec(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	exec(t, conn, "set search_path = ''")
	diff(t, "functions", []string{"email text", "jwt jsonb", "role text", "uid uuid"}, lines(t, conn, `
		select format('%s %s', proname, prorettype::regtype)
		from pg_proc as p join pg_language as l on l.oid = prolang
		where pronamespace = 'auth'::regnamespace
		  and (prokind, pronargs, lanname, provolatile, proisstrict, prosecdef, proparallel, proacl::text, proconfig::text)
		    is not distinct from ('f', 0, 'sql', 's', false, false, 'u', null, null)
		order by 1`))
	diff(t, "other functions", []string{"4"}, lines(t, conn, "select count(*)::text from pg_proc where pronamespace = 'auth'::regnamespace"))
	const values = "select concat_ws(',', auth.uid(), auth.role(), auth.email(), auth.jwt())"
	exec(t, conn, `set request.jwt.claims = '{"sub":"`+ann+`","role":"r","email":"e"}'`)
	diff(t, "claims", []string{ann + `,r,e,{"sub": "` + ann + `", "role": "r", "email": "e"}`}, lines(t, conn, values))
	exec(t, conn, "set request.jwt.claim.sub = '"+bob+"'", "set request.jwt.claim.role = 's'", "set request.jwt.claim.email = 'f'", `set request.jwt.claim = '{"a": 1}'`)
	diff(t, "settings for each claim", []string{bob + `,s,f,{"a": 1}`}, lines(t, conn, values))
	exec(t, conn, "set request.jwt.claim.sub = ''", "set request.jwt.claim.role = ''", "set request.jwt.claim.email = ''", "set request.jwt.claim = ''", "set request.jwt.claims = ''")
	diff(t, "empty settings", []string{""}, lines(t, conn, values))
}

func checksRejectWhatTheSpecSays(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	const provider = `insert into auth.custom_oauth_providers (provider_type, identifier, name, client_id, client_secret,
		issuer, discovery_url, authorization_url, token_url, userinfo_url) values `
	for _, test := range []struct{ name, statement, constraint string }{
		{"a not empty check", `insert into auth.sso_domains values (gen_random_uuid(), gen_random_uuid(), '')`, "domain not empty"},
		{"status of an e-mail change", `insert into auth.users (id, email_change_confirm_status) values (gen_random_uuid(), 3)`, "users_email_change_confirm_status_check"},
		{"oauth2 without a token URL", provider + `('oauth2', 'custom:a', 'a', 'b', 'c', null, null, 'https://a', null, 'https://c')`, "custom_oauth_providers_check"},
		{"oidc without an issuer", provider + `('oidc', 'custom:a', 'a', 'b', 'c', null, null, null, null, null)`, "custom_oauth_providers_check1"},
		{"oidc with a plain issuer", provider + `('oidc', 'custom:a', 'a', 'b', 'c', 'http://a', null, null, null, null)`, "custom_oauth_providers_check2"},
		{"a blank scope", `insert into auth.oauth_consents (id, user_id, client_id, scopes) values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), ' ')`, "oauth_consents_scopes_check1"},
		{"a long nonce", `insert into auth.oauth_authorizations (id, authorization_id, client_id, redirect_uri, scope, nonce)
			values (gen_random_uuid(), 'a', gen_random_uuid(), 'b', 'c', repeat('n', 256))`, "oauth_authorizations_nonce_check"},
		{"an empty resource id passes", `insert into auth.sso_providers (id, resource_id) values (gen_random_uuid(), '')`, ""},
		{"oidc with an issuer passes", provider + `('oidc', 'custom:a', 'a', 'b', 'c', 'https://a', null, null, null, null)`, ""},
	} {
		_, err := conn.Exec(t.Context(), test.statement)
		if got := constraintOf(err); got != test.constraint || test.constraint == "" && err != nil {
			t.Errorf("%s: rejected by %q (%v), want %q", test.name, got, err, test.constraint)
		}
	}
}
