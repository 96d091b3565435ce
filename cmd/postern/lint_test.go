package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

// The command prints the findings, for people and for programs, and fails on an error only.
func TestLint(t *testing.T) {
	url := apitest.Database(t)
	t.Setenv("DATABASE_URL", url)
	if out, err := run(t, "lint", "--json"); err != nil || out != "[]\n" {
		t.Errorf("%s%v", out, err)
	}
	conn, err := pgx.Connect(t.Context(), apitest.AdminURL(t, url))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	execute := func(statement string) {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	execute("create table public.notes (owner uuid); create policy own on public.notes using (owner = auth.uid())")
	const warning = "WARNING  policy own on public.notes calls auth.uid() for every row; in a sub-select it is called once (policy_calls_per_row)\n" +
		"         fix: alter policy own on public.notes using ((owner = (select auth.uid())));\n"
	if out, err := run(t, "lint"); err != nil || out != warning+"0 errors, 1 warnings, 0 notes\n" {
		t.Errorf("%s%v", out, err)
	}
	execute("grant select on public.notes to anon")
	out, err := run(t, "lint")
	if err == nil || err.Error() != "1 of the findings are errors" || !strings.HasPrefix(out, "ERROR    table public.notes anon may use it") ||
		!strings.HasSuffix(out, warning+"1 errors, 1 warnings, 0 notes\n") {
		t.Errorf("%s%v", out, err)
	}
	out, err = run(t, "lint", "--json")
	var found []lintFinding
	if err == nil || json.Unmarshal([]byte(out), &found) != nil || len(found) != 2 || found[0].Rule != "table_without_rls" ||
		found[0].Severity != "error" || found[0].Object != "table public.notes" || found[0].Fix == "" {
		t.Errorf("%s%v", out, err)
	}
	for _, f := range found {
		execute(f.Fix)
	}
	execute("revoke all on public.notes from anon")
	if out, err := run(t, "lint"); err != nil || out != "0 errors, 0 warnings, 0 notes\n" {
		t.Errorf("%s%v", out, err)
	}
}
