package sql_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/apitest"
)

// published are settings as a server leaves them in the database.
const published = `select postern_internal.publish_settings('{"aud": "authenticated", "default_role": "authenticated",
	"site_url": "https://app.example.com", "verify_urls": {"invite": "https://api/verify", "confirmation": "https://api/verify",
	"recovery": "https://api/verify", "email_change": "https://api/verify"}}')`

// people are users for the tests below: ann is confirmed, bob is not, 1 555 0001 has a phone, dan is banned.
const people = `select
	postern.create_user('ann@example.com', id => '00000000-0000-4000-8000-00000000000a', email_confirm => true,
	  user_metadata => '{"full_name": "Ann Lee"}'),
	postern.create_user('bob@example.com', id => '00000000-0000-4000-8000-00000000000b'),
	postern.create_user(phone => '+1 555 0001', id => '00000000-0000-4000-8000-00000000000c', phone_confirm => true),
	postern.create_user('dan@example.com', id => '00000000-0000-4000-8000-00000000000d', ban_duration => '1 day')`

const annSession = `insert into auth.sessions (id, user_id, created_at) values
	('00000000-0000-4000-8000-0000000000aa', '00000000-0000-4000-8000-00000000000a', now()),
	('00000000-0000-4000-8000-0000000000ab', '00000000-0000-4000-8000-00000000000a', now() - interval '1 hour')`

// admin is a transaction with the users above, and nothing left of how they were made.
func admin(t *testing.T) pgx.Tx {
	t.Helper()
	tx := apitest.Tx(t)
	for _, s := range []string{published, people, annSession, "delete from postern.events", "delete from auth.audit_log_entries"} {
		if _, err := tx.Exec(t.Context(), s); err != nil {
			t.Fatalf("%.60s: %v", s, err)
		}
	}
	return tx
}

// ask returns the rows of a query as text, or its error as code and message.
func ask(t *testing.T, tx pgx.Tx, query string) string {
	t.Helper()
	nested, err := tx.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var text string
	err = nested.QueryRow(t.Context(), "select coalesce(string_agg(t::text, E'\\n'), '') from ("+query+") as t").Scan(&text)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		_ = nested.Rollback(t.Context())
		return pg.Code + " " + pg.Detail + ": " + pg.Message
	}
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if err := nested.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return text
}

// Each test is a call, what it returns, and questions about what it left with their answers.
func TestAdministration(t *testing.T) {
	t.Parallel()
	const ann = "00000000-0000-4000-8000-00000000000a"
	for _, test := range []struct {
		call, want string
		after      [][2]string
	}{
		{"select postern.create_user('Eve@Example.com', role => ' editor ', app_metadata => '{\"plan\": 1}', user_metadata => '{\"a\": null}') is null", "(f)", [][2]string{
			{"select email, role, aud, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, left(encrypted_password, 7) from auth.users where email like 'eve%'",
				`(eve@example.com,editor,authenticated,,"{""plan"": 1, ""provider"": ""email"", ""providers"": [""email""]}","{""a"": null}",$2a$10$)`},
			{"select provider, identity_data - 'sub' from auth.identities where email = 'eve@example.com'",
				`(email,"{""email"": ""eve@example.com"", ""email_verified"": false, ""phone_verified"": false}")`},
			{"select payload ->> 'action', payload ->> 'actor_username' = session_user, payload -> 'traits' ->> 'user_email' from auth.audit_log_entries", "(user_signedup,t,eve@example.com)"},
			{"select type, actor = session_user from postern.events order by id", "(user.created,t)\n(identity.created,t)"},
			{"select count(*) from postern.outbox", "(0)"},
		}},
		{"select postern.create_user('ANN@example.com')", "PT422 email_exists: A user with this email address has already been registered", nil},
		{"select postern.create_user(phone => '15550001')", "PT422 phone_exists: Phone number already registered by another user", nil},
		{"select postern.create_user('a b@example.com')", "PT400 validation_failed: Unable to validate email address: invalid format", nil},
		{"select postern.create_user(phone => '0123')", "PT400 validation_failed: Invalid phone number format (E.164 required)", nil},
		{"select postern.create_user()", "PT400 validation_failed: Cannot create a user without either an email or phone", nil},
		{"select postern.create_user('eve@example.com', password_hash => 'md5:x')", "PT400 validation_failed: Not a password hash of a known format: bcrypt, Argon2, scrypt, PBKDF2, LDAP, sha-crypt, phpass, Django, ASP.NET or Keycloak, within the limits of docs/passwords.md", nil},
		{"select postern.create_user('eve@example.com', 'x', password_hash => 'y')", "PT400 validation_failed: Only a password or a password hash should be provided", nil},
		{"select postern.create_user('eve@example.com', id => '" + ann + "')", "23505 Key (id)=(" + ann + ") already exists.: duplicate key value violates unique constraint \"users_pkey\"", nil},
		{"select postern.ensure_user('Ann@example.com')", "(" + ann + ")", [][2]string{{"select count(*) from auth.users", "(4)"}}},
		{"select postern.ensure_user(e) = postern.ensure_user(e) from (values ('eve@example.com'), ('fay@example.com')) as v (e)", "(t)\n(t)", [][2]string{{"select count(*) from auth.users", "(6)"}}},
		{"select postern.ensure_user('')", "PT400 validation_failed: An email address is required", nil},
		{"select email from postern.find_users('LEE')", "(ann@example.com)", nil},
		{"select phone from postern.find_users('+1 555')", "(15550001)", nil},
		{"select count(*) from postern.find_users()", "(4)", nil},
		{"select count(*) from postern.find_users(max_rows => 3)", "(3)", nil},
		{"select postern.get_user('" + strings.ToUpper(ann) + "') ->> 'email', postern.get_user('+1 555 0001') ->> 'phone', postern.get_user('DAN@example.com') ->> 'email'", "(ann@example.com,15550001,dan@example.com)", nil},
		{"select postern.get_user('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com", nil},
		{"select postern.get_user('eve')", "PT400 validation_failed: Name a user by id, e-mail address or phone number with a leading +, not by 'eve'", nil},
		{"select postern.get_user(null)", "PT400 validation_failed: Name a user by id, e-mail address or phone number with a leading +, not by ''", nil},
		{"select postern.confirm_email('bob@example.com') is null", "(f)", [][2]string{
			{"select email_confirmed_at is null, raw_user_meta_data from auth.users where email = 'bob@example.com'", `(f,"{""email_verified"": true}")`},
			{"select type from postern.events order by id", "(user.confirmed)\n(user.updated)"},
			{"select payload ->> 'action' from auth.audit_log_entries", "(user_modified)"},
		}},
		{"select postern.set_password_hash('ann@example.com', '$2a$10$" + strings.Repeat("a", 53) + "')", "(" + ann + ")", [][2]string{
			{"select right(encrypted_password, 4) from auth.users where email = 'ann@example.com'", "(aaaa)"},
			{"select count(*) from auth.sessions", "(0)"},
			{"select distinct reason from postern.session_ends", "(password_change)"},
		}},
		{"select postern.set_password('ann@example.com', '')", "PT400 validation_failed: A password cannot be empty", nil},
		{"select postern.set_password('ann@example.com', repeat('x', 73))", "PT400 validation_failed: Password cannot be longer than 72 characters", nil},
		{"select postern.set_app_metadata('ann@example.com', '{\"plan\": {\"n\": 1}, \"provider\": null}')", `("{""plan"": {""n"": 1}, ""providers"": [""email""]}")`, nil},
		{"select postern.set_app_metadata('ann@example.com', '[]')", "PT400 validation_failed: Metadata has to be a JSON object", nil},
		{"select postern.ban_user('ann@example.com', '7 days') = postern_internal.clock() + interval '7 days'", "(t)", [][2]string{
			{"select type from postern.events order by id", "(user.banned)\n(user.updated)"},
			{"select count(*) from auth.sessions", "(2)"},
			{"select reason, actor is null from postern.why_signed_out('ann@example.com')", "(ban,t)"},
			{"select postern.unban_user('ann@example.com') is null", "(f)"},
			{"select count(*) from postern.why_signed_out('ann@example.com')", "(0)"},
		}},
		{"select postern.ban_user('ann@example.com', '-1 day')", "PT400 validation_failed: A ban lasts for some time; postern.unban_user() ends it", nil},
		{"select session_id, aal from postern.list_sessions('ann@example.com')", "(00000000-0000-4000-8000-0000000000aa,aal1)\n(00000000-0000-4000-8000-0000000000ab,aal1)", nil},
		{"select postern.sign_out('ann@example.com', '00000000-0000-4000-8000-0000000000aa')", "(1)", [][2]string{
			{"select count(*) from auth.sessions", "(1)"},
			{"select reason, explanation, actor = session_user from postern.why_signed_out('00000000-0000-4000-8000-0000000000aa')", `(admin,"An administrator ended the session",t)`},
		}},
		{"select postern.sign_out('ann@example.com'), postern.sign_out('bob@example.com')", "(2,0)", nil},
		{"select postern.sign_out('bob@example.com', '00000000-0000-4000-8000-0000000000aa')", "PT404 session_not_found: The user has no session 00000000-0000-4000-8000-0000000000aa", nil},
		{"select postern.delete_user('ann@example.com')", "(" + ann + ")", [][2]string{
			{"select count(*) from auth.users where email = 'ann@example.com'", "(0)"},
			{"select reason, count(*) from postern.why_signed_out('" + ann + "') group by 1", "(user_deleted,2)"},
			{"select postern.why_signed_out('ann@example.com')", "PT404 user_not_found: There is no user ann@example.com"},
			{"select postern.create_user('ann@example.com') is null", "(f)"},
		}},
		{"select postern.delete_user(id::text, soft => true) is null from auth.users", "(f)\n(f)\n(f)\n(f)", [][2]string{
			{"select email = postern_internal.obscured(id, 'ann@example.com'), length(phone), encrypted_password, raw_user_meta_data from auth.users where id = '" + ann + "'", "(t,15,,{})"},
			{"select count(*) from auth.sessions", "(0)"},
			{"select count(*) from auth.identities where identity_data <> '{}'", "(0)"},
			{"select postern.delete_user('" + ann + "', true)", "(" + ann + ")"},
			{"select count(*) filter (where type = 'user.deleted'), count(*) filter (where type = 'session.ended') from postern.events", "(4,2)"},
		}},
		{"select postern.invite_user('eve@example.com', '{\"team\": 1}', 'https://app.example.com/hi') is null", "(f)", [][2]string{
			{"select template, recipient, payload ->> 'confirmation_url' like 'https://api/verify?token=%&type=invite&redirect_to=https://app.example.com/hi', payload -> 'data' from postern.outbox",
				`(invite,eve@example.com,t,"{""team"": 1}")`},
			{"select postern.invite_user('eve@example.com') is null", "(f)"},
			{"select postern.delete_user('eve@example.com') is null", "(f)"},
			{"select distinct state, payload from postern.outbox", "(dropped,{})"},
		}},
		{"select postern.invite_user('ann@example.com')", "PT422 email_exists: A user with this email address has already been registered", nil},
		{"select postern.send_magic_link('ann@example.com'), postern.send_magic_link('bob@example.com') is null", "(" + ann + ",f)", [][2]string{
			{"select template, recipient from postern.outbox order by id", "(magic_link,ann@example.com)\n(confirmation,bob@example.com)"},
			{"select postern.send_magic_link('ann@example.com')", "PT429 over_email_send_rate_limit: For security purposes, you can only request this after 60 seconds."},
		}},
		{"select postern.send_magic_link('+15550001')", "PT400 validation_failed: The user +15550001 cannot sign in by mail", nil},
		{"select postern_internal.obscured('11111111-1111-4111-8111-111111111111', 'c1new@example.com'), postern_internal.obscured('11111111-1111-4111-8111-111111111111', null)",
			"(JNNFKPMwTzY6tazyplX2wnB-uFqDwPNjj1Oke3LyIJg,vXZipe60FhTnINR3q_yyJy4ZqKcKk7fjvIVg1ErTJuk)", nil},
	} {
		t.Run(test.call, func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			diff(t, test.call, test.want, ask(t, tx, test.call))
			for _, check := range test.after {
				diff(t, check[0], check[1], ask(t, tx, check[0]))
			}
		})
	}
}

// Before a server has published its settings there is no address for links; all else works.
func TestAdministrationWithoutAServer(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	diff(t, "user", "(f)", ask(t, tx, "select postern.create_user('ann@example.com') is null"))
	diff(t, "user", "(authenticated,authenticated)", ask(t, tx, "select aud, role from auth.users"))
	if got := ask(t, tx, "select postern.invite_user('bob@example.com')"); !strings.Contains(got, `start "postern serve" once`) {
		t.Errorf("got %s", got)
	}
}

// Passwords are hashed by pgcrypto wherever it is; where it is not, the error says what to do.
func TestSetPasswordNeedsPgcrypto(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	super := connect(t, apitest.AdminURL(t, url), "")
	owner := connect(t, url, "")
	exec(t, owner, "select postern.create_user('ann@example.com')")
	_, err := owner.Exec(t.Context(), "select postern.set_password('ann@example.com', 'correct-horse-9')")
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "PT422" || !strings.Contains(pg.Message, "postern.set_password_hash") {
		t.Errorf("without pgcrypto: %v", err)
	}
	exec(t, super, "create schema hidden", "create extension pgcrypto schema hidden")
	if _, err = owner.Exec(t.Context(), "select postern.set_password('ann@example.com', 'correct-horse-9')"); !errors.As(err, &pg) || pg.Code != "PT422" {
		t.Errorf("without a right on pgcrypto's schema: %v", err)
	}
	exec(t, super, "grant usage on schema hidden to public")
	exec(t, owner, "select postern.set_password('ann@example.com', 'correct-horse-9')")
	diff(t, "hash", []string{"$2a$10$ true"}, lines(t, super, `
		select left(encrypted_password, 7) || ' ' || (encrypted_password = hidden.crypt('correct-horse-9', encrypted_password))
		from auth.users`))
}

// Roles of the API cannot administer; postern_admin can without any other right; postern_support only looks. The
// session user stands in the audit log.
func TestWhoMayAdminister(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
	exec(t, conn, published, people)
	may := func(role, call string) bool {
		exec(t, conn, "begin", "set local role "+role)
		defer exec(t, conn, "rollback")
		rows, err := conn.Query(t.Context(), call)
		if err == nil {
			rows.Close()
			err = rows.Err()
		}
		var pg *pgconn.PgError
		if err != nil && (!errors.As(err, &pg) || pg.Code != "42501") {
			t.Errorf("%s: %s: %v", role, call, err)
		}
		return err == nil
	}
	for call, isReading := range map[string]bool{
		"select postern.create_user('eve@example.com')":                                                 false,
		"select postern.ensure_user('eve@example.com')":                                                 false,
		"select postern.set_actor('alice')":                                                             false,
		"select * from postern.find_users()":                                                            true,
		"select postern.count_users()":                                                                  true,
		"select postern.get_user('ann@example.com')":                                                    true,
		"select postern.confirm_email('bob@example.com')":                                               false,
		"select postern.set_app_metadata('bob@example.com', '{}')":                                      false,
		"select postern.update_user('bob@example.com')":                                                 false,
		"select postern.set_email('bob@example.com', 'bob@example.com')":                                false,
		"select postern.set_phone('bob@example.com', '15550009')":                                       false,
		"select postern.confirm_phone('bob@example.com')":                                               false,
		"select postern.set_user_metadata('bob@example.com', '{}')":                                     false,
		"select postern.set_role('bob@example.com', 'editor')":                                          false,
		"select * from postern.list_identities('ann@example.com')":                                      true,
		"select postern.link_identity('bob@example.com', 'github', '7')":                                false,
		"select postern.unlink_identity('ann@example.com', null) where false":                           false,
		"select * from postern.list_factors('ann@example.com')":                                         true,
		"select postern.delete_factor('ann@example.com', null) where false":                             false,
		"select postern.reset_mfa('ann@example.com')":                                                   false,
		"select postern.verify_password('bob@example.com', 'x') where false":                            false,
		"select * from postern.password_hash_stats()":                                                   true,
		"select postern.clear_password('bob@example.com')":                                              false,
		"select * from postern.list_one_time_tokens('ann@example.com')":                                 true,
		"select postern.expire_links('bob@example.com')":                                                false,
		"select postern.ban_user('bob@example.com')":                                                    false,
		"select postern.lock_user('bob@example.com', 'x')":                                              false,
		"select postern.unlock_user('bob@example.com') where false":                                     false,
		"select postern.require_password_change('bob@example.com')":                                     false,
		"select postern.unban_user('dan@example.com')":                                                  false,
		"select * from postern.delete_user_plan('bob@example.com')":                                     true,
		"select postern.delete_user('bob@example.com')":                                                 false,
		"select * from postern.list_sessions('ann@example.com')":                                        true,
		"select postern.sign_out('ann@example.com')":                                                    false,
		"select postern.invite_user('eve@example.com')":                                                 false,
		"select postern.send_magic_link('ann@example.com')":                                             false,
		"select * from postern.why_signed_out('ann@example.com')":                                       true,
		"select * from postern.lint()":                                                                  true,
		"select * from postern.list_outbox()":                                                           false,
		"select postern.set_password_hash('bob@example.com', '$2a$10$" + strings.Repeat("a", 53) + "')": false,
	} {
		for role, want := range map[string]bool{
			"anon": false, "authenticated": false, "service_role": false, "postern_admin": true, "postern_support": isReading,
		} {
			if got := may(role, call); got != want {
				t.Errorf("%s: %s: got %t", role, call, got)
			}
		}
	}
	for _, call := range []string{"select from auth.users", "select from postern.outbox", "select from postern.actor_key", "select postern_internal.context()"} {
		if may("postern_admin", call) {
			t.Errorf("postern_admin may %s", call)
		}
	}
	exec(t, conn, "begin", "set local role postern_admin", "select postern.ban_user('bob@example.com')", "reset role")
	diff(t, "actor", []string{"t"}, lines(t, conn, `select bool_and(actor = session_user)::text::char from postern.events where type = 'user.banned'`))
	exec(t, conn, "rollback")
}

// A transaction that rolls back leaves neither user nor mail; one that commits wakes the workers.
func TestRollbackLeavesNothing(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	conn, listener := connect(t, url, ""), connect(t, url, "")
	exec(t, listener, "listen postern_outbox")
	exec(t, conn, published, "begin", "select postern.invite_user(n || '@example.com') from generate_series(1, 3) as n", "rollback")
	count := `select format('%s %s %s %s', (select count(*) from auth.users), (select count(*) from postern.outbox),
		(select count(*) from postern.events), (select count(*) from auth.audit_log_entries))`
	diff(t, "rolled back", []string{"0 0 0 0"}, lines(t, conn, count))
	exec(t, conn, "select postern.invite_user(n || '@example.com') from generate_series(1, 3) as n")
	diff(t, "committed", []string{"3 3 9 3"}, lines(t, conn, count))
	if _, err := listener.WaitForNotification(context.Background()); err != nil {
		t.Error(err)
	}
}
