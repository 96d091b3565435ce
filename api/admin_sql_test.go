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
) as t (line)`

// moment is a time, which differs between two databases.
var moment = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?`)

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
	for _, step := range []struct {
		name, method, path string
		body               object
		call               string
	}{
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
		before := overHTTP.scan(allRows)
		if r := overHTTP.do(step.method, step.path, step.body, overHTTP.asAdmin()...); r.Status != 200 {
			t.Fatalf("%s: got %d %s", step.name, r.Status, r.Text)
		}
		inSQL.exec("select " + step.call)
		left := overHTTP.scan(allRows)
		if left == before {
			t.Errorf("%s: nothing was recorded", step.name)
		}
		lines := func(text string) []string { return strings.Split(moment.ReplaceAllString(text, "a time"), "\n") }
		if d := cmp.Diff(lines(left), lines(inSQL.scan(allRows))); d != "" {
			t.Errorf("%s (-HTTP +SQL):\n%s", step.name, d)
		}
	}
}
