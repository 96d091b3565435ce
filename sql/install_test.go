package sql_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/sql"
)

func TestTenInstallersAtOnce(t *testing.T) {
	t.Parallel()
	url := apitest.EmptyDatabase(t)
	var wg sync.WaitGroup
	var worked atomic.Int32
	for range 10 {
		conn := connect(t, url, apitest.Owner)
		wg.Go(func() {
			var b strings.Builder
			if err := sql.Install(t.Context(), conn, slog.New(slog.NewTextHandler(&b, nil))); err != nil {
				t.Error(err)
			}
			if !strings.Contains(b.String(), "migrations=0") && b.Len() > 0 {
				worked.Add(1)
			}
		})
	}
	wg.Wait()
	if worked.Load() != 1 {
		t.Errorf("%d installers ran the migrations, want 1", worked.Load())
	}
	if err := sql.Ready(t.Context(), connect(t, url, apitest.Owner)); err != nil {
		t.Error(err)
	}
}

// statements counts what a connection sends.
type statements struct{ n int }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n++
	return ctx
}
func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestSecondInstallIsOneStatementAndChangesNothing(t *testing.T) {
	t.Parallel()
	url := apitest.EmptyDatabase(t)
	conn := connect(t, url, apitest.Owner)
	start := time.Now()
	install(t, conn)
	t.Logf("from empty: %v", time.Since(start))

	const rows = `select md5(string_agg(x, ',' order by x)) from (
		select xmin || ' ' || oid from pg_proc
		union all select xmin || ' ' || oid from pg_class
		union all select xmin || ' ' || attrelid || ' ' || attnum from pg_attribute
		union all select xmin || ' ' || id from postern.installed_files
		union all select xmin || ' ' || version from postern.schema_version
		union all select xmin || ' ' || version from auth.schema_migrations
	) as t (x)`
	before := lines(t, conn, rows)

	config := conn.Config().Copy()
	count := &statements{}
	config.Tracer = count
	again, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close(context.Background()) })
	start = time.Now()
	install(t, again)
	t.Logf("with nothing to do: %v", time.Since(start))
	if count.n != 1 {
		t.Errorf("%d statements, want 1", count.n)
	}
	diff(t, "row versions", before, lines(t, conn, rows))
}

func TestPlanChangesNothing(t *testing.T) {
	t.Parallel()
	conn, _ := oldDatabase(t, milestones(t)[:6])
	before := catalog(t, conn)
	steps, err := sql.Plan(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, step := range steps {
		kinds[step.Kind]++
	}
	if kinds["schema"] != 2 || kinds["migration"] != version(t, nil).Version() || kinds["function"] < 4 || kinds["grants"] != 1 || kinds["administrator"] != 0 {
		t.Errorf("steps: %v", kinds)
	}
	diff(t, "catalog", before, catalog(t, conn))
	diff(t, "schemas", []string{"auth", "public"}, lines(t, conn,
		`select nspname::text from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' order by 1`))

	install(t, conn)
	if steps, err = sql.Plan(t.Context(), conn); err != nil || len(steps) != 0 {
		t.Errorf("after the installation: %v, %v", steps, err)
	}
}

func TestOwnerWithoutCreateOnDatabase(t *testing.T) {
	t.Parallel()
	url := apitest.EmptyDatabase(t)
	admin, conn := connect(t, url, ""), connect(t, url, apitest.Owner)
	exec(t, admin, `do $$ begin execute format('revoke create on database %I from supabase_auth_admin', current_database()); end $$`)

	err := sql.Install(t.Context(), conn, slog.New(slog.DiscardHandler))
	want, ok := errors.AsType[*sql.PrerequisiteError](err)
	if !ok {
		t.Fatalf("got %v, want a *PrerequisiteError", err)
	}
	diff(t, "statements", []string{
		"create schema postern authorization supabase_auth_admin",
		"create schema postern_internal authorization supabase_auth_admin",
	}, want.Statements)
	for _, statement := range want.Statements {
		if !strings.Contains(err.Error(), "\n    "+statement+";\n") {
			t.Errorf("the message should print %q; it is %s", statement, err)
		}
	}
	steps, err := sql.Plan(t.Context(), conn)
	if err != nil || steps[0].Kind != "administrator" {
		t.Errorf("plan: %v, %v", steps, err)
	}

	// An administrator who forgets whom they are for is told.
	exec(t, admin, "create schema postern", "create schema postern_internal authorization supabase_auth_admin")
	err = sql.Install(t.Context(), conn, slog.New(slog.DiscardHandler))
	if want, ok = errors.AsType[*sql.PrerequisiteError](err); !ok {
		t.Fatalf("got %v, want a *PrerequisiteError", err)
	}
	diff(t, "statements", []string{"alter schema postern owner to supabase_auth_admin"}, want.Statements)

	exec(t, admin, want.Statements...)
	install(t, conn)
	if err := sql.Ready(t.Context(), conn); err != nil {
		t.Error(err)
	}
}

// Leaving is one statement, after which the database is one of Supabase Auth and nothing else; and one
// can come back.
func TestLeavingAndComingBack(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	exec(t, conn, "insert into auth.users (id, email, encrypted_password) values (gen_random_uuid(), 'kit@example.com', 'hash')")
	before := catalog(t, conn)
	exec(t, conn, "drop schema postern_internal, postern cascade")
	diff(t, "catalog", before, catalog(t, conn))
	diff(t, "what else is left", []string(nil), lines(t, conn, `
		select defaclrole::regrole::text from pg_default_acl
		union all
		select polname::text from pg_policy
		union all
		select tgname::text from pg_trigger where not tgisinternal
		union all
		select oid::regprocedure::text from pg_proc
		where oid >= 16384 and pronamespace not in ('auth'::regnamespace, 'pg_catalog'::regnamespace)`))

	install(t, conn)
	diff(t, "catalog after coming back", before, catalog(t, conn))
	diff(t, "identities", []string(nil), lines(t, conn, "select provider from auth.identities"))
}

func TestReady(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.EmptyDatabase(t), apitest.Owner)
	tooOld := func(what, sentence string) {
		t.Helper()
		err := sql.Ready(t.Context(), conn)
		if _, ok := errors.AsType[*sql.TooOldError](err); !ok || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%s: got %v, want %s", what, err, sentence)
		}
	}
	tooOld("empty", "no Postern schema yet; run: postern migrate")
	install(t, conn)
	if err := sql.Ready(t.Context(), conn); err != nil {
		t.Error(err)
	}
	exec(t, conn, "update postern.schema_version set version = version + 1")
	if err := sql.Ready(t.Context(), conn); err != nil {
		t.Errorf("newer: %v", err)
	}
	exec(t, conn, "delete from postern.installed_files")
	if got := install(t, conn); !strings.Contains(got, "a newer Postern") {
		t.Errorf("install on a newer database: %s", got)
	}
	exec(t, conn, "update postern.schema_version set version = 2")
	need := version(t, nil).Version()
	tooOld("older", fmt.Sprintf("at schema version 2 and this Postern needs %d", need))
	exec(t, conn, fmt.Sprintf("update postern.schema_version set version = %d", need))
	tooOld("without functions", "lacks this Postern's version of sql/functions/")
}

func TestHashIsShortAndStable(t *testing.T) {
	t.Parallel()
	if a, b := sql.Hash(), sql.Hash(); len(a) != 16 || a != b {
		t.Errorf("hashes %q and %q", a, b)
	}
}
