package sql_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

// Pages put together are the list, whoever is added in between; users without a date come last.
func TestPagesOfUsers(t *testing.T) {
	t.Parallel()
	find := func(arguments string) string {
		return "select coalesce(string_agg(left(email, 1), '' order by n), 'nobody') from (select *, row_number() over () as n from postern.find_users(" + arguments + ")) as f"
	}
	after := func(letter string) string {
		return "'', 2, (select id from auth.users where email like '" + letter + "%')"
	}
	playSteps(t, apitest.Tx(t), []step{
		{`insert into auth.users (instance_id, id, email, created_at) select postern_internal.nil_uuid(), ('00000000-0000-4000-8000-00000000000' || n)::uuid,
			n || '@example.com', at from (values ('a', timestamptz '2026-01-01'), ('b', '2026-01-02'), ('c', '2026-01-02'), ('d', '2026-01-03'), ('e', null), ('f', null)) as v (n, at)`, ""},
		{find(""), "dcbafe"},
		{find("'', 2"), "dc"},
		{find(after("c")), "ba"},
		{"insert into auth.users (instance_id, id, email, created_at) values (postern_internal.nil_uuid(), gen_random_uuid(), 'new@example.com', '2026-01-04')", ""},
		{find(after("d")), "cb"},
		{find(after("b")), "af"},
		{find(after("a")), "fe"},
		{find(after("f")), "e"},
		{find(after("e")), "nobody"},
		{find("'', 3"), "ndc"},
		{find("'', null"), "ndcbafe"},
		{find("'', 0"), "nobody"},
		{find("'@EXAMPLE', 1, '00000000-0000-4000-8000-00000000000d'"), "c"},
		{find("'e@', after => '00000000-0000-4000-8000-00000000000d'"), "e"},
		{find("after => '00000000-0000-4000-8000-000000000000'"), "PT404 user_not_found: The list cannot go on after user 00000000-0000-4000-8000-000000000000, who is gone"},
	})
}

// A page of the whole list reads little more than its rows, through the index of the index worker.
func TestPagesOfUsersUseTheIndex(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.Database(t), "")
	exec(t, conn, `insert into auth.users (instance_id, id, email, created_at) select postern_internal.nil_uuid(),
		('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, n || '@example.com', timestamptz '2026-01-01' + make_interval(secs => n) from generate_series(1, 5000) as n`,
		"create index idx_users_created_at_desc on auth.users (created_at desc)", "analyze auth.users")
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{AccessMode: pgx.ReadOnly})
		if err != nil {
			t.Fatal(err)
		}
		ask(t, tx, "select set_config('plan_cache_mode', '"+mode+"', true)")
		for _, after := range []string{"null", "'00000000-0000-4000-8000-000000005000'", "'00000000-0000-4000-8000-000000002500'"} {
			const reads = "select seq_tup_read, idx_tup_fetch from pg_stat_xact_all_tables where schemaname = 'auth' and relname = 'users'"
			var scanned, fetched, scannedBefore, fetchedBefore, found int
			scan(t, tx, reads, &scannedBefore, &fetchedBefore)
			scan(t, tx, "select count(*) from postern.find_users(after => "+after+")", &found)
			scan(t, tx, reads, &scanned, &fetched)
			if found != 50 || scanned != scannedBefore || fetched-fetchedBefore > 200 {
				t.Errorf("%s, after %s: %d users by reading %d rows in order and %d through indexes", mode, after, found, scanned-scannedBefore, fetched-fetchedBefore)
			}
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// scan reads the one row of a query.
func scan(t *testing.T, tx pgx.Tx, query string, into ...any) {
	t.Helper()
	if err := tx.QueryRow(t.Context(), query).Scan(into...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
