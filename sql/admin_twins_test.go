package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// armed gives ann an identity at GitHub and two factors, of which the first lifted a session to aal2.
const armed = `
	insert into auth.identities (id, provider_id, user_id, provider, identity_data, created_at, updated_at) values
	  ('00000000-0000-4000-8000-0000000000e1', '7', ` + annID + `, 'github', '{"email": "lee@example.com", "email_verified": true}', now(), now());
	insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, phone, created_at, updated_at) values
	  (` + factorID + `, ` + annID + `, 'watch', 'totp', 'verified', 'SECRET', null, '2026-01-01', now()),
	  (` + otherID + `, ` + annID + `, '', 'phone', 'unverified', null, '15550002', '2026-01-02', now());
	update auth.sessions set aal = 'aal2', factor_id = ` + factorID + ` where id = '00000000-0000-4000-8000-0000000000aa';
	insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) values
	  (gen_random_uuid(), '00000000-0000-4000-8000-0000000000aa', now(), now(), 'totp')`

// dropFactor is the call of DELETE /admin/users/{id}/factors/{id}.
func dropFactor(id string) string {
	return fmt.Sprintf("select postern_internal.admin_delete_factor(%s, %s, null, postern_internal.context())", annID, id)
}

// changeFactor is the call of PUT /admin/users/{id}/factors/{id}: the handler sends both members.
func changeFactor(id, changes string) string {
	return fmt.Sprintf("select postern_internal.admin_update_factor(%s, %s, '%s', null, null, postern_internal.context())", annID, id, changes)
}

// grep returns the lines that begin so.
func grep(lines []string, prefix string) (found []string) {
	for _, line := range lines {
		if strings.HasPrefix(line, prefix) {
			found = append(found, line)
		}
	}
	return found
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
		{"select postern.update_factor('ann@example.com', " + factorID + ", 'clock')", changeFactor(factorID, `{"friendly_name": "clock", "phone": ""}`)},
		{"select postern.update_factor('ann@example.com', " + otherID + ", phone => '+1 555 0009')", changeFactor(otherID, `{"friendly_name": "", "phone": "15550009"}`)},
		{"select postern.delete_factor('ann@example.com', " + factorID + ")", dropFactor(factorID)},
		{"select postern.reset_mfa('ann@example.com')", dropFactor(factorID) + ";" + dropFactor(otherID)},
		{"select postern.sign_out('ann@example.com')", "select postern_internal.admin_sign_out(" + annID + ", null, postern_internal.context())"},
		{"select postern.sign_out('ann@example.com', '00000000-0000-4000-8000-0000000000aa')",
			"select postern_internal.admin_sign_out(" + annID + ", '00000000-0000-4000-8000-0000000000aa', postern_internal.context())"},
		{"select postern.sign_out_all(everybody => true)", "select postern_internal.admin_sign_out(" + annID + ", null, postern_internal.context())"},
		{"select postern.revoke_tokens_before(clock_timestamp(), 'ann@example.com')", "select postern_internal.admin_sign_out(" + annID + ", null, postern_internal.context())"},
	} {
		t.Run(pair[0], func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			if _, err := tx.Exec(t.Context(), armed); err != nil {
				t.Fatal(err)
			}
			before, bySQL, byHTTP := leaves(t, tx, "select 1"), leaves(t, tx, pair[0]), leaves(t, tx, pair[1])
			diff(t, "SQL and HTTP", byHTTP, bySQL)
			if cmp.Equal(before, bySQL) || len(grep(bySQL, "event ")) == 0 || len(grep(bySQL, "audit ")) == 0 {
				t.Errorf("nothing was recorded: %q", bySQL)
			}
		})
	}
}

// The lists show what GET /admin/users/{id} and its factors show, in that order.
func TestSQLListsWhatHTTPLists(t *testing.T) {
	t.Parallel()
	playSteps(t, admin(t), []step{
		{armed, ""},
		{`select jsonb_agg(jsonb_build_object('identity_id', i.identity_id, 'provider', i.provider, 'id', i.provider_id, 'email', i.email,
			'identity_data', i.identity_data) order by n) = (select jsonb_agg(d - 'created_at' - 'updated_at' - 'last_sign_in_at' - 'user_id' order by m)
			  from jsonb_array_elements(postern_internal.admin_get_user(` + annID + `) -> 'identities') with ordinality as h (d, m)), count(*)
			from postern.list_identities('ann@example.com') with ordinality as i (identity_id, provider, provider_id, email, is_verified, identity_data,
			  created_at, last_sign_in_at, n)`, "t,2"},
		{"select provider, email, is_verified from postern.list_identities('+15550001')", "phone,,f"},
		{"select postern.update_user('+15550001', phone_confirm => true, phone => '15550001') is null", "f"},
		{"select provider, email, is_verified from postern.list_identities('+15550001')", "phone,,t"},
		{"select string_agg(provider || ' ' || is_verified, ' ') from postern.list_identities('ann@example.com')", "email false github true"},
		{`select jsonb_agg(jsonb_build_object('id', f.factor_id, 'factor_type', f.factor_type, 'status', f.status, 'phone', coalesce(f.phone, ''),
			'last_challenged_at', f.last_challenged_at) || jsonb_strip_nulls(jsonb_build_object('friendly_name', f.friendly_name))) = (
			  select jsonb_agg(h - 'created_at' - 'updated_at') from jsonb_array_elements(postern_internal.admin_list_factors(` + annID + `)) as h)
			from postern.list_factors('ann@example.com') as f`, "t"},
		{"select count(*) from postern.list_factors('bob@example.com')", "0"},
		{"select count(*) from postern.list_factors('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
		{"select count(*) from postern.list_identities('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
	})
}
