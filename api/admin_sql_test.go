package api_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allRows are all rows that administrators' changes leave, without ids drawn by chance and without who and from where.
const allRows = `select coalesce(string_agg(line, E'\n' order by line collate "C"), '') from (
	select 'user ' || to_jsonb(u)::text from auth.users as u
	union all select 'identity ' || (to_jsonb(i) - 'id')::text from auth.identities as i
	union all select 'token ' || (to_jsonb(t) - 'id')::text from auth.one_time_tokens as t
	union all select 'factor ' || to_jsonb(f)::text from auth.mfa_factors as f
	union all select 'session ' || to_jsonb(s)::text from auth.sessions as s
	union all select 'claim ' || (to_jsonb(c) - 'id')::text from auth.mfa_amr_claims as c
	union all select 'end ' || (to_jsonb(e) - 'actor')::text from postern.session_ends as e
	union all select 'event ' || (to_jsonb(e) - 'actor')::text from postern.events as e
	union all select 'audit ' || (a.payload::jsonb - 'actor_username')::text from auth.audit_log_entries as a
	union all select 'mail ' || (to_jsonb(o) - 'id')::text from postern.outbox as o
	union all select 'custom provider ' || (to_jsonb(p) - 'id')::text from auth.custom_oauth_providers as p
	union all select 'webhook ' || (to_jsonb(w) - 'id')::text from postern.webhooks as w
	union all select 'secret ' || (to_jsonb(s) - 'id' - 'secret')::text from postern.webhook_secrets as s
) as t (line)`

// moment is a time, which differs between two databases.
var moment = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?`)

// drawn is the hash of a code, which is drawn by chance.
var drawn = regexp.MustCompile(`\b[0-9a-f]{56}\b`)

// What an administrator does over HTTP in one database and in SQL in another leaves the same rows, events, audit entries
// and mails in both, step by step.
func TestAdministrationInSQLIsThatOfHTTP(t *testing.T) {
	t.Parallel()
	const (
		one    = "/admin/users/" + annID
		factor = "00000000-0000-4000-8000-0000000000f1"
		armed  = `with f as (
			insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, created_at, updated_at)
			values ('` + factor + `', '` + annID + `', 'watch', 'totp', 'verified', 'SECRET', now(), now()) returning id, user_id
		), s as (
			insert into auth.sessions (id, user_id, created_at, aal, factor_id)
			select '00000000-0000-4000-8000-0000000000aa', user_id, now(), 'aal2', id from f returning id
		)
		insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) select gen_random_uuid(), id, now(), now(), 'totp' from s`
	)
	overHTTP, inSQL := setup(t), setup(t)
	for _, step := range []twin{
		{"create", "POST", "/admin/users", object{"id": annID, "email": "Ann@Example.com", "password_hash": testHash, "user_metadata": object{"a": 1}},
			"postern.create_user('Ann@Example.com', id => '" + annID + "', password_hash => '" + testHash + "', user_metadata => '{\"a\": 1}')"},
		{"confirm the address", "PUT", one, object{"email_confirm": true}, "postern.confirm_email('ann@example.com')"},
		{"address", "PUT", one, object{"email": "Lee@Example.com"}, "postern.set_email('ann@example.com', 'Lee@Example.com')"},
		{"number", "PUT", one, object{"phone": "+1 555 0001"}, "postern.set_phone('lee@example.com', '+1 555 0001')"},
		{"confirm the number", "PUT", one, object{"phone_confirm": true}, "postern.confirm_phone('+15550001')"},
		{"user metadata", "PUT", one, object{"user_metadata": object{"a": nil, "b": object{"c": 2}}}, "postern.set_user_metadata('" + annID + "', '{\"a\": null, \"b\": {\"c\": 2}}')"},
		{"app metadata", "PUT", one, object{"app_metadata": object{"plan": "gold"}}, "postern.set_app_metadata('" + annID + "', '{\"plan\": \"gold\"}')"},
		{"role", "PUT", one, object{"role": " editor "}, "postern.set_role('" + annID + "', ' editor ')"},
		{"ban", "PUT", one, object{"ban_duration": "24h"}, "postern.ban_user('" + annID + "', '24 hours')"},
		{"lift the ban", "PUT", one, object{"ban_duration": "none"}, "postern.unban_user('" + annID + "')"},
		{"nothing", "PUT", one, object{}, "postern.update_user('" + annID + "')"},
		{"several things", "PUT", one, object{"email": "ann@example.com", "email_confirm": true, "phone": "15550002", "phone_confirm": true,
			"user_metadata": object{"d": 1}, "app_metadata": object{"plan": nil}, "role": "reader", "ban_duration": "1h"},
			"postern.update_user('" + annID + "', 'ann@example.com', null, '+15550002', null, true, true, '{\"d\": 1}', '{\"plan\": null}', 'reader', '1 hour')"},
		{"second factor", "DELETE", one + "/factors/" + factor, nil, "postern.delete_factor('ann@example.com', '" + factor + "')"},
		{"soft deletion", "DELETE", one, object{"should_soft_delete": true}, "postern.delete_user('ann@example.com', soft => true)"},
		{"deletion", "DELETE", one, nil, "postern.delete_user('" + annID + "')"},
	} {
		if step.name == "second factor" {
			overHTTP.exec(armed)
			inSQL.exec(armed)
		}
		twins(t, overHTTP, inSQL, step)
	}
}

// twin is a request by an administrator, and the call in SQL for the same wish.
type twin struct {
	name, method, path string
	body               object
	call               string
}

// twins sends the request to one server, makes the call in the database of the other, and compares what is there then,
// apart from times and what else is left to chance.
func twins(t *testing.T, overHTTP, inSQL *server, step twin, chance ...*regexp.Regexp) {
	t.Helper()
	before := overHTTP.scan(allRows)
	if r := overHTTP.do(step.method, step.path, step.body, overHTTP.asAdmin()...); r.Status >= 300 {
		t.Fatalf("%s: got %d %s", step.name, r.Status, r.Text)
	}
	inSQL.exec("select " + step.call)
	left := overHTTP.scan(allRows)
	if left == before {
		t.Errorf("%s: nothing was recorded", step.name)
	}
	lines := func(text string) []string {
		for _, part := range append(chance, moment) {
			text = part.ReplaceAllString(text, "any")
		}
		return strings.Split(text, "\n")
	}
	if d := cmp.Diff(lines(left), lines(inSQL.scan(allRows))); d != "" {
		t.Errorf("%s (-HTTP +SQL):\n%s", step.name, d)
	}
}

// The same for sessions, and for links that an administrator delivers.
func TestSessionsAndLinksInSQLAreThoseOfHTTP(t *testing.T) {
	t.Parallel()
	const (
		one   = "/admin/users/" + annID
		first = "00000000-0000-4000-8000-0000000000aa"
		signs = `insert into auth.sessions (id, user_id, created_at, refreshed_at, aal) values
			('` + first + `', '` + annID + `', now() - interval '1 hour', null, null),
			('00000000-0000-4000-8000-0000000000ab', '` + annID + `', now() - interval '1 day', now(), 'aal2'),
			('00000000-0000-4000-8000-0000000000ac', '` + annID + `', now() - interval '1 hour', null, 'aal1')`
		signsAgain = "insert into auth.sessions (id, user_id, created_at) values ('00000000-0000-4000-8000-0000000000ad', '" + annID + "', now())"
	)
	overHTTP, inSQL := setup(t), setup(t)
	for _, s := range []*server{overHTTP, inSQL} {
		s.exec("select postern.create_user('ann@example.com', id => '" + annID + "', password_hash => '" + testHash + "', email_confirm => true)")
		s.exec("select postern.create_user('bob@example.com', id => '" + nobodyID + "', password_hash => '" + testHash + "')")
		s.exec("delete from auth.audit_log_entries")
		s.exec(signs)
	}
	for _, step := range []twin{
		{"one session", "DELETE", one + "/sessions/" + first, nil, "postern.sign_out('ann@example.com', '" + first + "')"},
		{"all sessions", "DELETE", one + "/sessions", nil, "postern.sign_out('ann@example.com')"},
		{"sign-out", "POST", one + "/logout", nil, "postern.sign_out_all(everybody => true)"},
		{"sign-out of nobody", "POST", one + "/logout", nil, "postern.sign_out('ann@example.com')"},
		{"recovery", "POST", "/admin/generate_link", object{"type": "recovery", "email": "Ann@example.com"}, "l from postern.issue_link('" + annID + "', 'recovery') as l"},
		{"sign-in", "POST", "/admin/generate_link", object{"type": "magiclink", "email": "ann@example.com"}, "l from postern.issue_link('ann@example.com', 'magiclink') as l"},
		{"invitation", "POST", "/admin/generate_link", object{"type": "invite", "email": "bob@example.com", "data": object{"a": 1}},
			"l from postern.issue_link('Bob@example.com', 'invite', user_metadata => '{\"a\": 1}') as l"},
		{"confirmation", "POST", "/admin/generate_link", object{"type": "signup", "email": "bob@example.com", "password": password, "data": object{"b": 1}},
			"l from postern.issue_link('bob@example.com', 'signup', user_metadata => '{\"b\": 1}', password_hash => '" + testHash + "') as l"},
		{"change of address", "POST", "/admin/generate_link", object{"type": "email_change_new", "email": "ann@example.com", "new_email": "Lee@example.com"},
			"l from postern.issue_link('ann@example.com', 'email_change_new', new_email => 'Lee@example.com') as l"},
		{"its other side", "POST", "/admin/generate_link", object{"type": "email_change_current", "email": "ann@example.com", "new_email": "lee@example.com"},
			"l from postern.issue_link('ann@example.com', 'email_change_current', new_email => 'lee@example.com') as l"},
	} {
		if step.name == "sign-out" {
			overHTTP.exec(signsAgain)
			inSQL.exec(signsAgain)
		}
		twins(t, overHTTP, inSQL, step, drawn)
	}
}

// Users who delete their account leave what an administrator's deletion leaves, apart from who did it.
func TestDeletingOneselfIsDeleting(t *testing.T) {
	t.Parallel()
	for mode, call := range map[string]string{"hard": "false", "soft": "true"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			byUser, byAdmin := setup(t, "POSTERN_USER_DELETION="+mode), setup(t)
			const session = "00000000-0000-4000-8000-0000000000aa"
			for _, s := range []*server{byUser, byAdmin} {
				s.exec("select postern.create_user('ann@example.com', phone => '15550001', id => '" + annID + "', password_hash => '" + testHash + "')")
				s.exec(`insert into auth.sessions (id, user_id, created_at) values ('` + session + `', '` + annID + `', now())`)
				s.exec(`insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
					values (gen_random_uuid(), '` + session + `', now(), now(), 'password')`)
				s.exec("delete from auth.audit_log_entries")
			}
			r := byUser.do("DELETE", "/user", nil, bearer(byUser.token(map[string]any{"sub": annID, "session_id": session, "aud": "authenticated", "role": "authenticated"}))...)
			if r.Status != 200 {
				t.Fatalf("got %d %s", r.Status, r.Text)
			}
			byAdmin.exec("select postern.delete_user('ann@example.com', " + call + ")")
			lines := func(s *server) []string {
				text := moment.ReplaceAllString(s.scan(allRows), "a time")
				return strings.Split(strings.Replace(text, `"actor_id": "`+annID+`"`, `"actor_id": "00000000-0000-0000-0000-000000000000"`, 1), "\n")
			}
			if d := cmp.Diff(lines(byAdmin), lines(byUser)); d != "" {
				t.Errorf("-administrator +user:\n%s", d)
			}
		})
	}
}
