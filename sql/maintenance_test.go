package sql_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

// keeping are the settings of a server with every limit on.
const keeping = `select postern_internal.publish_settings(postern_internal.context() || '{"timebox": 3600, "inactivity": 7200,
	"retention": {"tokens": 3600, "audit": 7776000, "events": 7776000, "session_ends": 31536000, "anonymous_users": 2592000, "deleted_users": 2592000}}')`

// frozen is the time of these tests, in the middle of a month.
const frozen = "set local postern.clock = '2026-05-15 12:00Z'"

// prepared runs statements in a transaction that is rolled back, on a database of its own: the lock of maintenance is
// for all of a database.
func prepared(t *testing.T, statements ...string) pgx.Tx {
	t.Helper()
	tx, err := connect(t, apitest.Database(t), "").Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := tx.Exec(t.Context(), s); err != nil {
			t.Fatalf("%.200s: %v", s, err)
		}
	}
	return tx
}

const user, other = "'00000000-0000-4000-8000-00000000000a'::uuid", "'00000000-0000-4000-8000-00000000000b'::uuid"

// person inserts a user as the reference would.
func person(id, columns, values string) string {
	return "insert into auth.users (instance_id, id, aud, role, " + columns + ") values ('00000000-0000-0000-0000-000000000000', " + id +
		", 'authenticated', 'authenticated', " + values + ")"
}

const now = "postern_internal.clock()"

// Every rule takes what is past its limit by a moment, and leaves what is not.
func TestMaintenanceRules(t *testing.T) {
	t.Parallel()
	someone := person(user, "email", "'ann@example.com'")
	session := func(n, columns, values string) string {
		return "insert into auth.sessions (id, user_id, " + columns + ") values ('00000000-0000-4000-8000-0000000000a" + n + "', " + user + ", " + values + ")"
	}
	// ago is a pair of rows of which only the first is old enough.
	pair := func(statement, limit string) []string {
		return []string{
			someone,
			strings.NewReplacer("$n", "1", "$at", now+" - interval '"+limit+"' - interval '1 second'").Replace(statement),
			strings.NewReplacer("$n", "2", "$at", now+" - interval '"+limit+"' + interval '1 second'").Replace(statement),
		}
	}
	const token = "insert into auth.refresh_tokens (token, user_id, session_id, revoked, updated_at) values "
	const s1, s2 = "'00000000-0000-4000-8000-0000000000a1'", "'00000000-0000-4000-8000-0000000000a2'"
	for _, c := range []struct {
		rule    string
		prepare []string
		check   string // what is left
		want    string
	}{
		{"refresh_tokens_revoked", append(pair("insert into auth.refresh_tokens (token, revoked, updated_at) values ('t$n', true, $at)", "24 hours"),
			token+"('live', '', null, false, "+now+" - interval '1 year')"),
			"select token from auth.refresh_tokens order by 1", "(live)\n(t2)"},
		{"refresh_tokens_ended", append(pair(session("$n", "created_at, not_after", now+", $at"), "24 hours"),
			token+"('t1', '', "+s1+", false, "+now+"), ('t2', '', "+s2+", false, "+now+")"),
			"select token, revoked from auth.refresh_tokens order by 1", "(t1,t)\n(t2,f)"},
		{"sessions_expired", pair(session("$n", "created_at, not_after", now+", $at"), "72 hours"),
			"select right(s.id::text, 1), e.reason, e.actor, v.type from auth.sessions s full join postern.session_ends e on false full join postern.events v on v.session_id = e.session_id where v.type is distinct from 'x' order by 1",
			"(2,,,)\n(,timebox,maintenance,session.ended)"},
		{"saml_relay_states", append([]string{"insert into auth.sso_providers (id) values (" + user + ")"},
			pair("insert into auth.saml_relay_states (id, sso_provider_id, request_id, created_at) values (gen_random_uuid(), "+user+", 'r$n', $at)", "24 hours")...),
			"select request_id from auth.saml_relay_states", "(r2)"},
		{"flow_states", pair("insert into auth.flow_state (id, auth_code, provider_type, authentication_method, created_at) values (gen_random_uuid(), 'c$n', 'x', 'x', $at)", "24 hours"),
			"select auth_code from auth.flow_state", "(c2)"},
		{"oauth_client_states", pair("insert into auth.oauth_client_states (id, provider_type, created_at) values (gen_random_uuid(), 'p$n', $at)", "24 hours"),
			"select provider_type from auth.oauth_client_states", "(p2)"},
		{"mfa_challenges", append([]string{someone, "insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) values (" + user + ", " + user + ", 'totp', 'verified', " + now + ", " + now + ")"},
			pair("insert into auth.mfa_challenges (id, factor_id, created_at, ip_address) values (gen_random_uuid(), "+user+", $at, '192.0.2.$n')", "24 hours")[1:]...),
			"select host(ip_address) from auth.mfa_challenges", "(192.0.2.2)"},
		{"mfa_factors", append(pair("insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at) values (gen_random_uuid(), "+user+", 'f$n', 'totp', 'unverified', $at, $at)", "24 hours"),
			"insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at) values (gen_random_uuid(), "+user+", 'verified', 'totp', 'verified', '2020-01-01', '2020-01-01')"),
			"select friendly_name from auth.mfa_factors order by 1", "(f2)\n(verified)"},
		{"webauthn_challenges", pair("insert into auth.webauthn_challenges (challenge_type, session_data, created_at, expires_at) values ('signup', '{\"n\": $n}', '2020-01-01', $at)", "0 seconds"),
			"select session_data ->> 'n' from auth.webauthn_challenges", "(2)"},
		{"sessions_timebox", pair(session("$n", "created_at", "$at"), "25 hours"),
			"select right(s.id::text, 1) from auth.sessions s", "(2)"},
		{"sessions_idle", pair(session("$n", "created_at, refreshed_at", now+" - interval '1 year', ($at) at time zone 'UTC'"), "26 hours"),
			"select right(s.id::text, 1), (select string_agg(reason, ',') from postern.session_ends) from auth.sessions s", "(2,idle)"},
		{"sessions_idle_unrefreshed", append(pair(session("$n", "created_at", "$at"), "26 hours"),
			session("3", "created_at", now+" - interval '1 year'"), session("4", "created_at", now+" - interval '1 year'"),
			token+"('t3', '', '00000000-0000-4000-8000-0000000000a3', false, "+now+" - interval '26 hours 1 second'), "+
				"('t4', '', '00000000-0000-4000-8000-0000000000a4', false, "+now+" - interval '25 hours')"),
			"select right(s.id::text, 1) from auth.sessions s order by 1", "(2)\n(4)"},
		{"one_time_tokens", append(pair("insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to, created_at, updated_at) values (gen_random_uuid(), "+user+", (array['recovery_token', 'confirmation_token'])[$n]::auth.one_time_token_type, 'hash-$n', 'x', ($at) at time zone 'UTC', ($at) at time zone 'UTC')", "25 hours"),
			"update auth.users set recovery_token = 'hash-1', confirmation_token = 'hash-2', phone_change_token = 'other'"),
			"select t.token_hash, u.recovery_token, u.confirmation_token, u.phone_change_token from auth.one_time_tokens t, auth.users u", "(hash-2,\"\",hash-2,other)"},
		{"audit_log_entries", pair("insert into auth.audit_log_entries (id, ip_address, created_at) values (gen_random_uuid(), '$n', $at)", "90 days"),
			"select ip_address from auth.audit_log_entries", "(2)"},
		{"session_ends", pair("insert into postern.session_ends values (gen_random_uuid(), "+user+", 'logout', 'a$n', $at)", "365 days"),
			"select actor from postern.session_ends", "(a2)"},
		{"events", pair("insert into postern.events (type, actor, created_at) values ('x', 'a$n', $at)", "90 days"),
			"select actor from postern.events", "(a2)"},
		{"flow_devices", pair("insert into postern.flow_devices (flow_id, browser, created_at) values (gen_random_uuid(), 'b$n', $at)", "24 hours"),
			"select browser from postern.flow_devices", "(b2)"},
		{"totp_steps", pair("insert into postern.totp_steps values (gen_random_uuid(), "+user+", $n, $at)", "24 hours"),
			"select last_step from postern.totp_steps", "(2)"},
		{"linking_flows", pair("insert into postern.linking_flows (flow_id, user_id, session_id, created_at) values (gen_random_uuid(), gen_random_uuid(), ('00000000-0000-4000-8000-00000000000' || '$n')::uuid, $at)", "24 hours"),
			"select right(session_id::text, 1) from postern.linking_flows", "(2)"},
		{"link_secrets", append(pair("insert into postern.link_secrets values (gen_random_uuid(), 'h$n', 'x', $at)", "24 hours"),
			"insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) values ("+user+", "+user+", 'reauthentication_token', 'h3', 'x')",
			"insert into postern.link_secrets values ("+user+", 'h3', 'x', '2001-01-01')"),
			"select token_hash from postern.link_secrets order by 1", "(h2)\n(h3)"},
		{"challenge_guesses", pair("insert into postern.challenge_guesses values (gen_random_uuid(), "+user+", $n, $at)", "24 hours"),
			"select wrong from postern.challenge_guesses", "(2)"},
		{"session_upgrades", append(pair("insert into postern.session_upgrades values (gen_random_uuid(), "+user+", $n, null, $at)", "24 hours"),
			session("3", "created_at", now), "insert into postern.session_upgrades values ('00000000-0000-4000-8000-0000000000a3', "+user+", 3, null, '2001-01-01')"),
			"select first_token_id from postern.session_upgrades order by 1", "(2)\n(3)"},
		{"locked_users", []string{someone, "insert into postern.locked_users values (" + user + ", 'r1', 'x', now(), now()), (gen_random_uuid(), 'r2', 'x', now(), now())"},
			"select reason from postern.locked_users", "(r1)"},
		{"password_demands", []string{someone, "insert into postern.password_demands values (" + user + ", 'a1', now()), (gen_random_uuid(), 'a2', now())"},
			"select actor from postern.password_demands", "(a1)"},
		{"oauth_authorizations", append([]string{"insert into auth.oauth_clients (id, registration_type, redirect_uris, grant_types, token_endpoint_auth_method) values (" + user + ", 'manual', 'x', 'x', 'none')"},
			pair("insert into auth.oauth_authorizations (id, authorization_id, client_id, redirect_uri, scope, created_at, expires_at) values (gen_random_uuid(), 'a$n', "+user+", 'x', 'x', '2001-01-01', $at)", "24 hours")...),
			"select authorization_id from auth.oauth_authorizations", "(a2)"},
		{"outbox", pair("insert into postern.outbox (kind, template, recipient, state, finished_at) values ('mail', 'x', 'r$n', 'sent', $at)", "7 days"),
			"select recipient from postern.outbox", "(r2)"},
		{"retention_refusals", pair("insert into postern.retention_refusals values (gen_random_uuid(), 'r$n', $at)", "7 days"),
			"select reason from postern.retention_refusals", "(r2)"},
		{"anonymous_users", pair(person("gen_random_uuid()", "raw_app_meta_data, is_anonymous, created_at", `'{"n": $n}', true, $at`), "30 days"),
			"select raw_app_meta_data ->> 'n' from auth.users where is_anonymous", "(2)"},
		{"deleted_users", pair(person("gen_random_uuid()", "raw_app_meta_data, deleted_at", `'{"n": $n}', $at`), "30 days"),
			"select raw_app_meta_data ->> 'n' from auth.users where deleted_at is not null", "(2)"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			tx := prepared(t, append([]string{frozen, keeping}, c.prepare...)...)
			if got := ask(t, tx, "select rows, is_done from postern_internal.maintain('"+c.rule+"')"); got != "(1,t)" &&
				!(c.rule == "sessions_idle_unrefreshed" && got == "(2,t)") {
				t.Errorf("one batch: %s", got)
			}
			if got := ask(t, tx, c.check); got != c.want {
				t.Errorf("left:\n%s\nwant:\n%s", got, c.want)
			}
			if got := ask(t, tx, "select rows, is_done from postern_internal.maintain('"+c.rule+"')"); got != "(0,t)" {
				t.Errorf("the next batch: %s", got)
			}
		})
	}
}

// Without limits in the settings, nothing that has no other end is deleted.
func TestMaintenanceKeepsWhatHasNoLimit(t *testing.T) {
	t.Parallel()
	tx := prepared(t, frozen, person(user, "is_anonymous, created_at", "true, '2001-01-01'"), person(other, "deleted_at", "'2001-01-01'"),
		"insert into auth.sessions (id, user_id, created_at) values (gen_random_uuid(), "+user+", '2001-01-01')",
		"insert into auth.audit_log_entries (id, created_at) values (gen_random_uuid(), '2001-01-01')",
		"insert into postern.events (type, actor, created_at) values ('x', 'y', '2001-01-01')",
		"insert into postern.session_ends values (gen_random_uuid(), "+user+", 'logout', 'x', '2001-01-01')",
		"insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to, created_at) values (gen_random_uuid(), "+user+", 'recovery_token', 'x', 'y', '2001-01-01')")
	if got := ask(t, tx, "select rule, rows from postern.run_maintenance() where rows > 0"); got != "(event_partitions,2)" {
		t.Errorf("changed %s", got)
	}
}

// Anonymous users go like users that an administrator deletes; whoever is used, or held on to, stays.
func TestRetentionOfAnonymousUsers(t *testing.T) {
	t.Parallel()
	const third, fourth, fifth = "'00000000-0000-4000-8000-00000000000c'::uuid", "'00000000-0000-4000-8000-00000000000d'::uuid", "'00000000-0000-4000-8000-00000000000e'::uuid"
	tx := prepared(t, frozen, keeping,
		person(user, "is_anonymous, created_at", "true, '2026-01-01'"),
		"insert into auth.sessions (id, user_id, created_at) values ("+user+", "+user+", '2026-01-01')",
		person(other, "is_anonymous, created_at", "true, '2026-01-01'"),
		"insert into auth.sessions (id, user_id, created_at, refreshed_at) values ("+other+", "+other+", '2026-01-01', '2026-05-01')",
		person(third, "is_anonymous, created_at, last_sign_in_at", "true, '2026-01-01', '2026-05-01'"),
		person(fourth, "is_anonymous, created_at", "true, '2026-01-01'"),
		person(fifth, "email, created_at", "'ann@example.com', '2026-01-01'"),
		"create table postern.orders (buyer uuid references auth.users)", "insert into postern.orders values ("+fourth+")")
	if got := ask(t, tx, "select rows from postern_internal.maintain('anonymous_users')"); got != "(1)" {
		t.Errorf("deleted %s", got)
	}
	for _, step := range [][2]string{
		{"select string_agg(right(id::text, 1), '' order by id) from auth.users", "(bcde)"},
		{"select reason, actor from postern.session_ends", "(retention,maintenance)"},
		{"select type, actor from postern.events order by id", "(session.ended,maintenance)\n(user.deleted,maintenance)"},
		{"select payload ->> 'action', payload ->> 'actor_username', payload #>> '{traits,user_id}' from auth.audit_log_entries", "(user_deleted,maintenance,00000000-0000-4000-8000-00000000000a)"},
		{"select right(user_id::text, 1), reason ~ 'foreign key constraint' from postern.retention_refusals", "(d,t)"},
		{"select rows from postern_internal.maintain('anonymous_users')", "(0)"},
		{"select rule, rows_total from postern.maintenance", "(anonymous_users,1)"},
		{"select rows from postern_internal.maintain('no_such_rule')", "PT400 validation_failed: There is no maintenance rule 'no_such_rule'"},
		{"select postern_internal.begin_maintenance('1 hour'), postern_internal.begin_maintenance('1 hour')", "(t,f)"},
		{"select postern_internal.note_maintenance_failure('events', 'boom') is null", "(t)"},
		{"select rule, last_error, failed_at = '2026-05-15 12:00Z' from postern.maintenance where rule = 'events'", "(events,boom,t)"},
	} {
		if got := ask(t, tx, step[0]); got != step[1] {
			t.Errorf("%s: %s, want %s", step[0], got, step[1])
		}
	}
}

// Users who were deleted softly go for good after their time; whom a table holds on to, be it at the end of the transaction only,
// is noted and tried again later, and the others go.
func TestRetentionOfDeletedUsers(t *testing.T) {
	t.Parallel()
	const third, fourth = "'00000000-0000-4000-8000-00000000000c'::uuid", "'00000000-0000-4000-8000-00000000000d'::uuid"
	tx := prepared(t, frozen, keeping,
		person(user, "email, deleted_at", "'hash', '2026-01-01'"),
		person(other, "deleted_at", "'2026-01-01'"), person(third, "deleted_at", "'2026-01-01'"), person(fourth, "created_at", "'2026-01-01'"),
		"create table postern.orders (buyer uuid references auth.users)", "insert into postern.orders values ("+other+")",
		"create table postern.votes (voter uuid references auth.users deferrable initially deferred)", "insert into postern.votes values ("+third+")")
	for _, step := range [][2]string{
		{"select rows, is_done from postern_internal.maintain('deleted_users')", "(1,t)"},
		{"select string_agg(right(id::text, 1), '' order by id) from auth.users", "(bcd)"},
		{"select right(user_id::text, 1), reason ~ 'orders_buyer_fkey|votes_voter_fkey' from postern.retention_refusals order by 1", "(b,t)\n(c,t)"},
		{"select type, actor from postern.events order by id", "(user.deleted,maintenance)"},
		{"select payload #>> '{traits,user_email}' from auth.audit_log_entries", "(hash)"},
		{"select rows from postern_internal.maintain('deleted_users')", "(0)"},
		{"delete from postern.orders", ""},
		{"delete from postern.retention_refusals", ""},
		{"select rows from postern_internal.maintain('deleted_users')", "(1)"},
	} {
		if step[1] == "" {
			if _, err := tx.Exec(t.Context(), step[0]); err != nil {
				t.Fatal(err)
			}
		} else if got := ask(t, tx, step[0]); got != step[1] {
			t.Errorf("%s: %s, want %s", step[0], got, step[1])
		}
	}
}

// Months are made ahead, events go to them, and a month past its retention goes as a table.
func TestEventsByMonth(t *testing.T) {
	t.Parallel()
	tx := prepared(t, frozen, keeping, "insert into postern.events (type, actor, created_at) values ('x', 'y', "+now+")")
	partition := "select tableoid::regclass, actor from postern.events order by id"
	for _, step := range [][2]string{
		{"select rows from postern_internal.maintain('event_partitions')", "(2)"},
		{"select rows from postern_internal.maintain('event_partitions')", "(0)"},
		{"select partition, month = '2026-06-01Z' from postern_internal.event_months() order by month limit 1", "(postern.events_2026_06,t)"},
		{"select set_config('postern.clock', '2026-06-01 00:00Z', true) is null", "(f)"},
		{"select postern_internal.record_event('x', null, '{\"actor\": \"june\"}') is null", "(f)"},
		{partition, "(postern.events_default,y)\n(postern.events_2026_06,june)"},
		{"select indexdef ~ 'user_id, id' from pg_indexes where tablename = 'events_2026_06' and indexdef !~ 'UNIQUE'", "(t)"},
		{"select set_config('postern.clock', '2026-09-28 00:00Z', true) is null", "(f)"}, // 90 days after the end of June, less one
		{"select rows from postern_internal.maintain('events')", "(1)"},
		{partition, "(postern.events_2026_06,june)"},
		{"select set_config('postern.clock', '2026-09-29 00:00Z', true) is null", "(f)"},
		{"select rows >= 0 from postern_internal.maintain('events')", "(t)"},
		{partition, ""},
		{"select to_regclass('postern.events_2026_06') is null, to_regclass('postern.events_2026_07') is null", "(t,f)"},
	} {
		if got := ask(t, tx, step[0]); got != step[1] {
			t.Errorf("%s: %s, want %s", step[0], got, step[1])
		}
	}
}

// Rows that a request holds are passed over; two processes do not work at the same time.
func TestMaintenanceWaitsForNobody(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	conn, holder := connect(t, url, ""), connect(t, url, "")
	exec(t, conn, "insert into auth.flow_state (id, auth_code, provider_type, authentication_method, created_at) values (gen_random_uuid(), 'held', 'x', 'x', '2001-01-01'), (gen_random_uuid(), 'free', 'x', 'x', '2001-01-01')")
	exec(t, holder, "begin", "select from auth.flow_state where auth_code = 'held' for update")
	const batch = "select coalesce(rows::text, 'taken') from postern_internal.maintain('flow_states')"
	diff(t, "beside a request", []string{"1"}, lines(t, conn, batch))
	exec(t, holder, "commit", "begin", "select postern_internal.maintain('outbox')")
	diff(t, "beside another process", []string{"taken"}, lines(t, conn, batch))
	if _, err := conn.Exec(t.Context(), "select postern.run_maintenance()"); err == nil || !strings.Contains(err.Error(), "PT409") {
		t.Errorf("a pass by hand beside another process: %v", err)
	}
	exec(t, holder, "commit")
	diff(t, "afterwards", []string{"1"}, lines(t, conn, batch))
}

// The events of a database that was installed before they were partitioned keep their ids, and new ones come after.
func TestEventsMoveToPartitions(t *testing.T) {
	t.Parallel()
	tx := prepared(t, "drop table postern.events, postern.maintenance, postern.retention_refusals cascade",
		"drop index postern.session_ends_ended_at_idx",
		`create table postern.events (id bigint generated always as identity primary key, type text not null, user_id uuid,
			session_id uuid, actor text not null, data jsonb not null default '{}', created_at timestamptz not null default now())`,
		"create index events_user_idx on postern.events (user_id, id)",
		`insert into postern.events (type, actor, data, created_at) values ('a', 'x', '{"n": 1}', '2001-01-01'), ('b', 'y', '{}', now())`)
	files, err := filepath.Glob("migrations/*_maintenance.sql")
	if err != nil || len(files) != 1 {
		t.Fatalf("the migration: %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{string(text), "insert into postern.events (type, actor) values ('c', 'z')"} {
		if _, err := tx.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	want := "(1,a,x,\"{\"\"n\"\": 1}\",t)\n(2,b,y,{},f)\n(3,c,z,{},f)"
	if got := ask(t, tx, "select id, type, actor, data, created_at < '2002-01-01' from postern.events order by id"); got != want {
		t.Errorf("events:\n%s\nwant:\n%s", got, want)
	}
}
