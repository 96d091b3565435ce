package sql_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/sql"
)

// version is one release's functions for the tests of this file.
func version(t *testing.T, changes map[string]string) *sql.Source {
	t.Helper()
	src, err := sql.NewSource(changes)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func installVersion(t *testing.T, conn *pgx.Conn, src *sql.Source) {
	t.Helper()
	if err := src.Install(t.Context(), conn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
}

const (
	fileA = "functions/test/a.sql"
	fileB = "functions/test/b.sql"
	fileV = "views/v.sql"
)

func function(name, parameters, result, body string) string {
	return "create or replace function postern." + name + "(" + parameters + ") returns " + result +
		" language sql stable set search_path = '' as $$ " + body + " $$;"
}

func TestFilesComeInAnyOrder(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	installVersion(t, conn, version(t, map[string]string{
		// a needs the type of the view, the view calls b, b's default calls a function of c.
		fileA:                  function("a", "", "setof postern.v", "select * from postern.v"),
		fileB:                  function("b", "p int default postern.c()", "int", "select p"),
		"functions/test/c.sql": function("c", "", "int", "select 7"),
		fileV:                  "create or replace view postern.v as select postern.b() as n",
	}))
	diff(t, "result", []string{"7"}, lines(t, conn, "select n::text from postern.a()"))
}

func TestMissingObjectIsAnErrorWithItsFile(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	src := version(t, map[string]string{fileA: function("a", "", "setof postern.nowhere", "select 1"), fileB: function("b", "", "int", "select 1")})
	err := src.Install(t.Context(), conn, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), fileA) {
		t.Errorf("got %v", err)
	}
	diff(t, "functions of the failed version", []string(nil), lines(t, conn, "select proname::text from pg_proc where proname in ('a', 'b')"))
}

// A function that returns other rows is dropped by its exact signature and made again; its namesake
// and what depends on others stay, and the grants are made anew.
func TestChangedReturnRow(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	installVersion(t, conn, version(t, map[string]string{
		fileA: function("a", "p int, out one int", "int", "select 1"),
		fileB: function("a", "p text", "text", "select 'namesake'"),
	}))
	before := lines(t, conn, "select oid::text from pg_proc where oid = 'postern.a(text)'::regprocedure")
	next := version(t, map[string]string{
		fileA: function("a", "q int, out one int, out two int", "record", "select 1, 2") + "\n" + function("d", "", "int", "select 4"),
		fileB: function("a", "p text", "text", "select 'namesake'"),
	})
	installVersion(t, conn, next)
	diff(t, "result", []string{"1 2"}, lines(t, conn, "select one || ' ' || two from postern.a(q => 5)"))
	diff(t, "namesake", before, lines(t, conn, "select oid::text from pg_proc where oid = 'postern.a(text)'::regprocedure"))
	diff(t, "grants", []string{"{supabase_auth_admin=X/supabase_auth_admin,postern_admin=X/supabase_auth_admin}"},
		lines(t, conn, "select distinct proacl::text from pg_proc where pronamespace = 'postern'::regnamespace and proname in ('a', 'd')"))

	// A view of somebody else that calls it is not dropped with it.
	exec(t, conn, "create view auth.theirs as select (postern.a(1)).one")
	err := version(t, map[string]string{fileA: function("a", "q int", "int", "select 1")}).
		Install(t.Context(), conn, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "DROP FUNCTION postern.a(integer)") {
		t.Errorf("got %v", err)
	}
	diff(t, "result afterwards", []string{"1"}, lines(t, conn, "select one::text from auth.theirs"))
}

// While a release is rolled out, both versions' servers find what they need; a function whose file is
// gone stays. Going back makes the database too old for the newer one.
func TestTwoVersionsSideBySide(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	first := version(t, map[string]string{fileA: function("a", "", "int", "select 1"), fileB: function("b", "", "int", "select 1")})
	second := version(t, map[string]string{fileA: function("a", "", "int", "select 2")})
	ready := func(what string, src *sql.Source, want bool) {
		t.Helper()
		if err := src.Ready(t.Context(), conn); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	installVersion(t, conn, first)
	ready("the second before its migration", second, false)
	installVersion(t, conn, second)
	ready("the first after the second's migration", first, true)
	ready("the second", second, true)
	diff(t, "results", []string{"2 1"}, lines(t, conn, "select postern.a() || ' ' || postern.b()"))

	installVersion(t, conn, first)
	diff(t, "results after going back", []string{"1 1"}, lines(t, conn, "select postern.a() || ' ' || postern.b()"))
	ready("the second after going back", second, false)
	ready("the first after going back", first, true)
}
