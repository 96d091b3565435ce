package sql_test

import "testing"

// fleet are sessions of ann, bob and a nobody-knows-when, each of another kind.
const fleet = `
	delete from auth.sessions;
	insert into auth.sessions (id, user_id, created_at, refreshed_at, ip, user_agent, aal) values
	  ('00000000-0000-4000-8000-000000000051', ` + annID + `, now() - interval '10 days', now() at time zone 'UTC', '203.0.113.7', 'Mozilla/5.0', 'aal2'),
	  ('00000000-0000-4000-8000-000000000052', ` + annID + `, now() - interval '3 days', null, '203.0.113.200', 'python-requests/2.32', 'aal1'),
	  ('00000000-0000-4000-8000-000000000053', '` + bob + `', now() - interval '1 hour', (now() - interval '30 minutes') at time zone 'UTC', '2001:db8::1', 'curl/8.5', 'aal1'),
	  ('00000000-0000-4000-8000-000000000054', '` + bob + `', null, null, null, null, null);
	insert into auth.refresh_tokens (instance_id, token, user_id, session_id, revoked, created_at, updated_at)
	  select '00000000-0000-0000-0000-000000000000', 'token' || right(id::text, 7), user_id::text, id, false, now(), now() from auth.sessions;
	insert into auth.refresh_tokens (instance_id, token, user_id, session_id, revoked, created_at, updated_at) values
	  ('00000000-0000-0000-0000-000000000000', 'orphanofann0', ` + annID + `, null, false, now() - interval '2 days', now() - interval '2 days'),
	  ('00000000-0000-0000-0000-000000000000', 'orphanofbob0', '` + bob + `', null, false, now() - interval '1 minute', now() - interval '1 minute')`

// left are the sessions that are still there, by their last digit.
const left = "select coalesce(string_agg(right(id::text, 1), ' ' order by id), 'none') from auth.sessions"

func TestSignOutAll(t *testing.T) {
	t.Parallel()
	for call, want := range map[string][2]string{ // what it returns, and what is left
		"older_than => '2 days'":                                 {"3", "3"},
		"older_than => '30 days'":                                {"1", "1 2 3"},
		"older_than => '0'":                                      {"4", "none"},
		"idle_for => '20 minutes'":                               {"3", "1"},
		"idle_for => '1 hour'":                                   {"2", "1 3"},
		"network => '203.0.113.0/24'":                            {"2", "3 4"},
		"network => '203.0.113.7'":                               {"1", "2 3 4"},
		"network => '2001:db8::/32'":                             {"1", "1 2 4"},
		"user_agent => 'PYTHON-requests%'":                       {"1", "1 3 4"},
		"user_agent => 'python'":                                 {"0", "1 2 3 4"},
		"aal => 'aal1'":                                          {"3", "1"},
		"aal => 'aal2'":                                          {"1", "2 3 4"},
		"network => '203.0.113.0/24', older_than => '5 days'":    {"1", "2 3 4"},
		"'1 day', '1 day', '203.0.113.0/24', '%', 'aal1', false": {"1", "1 3 4"},
		"everybody => true":                                      {"4", "none"},
		"":                                                       {refusedFilter, "1 2 3 4"},
		"everybody => null":                                      {refusedFilter, "1 2 3 4"},
		"network => null":                                        {refusedFilter, "1 2 3 4"},
		"aal => 'aal2', everybody => true":                       {refusedFilter, "1 2 3 4"},
		"aal => 'aal9'":                                          {"PT400 validation_failed: aal has to be aal1, aal2 or aal3", "1 2 3 4"},
		"older_than => '-1 day'":                                 {"PT400 validation_failed: Sessions that begin in the future cannot be ended", "1 2 3 4"},
		"idle_for => '-1 day', older_than => '1 day'":            {"PT400 validation_failed: Sessions that begin in the future cannot be ended", "1 2 3 4"},
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), []step{
				{fleet, ""},
				{"select postern.sign_out_all(" + call + ")", want[0]},
				{left, want[1]},
				{`select count(*) from auth.refresh_tokens as t where session_id is not null
					and not exists (select from auth.sessions as s where s.id = t.session_id)`, "0"},
			})
		})
	}
}

const refusedFilter = "PT400 validation_failed: Say which sessions end: older_than, idle_for, network, user_agent, aal; or everybody => true alone"

// What many sign-outs leave is what one leaves for each user: reason, event, and one audit entry per user.
func TestSignOutAllIsRecorded(t *testing.T) {
	t.Parallel()
	playSteps(t, admin(t), []step{
		{fleet, ""},
		{"select postern.sign_out_all(older_than => '1 day')", "3"},
		{"select string_agg(right(session_id::text, 1) || reason || (actor = session_user), ' ' order by session_id) from postern.session_ends", "1admintrue 2admintrue 4admintrue"},
		{"select string_agg(right(session_id::text, 1) || data::text || (user_id is null), ' ' order by id) from postern.events where type = 'session.ended'",
			`1{"reason": "admin"}false 2{"reason": "admin"}false 4{"reason": "admin"}false`},
		{"select string_agg((payload ->> 'action') || ' ' || (payload -> 'traits' ->> 'user_email') || ' ' || (payload ->> 'actor_username' = session_user), ', ' order by payload -> 'traits' ->> 'user_email') from auth.audit_log_entries",
			"logout ann@example.com true, logout bob@example.com true"},
		{"select explanation from postern.why_signed_out('bob@example.com')", "An administrator ended the session"},
		{"delete from auth.audit_log_entries", ""},
		{"select postern.sign_out_all(older_than => '30 days')", "0"},
		{"select count(*) from auth.audit_log_entries", "0"},
		{"select postern_internal.publish_settings('{\"audit_disabled\": true}')", ""},
		{"select postern.sign_out_all(everybody => true)", "1"},
		{"select count(*) from auth.audit_log_entries", "0"},
	})
}

func TestRevokeTokensBefore(t *testing.T) {
	t.Parallel()
	const orphans = "select string_agg(token || revoked, ' ' order by token) from auth.refresh_tokens where session_id is null"
	for name, steps := range map[string][]step{
		"everybody's": {
			// a session that was refreshed since may be in wrong hands as well
			{"select postern.revoke_tokens_before(now() - interval '1 day')", "3"},
			{left, "3"},
			{orphans, "orphanofann0true orphanofbob0false"},
			{"select string_agg(token, ' ' order by token) from auth.refresh_tokens where session_id is not null", "token0000053"},
			{"select string_agg(reason, ' ') from postern.session_ends", "admin admin admin"},
			{"select count(*) from auth.audit_log_entries where payload ->> 'action' = 'logout'", "2"},
		},
		"of one user": {
			{"select postern.revoke_tokens_before(clock_timestamp(), 'bob@example.com')", "2"},
			{left, "1 2"},
			{orphans, "orphanofann0false orphanofbob0true"},
			{"select postern.revoke_tokens_before(now(), 'bob@example.com')", "0"},
		},
		"the moment itself": {
			{"select postern.revoke_tokens_before(now() - interval '3 days')", "2"},
			{left, "2 3"},
		},
		"refusals": {
			{"select postern.revoke_tokens_before(null)", "PT400 validation_failed: The moment has to be one in the past: tokens of later are not revoked"},
			{"select postern.revoke_tokens_before(now() + interval '1 hour')", "PT400 validation_failed: The moment has to be one in the past: tokens of later are not revoked"},
			{"select postern.revoke_tokens_before(now(), 'eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
			{left, "1 2 3 4"},
			{orphans, "orphanofann0false orphanofbob0false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), append([]step{{fleet, ""}}, steps...))
		})
	}
}
