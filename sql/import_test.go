package sql_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/apitest"
)

const (
	bcryptHash = "$2a$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
	django     = "pbkdf2_sha256$1000$seasalt$JgZryXe2Ga8ysg6XbzkLpTdyPQrHqsinbL9BnnhgX4A="

	importReport = "select string_agg(concat_ws(' ', line, outcome, code, message), '; ' order by line) from postern.user_imports"
)

// staged puts documents into the batch b, with lines from 1.
func staged(documents ...string) step {
	values := make([]string, len(documents))
	for i, d := range documents {
		values[i] = fmt.Sprintf("('b', %d, '%s')", i+1, strings.ReplaceAll(d, "'", "''"))
	}
	return step{"insert into postern.user_imports (batch, line, document) values " + strings.Join(values, ", "), ""}
}

func TestImportUsers(t *testing.T) {
	t.Parallel()
	const run = "select * from postern.import_users('b')"
	for name, steps := range map[string][]step{
		"shapes that are refused": {
			staged(`[]`, `{}`, `{"email": "a@example.com", "password": "secret"}`, `{"email": "a@example.com", "passwordHash": "x"}`,
				`{"email": "a"}`, `{"phone": "0123"}`, `{"email": "a@example.com", "password_hash": "md5"}`,
				`{"email": "a@example.com", "created_at": "soon"}`, `{"email": "a@example.com", "banned_until": "infinity"}`,
				`{"email": "a@example.com", "user_metadata": []}`, `{"email": "a@example.com", "app_metadata": {"x": "\u0000"}}`,
				`{"email": "a@example.com", "identities": [{"provider": "github"}]}`, `{"email": "a@example.com", "identities": {}}`,
				`{"email": "a@example.com", "factors": [{"secret": "no base32"}]}`, `{"email": "a@example.com", "id": "7"}`,
				`{"email": "a@example.com", "role": "`+strings.Repeat("x", 256)+`"}`,
				`{"email": "a@example.com", "password_hash": "{\"key_id\":\"1\",\"alg\":\"aes-gcm-hkdf\",\"data\":\"\",\"nonce\":\"\"}"}`),
			{run, "0,0,0,17"},
			{"select string_agg(line || ' ' || message, '; ' order by line), string_agg(distinct code, '') from postern.user_imports",
				`1 The document is no JSON object; 2 Cannot create a user without either an email or phone; ` +
					`3 A password in plain text is not imported; give password_hash; 4 A user has no member passwordHash; ` +
					`5 Unable to validate email address: invalid format; 6 Invalid phone number format (E.164 required); ` +
					`7 Not a password hash of a known format: bcrypt, Argon2, scrypt, PBKDF2, LDAP, sha-crypt, phpass, Django, ASP.NET or Keycloak, within the limits of docs/passwords.md; ` +
					`8 invalid input syntax for type timestamp with time zone: "soon"; 9 The time infinity is out of range; ` +
					`10 Metadata has to be a JSON object; 11 unsupported Unicode escape sequence; 12 An identity needs a provider and an id; ` +
					`13 cannot extract elements from an object; ` +
					`14 A second factor is an authenticator app with a secret in base32, or a phone with its number; ` +
					`15 invalid input syntax for type uuid: "7"; 16 value too long for type character varying(255); ` +
					`17 Not a password hash of a known format: bcrypt, Argon2, scrypt, PBKDF2, LDAP, sha-crypt, phpass, Django, ASP.NET or Keycloak, within the limits of docs/passwords.md",validation_failed`},
			{"select count(*) from auth.users", "4"},
			{"select postern.import_users(' ')", "0,0,0,0"},
			{"select postern.import_users('')", "PT400 validation_failed: An import needs the name of its batch"},
		},
		"those who exist are skipped, by whatever they are known": {
			{armed, ""},
			staged(`{"email": "ANN@example.com"}`, `{"phone": "+1 555 0001"}`, `{"id": "`+bob+`", "email": "new@example.com"}`,
				`{"identities": [{"provider": "github", "id": "7"}]}`, `{"email": "lee@example.com"}`,
				`{"email": "ann@example.com", "phone": "15550001"}`, `{"email": "new@example.com"}`),
			{run, "1,0,5,1"},
			{importReport, "1 skipped; 2 skipped; 3 skipped; 4 skipped; 5 skipped; " +
				"6 refused conflict Id, address, number and identities belong to different users: " + ann + ", " + phone + "; 7 created"},
			{"select count(*) filter (where document is null and is_done), count(*) filter (where account is null) from postern.user_imports", "6,7"},
			{"select count(*) from postern.user_imports as i join auth.users as u on u.id = i.user_id", "6"},
			{run, "1,0,5,1"},
			{"select count(*) from auth.users", "5"},
		},
		"rows of one batch meet": { // line 3 waits for 2, which is the user of 1, and is somebody of their own
			staged(`{"email": "x@example.com", "phone": "15559001"}`, `{"email": "y@example.com", "phone": "15559001"}`,
				`{"email": "y@example.com", "phone": "15559002"}`, `{"email": "X@example.com"}`, `{"email": "y@example.com"}`,
				`{"identities": [{"provider": "google", "id": "1", "identity_data": {"email": "z@example.com"}}]}`, `{"email": "z@example.com"}`),
			{run, "3,0,4,0"},
			{importReport, "1 created; 2 skipped; 3 created; 4 skipped; 5 skipped; 6 created; 7 skipped"},
		},
		"a trigger of the application": {
			{`create function pg_temp.picky() returns trigger language plpgsql as $f$
				begin if new.email like 'bad%' then raise exception 'no % here', new.email; end if; return new; end $f$`, ""},
			{"create trigger picky after insert on auth.users for each row execute function pg_temp.picky()", ""},
			staged(`{"email": "a@example.com"}`, `{"email": "bad1@example.com"}`, `{"email": "c@example.com"}`, `{"email": "bad2@example.com"}`,
				`{"email": "e@example.com"}`),
			{run, "3,0,0,2"},
			{importReport, "1 created; 2 refused unexpected_failure no bad1@example.com here; 3 created; " +
				"4 refused unexpected_failure no bad2@example.com here; 5 created"},
			{"update postern.user_imports set document = '{\"email\": \"good@example.com\"}' where line = 2", ""},
			{run, "4,0,0,1"},
			{"select count(*) from postern.events where type = 'user.created'", "4"},
		},
		"a time-out is no matter of a row": {
			{`create function pg_temp.slow() returns trigger language plpgsql as $f$
				begin raise exception using errcode = '55P03', message = 'locked'; end $f$`, ""},
			{"create trigger slow after insert on auth.users for each row execute function pg_temp.slow()", ""},
			staged(`{"email": "a@example.com"}`),
			{run, "55P03 : locked"},
		},
		"dry run": {
			staged(`{"email": "a@example.com"}`, `{"email": "a@example.com"}`, `{"email": "x"}`, `{"email": "ann@example.com", "role": "editor"}`),
			{"select * from postern.import_users('b', dry_run => true, update_existing => true)", "1,1,1,1"},
			{importReport, "1 created; 2 skipped; 3 refused validation_failed Unable to validate email address: invalid format; 4 updated"},
			{"select (select count(*) from auth.users), (select count(*) from postern.events), (select count(*) from auth.audit_log_entries), (select role from auth.users where id = " + annID + ")",
				"4,0,0,authenticated"},
			{"select count(*) from postern.user_imports where is_done or document is null or account is not null", "0"},
			{run, "1,0,2,1"},
		},
		"in silence": {
			staged(`{"email": "a@example.com"}`, `{"email": "ann@example.com", "role": "editor", "password_hash": "`+django+`", "identities": [{"provider": "gitlab", "id": "1"}]}`),
			{"select * from postern.import_users('b', update_existing => true, silent => true)", "1,1,0,0"},
			{"select (select count(*) from postern.events), (select string_agg(payload ->> 'action', ' ' order by payload ->> 'action') from auth.audit_log_entries)",
				`0,"user_modified user_signedup`},
		},
		"bringing up to date": {
			staged(`{"email": "ann@example.com", "phone": "+15557777", "role": "editor", "password_hash": "`+django+`", "user_metadata": {"a": 1},
				"app_metadata": {"plan": "gold"}, "banned_until": "2099-01-01T00:00:00Z", "phone_confirmed_at": "2020-01-01T00:00:00Z",
				"last_sign_in_at": "2098-01-01T00:00:00Z", "identities": [{"provider": "email"}, {"provider": "gitlab", "id": "9"}]}`,
				`{"email": "bob@example.com"}`),
			{"select * from postern.import_users('b', update_existing => true)", "0,1,1,0"},
			{"select phone, role, encrypted_password, raw_user_meta_data ->> 'a', raw_app_meta_data, banned_until = '2099-01-01Z', phone_confirmed_at = '2020-01-01Z', last_sign_in_at = '2098-01-01Z' from auth.users where id = " + annID,
				`15557777,editor,` + django + `,1,"{"plan": "gold", "provider": "email", "providers": ["email", "gitlab", "phone"]}",t,t,t`},
			{"select count(*) from auth.sessions where user_id = " + annID, "0"},
			{"select count(*) from postern.events where user_id = '" + bob + "'", "0"},
			staged2(`{"email": "ann@example.com", "role": "editor", "user_metadata": {"a": 1}, "password_hash": "` + django + `", "identities": [{"provider": "gitlab", "id": "9"}]}`),
			{"select * from postern.import_users('again', update_existing => true)", "0,0,1,0"},
		},
		"people without address or number": {
			staged(`{"is_anonymous": true}`, `{"email": "ann@example.com", "is_sso_user": true, "identities": [{"provider": "sso:1", "id": "a", "identity_data": {"email": "ann@example.com"}}]}`),
			{run, "2,0,0,0"},
			{"select count(*) from auth.users where is_anonymous or is_sso_user", "2"},
		},
		"an address of another audience": {
			{"update auth.users set aud = 'other' where id = " + annID, ""},
			staged(`{"email": "ann@example.com"}`),
			{run, "0,0,0,1"},
			{importReport, "1 refused conflict Another user has the address or the number"},
		},
		"second factors": {
			staged(`{"email": "a@example.com", "factors": [{"secret": "JBSWY3DPEHPK3PXP", "friendly_name": "app"}, {"factor_type": "phone", "phone": "+15551234"}, {"status": "unverified"}]}`),
			{run, "1,0,0,0"},
			{"select string_agg(concat_ws(' ', factor_type, status, secret, phone, friendly_name), '; ' order by factor_type) from auth.mfa_factors",
				"totp verified JBSWY3DPEHPK3PXP app; phone verified 15551234"},
			{"select string_agg(type, ' ' order by id) from postern.events", "user.created identity.created factor.created factor.created"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}

// staged2 puts a document into another batch.
func staged2(document string) step {
	return step{"insert into postern.user_imports (batch, document) values ('again', '" + document + "')", ""}
}

// An import leaves what postern.create_user leaves, row by row.
func TestImportIsCreation(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	const id = "00000000-0000-4000-8000-0000000000ff"
	for document, call := range map[string]string{
		`{"email": "New@example.com"}`: `email => 'New@example.com'`,
		`{"email": "new@example.com", "phone": "+1 555 8000", "email_confirmed_at": "NOW", "phone_confirmed_at": "NOW", "role": "editor", "password_hash": "HASH"}`: `
			email => 'new@example.com', phone => '+15558000', email_confirm => true, phone_confirm => true, role => 'editor', password_hash => 'HASH'`,
		`{"phone": "15558000", "user_metadata": {"a": {"b": null}}, "app_metadata": {"plan": null, "x": 1}, "password_hash": "HASH"}`: `
			phone => '15558000', user_metadata => '{"a": {"b": null}}', app_metadata => '{"plan": null, "x": 1}', password_hash => 'HASH'`,
		`{"email": "new@example.com", "banned_until": "UNTIL"}`: `email => 'new@example.com', ban_duration => '1 day'`,
	} {
		replaced := strings.NewReplacer("HASH", bcryptHash, "NOW", "2026-01-01T12:00:00Z", "UNTIL", "2026-01-02T12:00:00Z").Replace
		const clock = "set local postern.clock = '2026-01-01 12:00Z'; "
		// Who is made without a password gets a random one from create_user, and none here.
		const same = "; update auth.users set encrypted_password = null where encrypted_password <> '" + bcryptHash + "'"
		want := leaves(t, tx, clock+"select postern.create_user(id => '"+id+"', "+replaced(call)+")"+same)
		got := leaves(t, tx, clock+fmt.Sprintf(`insert into postern.user_imports (batch, document) values ('b', '{"id": "%s", %s');
			select postern.import_users('b')`, id, replaced(document)[1:])+same)
		diff(t, document, want, got)
	}
}

// An export imported into an empty database gives the same users, row by row.
func TestExportComesBack(t *testing.T) {
	t.Parallel()
	from, to := connect(t, apitest.Database(t), apitest.Owner), connect(t, apitest.Database(t), apitest.Owner)
	exec(t, from, people, annSession, armed, `
		insert into auth.users (instance_id, id, aud, role, is_anonymous, created_at, updated_at, encrypted_password, raw_app_meta_data, raw_user_meta_data)
			values (postern_internal.nil_uuid(), gen_random_uuid(), 'authenticated', 'authenticated', true, now(), now(), null, '{}', '{"a": null}');
		update auth.users set encrypted_password = '`+django+`', banned_until = '2099-01-01 00:00:00.000001Z', invited_at = now(), last_sign_in_at = now() where id = `+annID+`;
		update auth.mfa_factors set secret = 'JBSWY3DPEHPK3PXP' where factor_type = 'totp';
		select postern.create_user('eve@example.com', phone => '15559009', email_confirm => true, user_metadata => '{"a": {"b": null}}', password_hash => '`+bcryptHash+`');
		select postern.create_user('gone@example.com'); select postern.delete_user('gone@example.com', soft => true)`)
	for _, page := range lines(t, from, "select postern.export_users(secrets => true)::text") {
		if _, err := to.Exec(t.Context(), "insert into postern.user_imports (batch, document) values ('b', $1)", page); err != nil {
			t.Fatal(err)
		}
	}
	diff(t, "totals", []string{"(6,0,0,0)"}, lines(t, to, "select postern.import_users('b')::text"))
	const rows = `
		select 'user ' || (jsonb_strip_nulls(to_jsonb(u) - array['raw_user_meta_data', 'is_super_admin']) || jsonb_build_object('m', u.raw_user_meta_data))::text
		from auth.users as u where deleted_at is null
		union all select 'identity ' || to_jsonb(i)::text from auth.identities as i where user_id in (select id from auth.users where deleted_at is null)
		union all select 'factor ' || to_jsonb(f)::text from auth.mfa_factors as f where status = 'verified'
		order by 1`
	exec(t, from, `update auth.users set encrypted_password = nullif(encrypted_password, ''), confirmation_token = '', recovery_token = '',
		email_change_token_new = '', email_change = ''`, "set timezone = 'UTC'") // as it should be: NULL means the same
	exec(t, to, "set timezone = 'UTC'")
	diff(t, "rows", lines(t, from, rows), lines(t, to, rows))
	diff(t, "without secrets", []string{"0"}, lines(t, from, "select count(*)::text from postern.export_users() as d where d ? 'password_hash' or d ? 'factors'"))
	all := lines(t, from, "select d ->> 'id' from postern.export_users() as d")
	var paged []string
	for after := "null"; ; after = "'" + paged[len(paged)-1] + "'" {
		page := lines(t, from, "select d ->> 'id' from postern.export_users(false, "+after+", 2) as d")
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
	}
	diff(t, "page by page", all, paged)
}

// Who may import needs no right on schema auth; who may read may neither import nor export.
func TestWhoImportsAndExports(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
	exec(t, conn, "set role postern_admin", `insert into postern.user_imports (batch, document) values ('b', '{"email": "a@example.com"}')`)
	diff(t, "import", []string{"1"}, lines(t, conn, "select created::text from postern.import_users('b')"))
	diff(t, "export", []string{"a@example.com"}, lines(t, conn, "select d ->> 'email' from postern.export_users(true) as d"))
	exec(t, conn, "delete from postern.user_imports", "reset role", "set role postern_support")
	for _, query := range []string{"select postern.export_users()", "select postern.import_users('b')", "select count(*) from postern.user_imports"} {
		if _, err := conn.Exec(t.Context(), query); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("postern_support, %s: %v", query, err)
		}
	}
}

// Ten thousand rows take a few seconds, and no longer than as many calls of create_user.
func TestImportOfThousands(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.Database(t), apitest.Owner)
	exec(t, conn, `insert into postern.user_imports (batch, document)
		select 'b', json_build_object('email', 'user' || n || '@example.com', 'password_hash', '`+bcryptHash+`', 'email_confirmed_at', now(),
			'user_metadata', json_build_object('name', 'User ' || n)) from generate_series(1, 10000) as n`)
	start := time.Now()
	diff(t, "totals", []string{"(10000,0,0,0)"}, lines(t, conn, "select postern.import_users('b')::text"))
	imported := time.Since(start)
	start = time.Now()
	diff(t, "calls", []string{"2000"}, lines(t, conn, `select count(postern.create_user('other' || n || '@example.com', password_hash => '`+bcryptHash+`',
		email_confirm => true, user_metadata => jsonb_build_object('name', 'User ' || n)))::text from generate_series(1, 2000) as n`))
	called := time.Since(start) * 5
	t.Logf("10,000 rows: imported in %v, by calls of create_user %v", imported, called)
	if imported > 2*called { // twice: other tests run beside this one
		t.Errorf("imported in %v, by calls in %v", imported, called)
	}
}
