package sql_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

const (
	ann   = "00000000-0000-4000-8000-00000000000a"
	bob   = "00000000-0000-4000-8000-00000000000b"
	phone = "00000000-0000-4000-8000-00000000000c"
)

// traces are all rows that an administrator's change may touch, without ids that are drawn by chance.
const traces = `
	select 'user ' || (to_jsonb(u))::text from auth.users as u
	union all select 'identity ' || (to_jsonb(i) - 'id')::text from auth.identities as i
	union all select 'token ' || (to_jsonb(t) - 'id')::text from auth.one_time_tokens as t
	union all select 'factor ' || (to_jsonb(f))::text from auth.mfa_factors as f
	union all select 'session ' || (to_jsonb(s))::text from auth.sessions as s
	union all select 'claim ' || (to_jsonb(c) - 'id')::text from auth.mfa_amr_claims as c
	union all select 'flow ' || (to_jsonb(f))::text from auth.flow_state as f
	union all select 'end ' || (to_jsonb(e))::text from postern.session_ends as e
	union all select 'event ' || (to_jsonb(e) - 'id')::text from postern.events as e
	union all select 'audit ' || a.payload || coalesce(a.ip_address, '') from auth.audit_log_entries as a
	union all select 'mail ' || (to_jsonb(o) - 'id')::text from postern.outbox as o
	order by 1`

// leaves carries a call out, returns all that is in the tables then, and takes it back.
func leaves(t *testing.T, tx pgx.Tx, call string) []string {
	t.Helper()
	nested, err := tx.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nested.Rollback(t.Context()) }()
	if _, err := nested.Exec(t.Context(), call); err != nil {
		t.Fatalf("%s: %v", call, err)
	}
	rows, err := nested.Query(t.Context(), traces)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// put is the call of PUT /admin/users/{id} with a body: the handler sends all members that are not metadata.
func put(id, changes, hash string) string {
	return fmt.Sprintf(`select postern_internal.admin_update_user('%s', '{"id": "", "aud": "", "role": "", "email": "", "phone": "",
		"email_confirm": false, "phone_confirm": false}'::jsonb || '%s', %s, null, postern_internal.context())`, id, changes, hash)
}

// Each pair is a function of schema postern and what the handler of the admin endpoint calls for the same wish: they leave
// the same rows, events, audit entries and mails, which are not those of before.
func TestSQLLeavesWhatHTTPLeaves(t *testing.T) {
	t.Parallel()
	const hash = "'$2a$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
	for _, pair := range [][2]string{
		{"select postern.set_email('ann@example.com', 'New@Example.com')", put(ann, `{"email": "new@example.com"}`, "null")},
		{"select postern.set_email('bob@example.com', 'new@example.com', true)", put(bob, `{"email": "new@example.com", "email_confirm": true}`, "null")},
		{"select postern.set_email('+15550001', 'new@example.com')", put(phone, `{"email": "new@example.com"}`, "null")},
		{"select postern.set_phone('ann@example.com', '+1 555 0009')", put(ann, `{"phone": "15550009"}`, "null")},
		{"select postern.set_phone('+15550001', '15550009', phone_confirm => true)", put(phone, `{"phone": "15550009", "phone_confirm": true}`, "null")},
		{"select postern.confirm_phone('bob@example.com')", put(bob, `{"phone_confirm": true}`, "null")},
		{"select postern.set_user_metadata('ann@example.com', '{\"full_name\": null, \"b\": [1]}')", put(ann, `{"user_metadata": {"full_name": null, "b": [1]}}`, "null")},
		{"select postern.set_role('ann@example.com', ' editor ')", put(ann, `{"role": " editor "}`, "null")},
		{"select postern.update_user('ann@example.com')", put(ann, `{}`, "null")},
		{"select postern.update_user('ann@example.com', 'new@example.com', null, '+15550009', " + hash + ", true, true, '{\"a\": 1}', '{\"b\": 2}', 'editor', '1 day')",
			put(ann, `{"email": "new@example.com", "phone": "15550009", "email_confirm": true, "phone_confirm": true, "user_metadata": {"a": 1},
				"app_metadata": {"b": 2}, "role": "editor", "ban_seconds": 86400}`, hash)},
	} {
		t.Run(pair[0], func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			before, bySQL, byHTTP := leaves(t, tx, "select 1"), leaves(t, tx, pair[0]), leaves(t, tx, pair[1])
			diff(t, "SQL and HTTP", byHTTP, bySQL)
			if len(bySQL) <= len(before) {
				t.Errorf("nothing was recorded: %q", bySQL)
			}
		})
	}
}
