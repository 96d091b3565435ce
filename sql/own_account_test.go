package sql_test

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

// The boundaries of what a user may do to the own account, at a clock that stands still.
func TestOwnAccount(t *testing.T) {
	t.Parallel()
	const (
		session = "'00000000-0000-4000-8000-0000000000aa'"
		asUser  = "postern_internal.context() - 'actor' - 'by_sql'"
		remove  = "select coalesce(failure ->> 'code', 'deleted') from postern_internal.delete_own_user(" + annID + ", " + session + ", '', false, 600, " + asUser + ")"
		list    = "select string_agg(right(s ->> 'id', 2) || (s ->> 'is_current'), ' ') from jsonb_array_elements(postern_internal.list_own_sessions(" + annID + ", " + session + ", (" + asUser + ") || '{%}')) as s"
		tokens  = `insert into auth.refresh_tokens (instance_id, token, user_id, session_id, revoked, created_at, updated_at)
			select '00000000-0000-0000-0000-000000000000', 'token' || right(id::text, 7), user_id::text, id, false, now(), now() from auth.sessions`
		proof = "insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) values (gen_random_uuid(), " + session + ", now() - interval '1 day', now() - interval '600 seconds' + interval "
		asked = "PT400 reauthentication_needed: Deleting the account requires a recent sign-in or reauthentication"
	)
	with := func(settings string) string { return strings.Replace(list, "%", settings, 1) }
	for name, steps := range map[string][]step{
		"no proof":               {{remove, asked}},
		"a proof at its end":     {{proof + "'0', 'password')", ""}, {remove, asked}},
		"a proof before its end": {{proof + "'1 second', 'password')", ""}, {remove, "deleted"}, {"select count(*) from auth.users where id = " + annID, "0"}},
		"signed in anonymously":  {{proof + "'600 seconds', 'anonymous')", ""}, {remove, asked}},
		"of another session": {
			{strings.Replace(proof, session, "'00000000-0000-4000-8000-0000000000ab'", 1) + "'600 seconds', 'password')", ""},
			{remove, asked},
		},
		"a factor nobody verified": {
			{"insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) values (gen_random_uuid(), " + annID + ", 'totp', 'unverified', now(), now())", ""},
			{proof + "'600 seconds', 'password')", ""}, {remove, "deleted"},
		},
		"who did it": {
			{proof + "'600 seconds', 'password')", ""}, {remove, "deleted"},
			{"select string_agg(type || ' ' || actor, ', ' order by id) from postern.events", "session.ended user, session.ended user, user.deleted user"},
			{"select payload ->> 'actor_id', payload ->> 'actor_username', payload -> 'traits' ->> 'user_email' from auth.audit_log_entries", ann + ",ann@example.com,ann@example.com"},
			{"select distinct reason, actor from postern.session_ends", "user_deleted,user"},
		},
		"sessions": {
			{tokens, ""},
			{with(""), "aatrue abfalse"},
			{with(`"timebox": 3600`), "aatrue abfalse"},
			{with(`"timebox": 3599`), "aatrue"},
			{with(`"single_per_user": true`), "aatrue"},
			{"update auth.refresh_tokens set revoked = true where session_id::text like '%ab'", ""},
			{with(""), "aatrue"},
			{"update auth.sessions set refresh_token_hmac_key = 'k', refresh_token_counter = 0 where id::text like '%ab'", ""},
			{with(""), "aatrue abfalse"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}

// Looking up an address or a number reads an index, not all users.
func TestLookUpReadsAnIndex(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	for _, s := range []string{
		`insert into auth.users (id, instance_id, aud, role, email, phone, created_at)
			select gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated', 'u' || n || '@example.com', 10000000 + n, now()
			from generate_series(1, 10000) as n`,
		"analyze auth.users",
	} {
		if _, err := tx.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	const reads = "select seq_tup_read from pg_stat_xact_user_tables where relid = 'auth.users'::regclass"
	playSteps(t, tx, []step{
		{"create temp table before on commit drop as " + reads, ""},
		{"select total from postern_internal.look_up_users('U7@example.com', null, postern_internal.context())", "1"},
		{"select total from postern_internal.look_up_users(null, '10000007', postern_internal.context())", "1"},
		{"select total from postern_internal.look_up_users('u7@example.com', '10000007', postern_internal.context())", "1"},
		{"select (" + reads + ") - (select seq_tup_read from before)", "0"},
		{"select total from postern_internal.list_users('u7@', false, 0, 10, postern_internal.context())", "1"},
		{"select (" + reads + ") - (select seq_tup_read from before) > 0", "t"},
	})
}
