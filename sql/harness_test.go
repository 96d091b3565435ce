package sql_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/dev"
	"github.com/postern-auth/postern/sql"
)

func TestMain(m *testing.M) { apitest.Main(m) }

// connect opens a connection that is closed with the test. As a role it has the search path of the
// hosted role, which no statement of the installer may depend on.
func connect(t testing.TB, url, role string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		config.RuntimeParams["role"] = role
		config.RuntimeParams["search_path"] = "auth"
		config.RuntimeParams["timezone"] = "Asia/Tokyo"
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%.200s: %v", s, err)
		}
	}
}

// lines returns the first column of a query.
func lines(t testing.TB, conn *pgx.Conn, query string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%.200s: %v", query, err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%.200s: %v", query, err)
	}
	return got
}

// install runs Install and returns what it logged.
func install(t testing.TB, conn *pgx.Conn) string {
	t.Helper()
	var b strings.Builder
	if err := sql.Install(t.Context(), conn, slog.New(slog.NewTextHandler(&b, nil))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// installed makes a database from empty and returns the owner's connection to it.
func installed(t testing.TB) *pgx.Conn {
	t.Helper()
	conn := connect(t, apitest.EmptyDatabase(t), apitest.Owner)
	install(t, conn)
	return conn
}

// fileLines reads a file of testdata without its last line break.
func fileLines(t testing.TB, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// catalog describes schema auth line by line: relations with owner, rights and row level security,
// columns, constraints, indexes, enums, functions, comments. Order of columns is left out.
func catalog(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	exec(t, conn, "set search_path = ''")
	return lines(t, conn, `
		with relation as (
		  select * from pg_class where relnamespace = 'auth'::regnamespace and relkind in ('r', 'S', 'v')
		)
		select format('relation %s %s owner %s acl %s rls %s', relkind, relname, relowner::regrole, relacl, relrowsecurity)
		from relation
		union all
		select format('column %s.%s %s null %s default %s generated %s', relname, attname,
		  format_type(atttypid, atttypmod), not attnotnull, pg_get_expr(adbin, adrelid), attgenerated)
		from relation join pg_attribute a on attrelid = relation.oid and attnum > 0 and not attisdropped
		left join pg_attrdef on adrelid = attrelid and adnum = attnum
		where relkind = 'r'
		union all
		select format('constraint %s.%s %s', relname, conname, pg_get_constraintdef(c.oid))
		from relation join pg_constraint c on conrelid = relation.oid where contype <> 'n'
		union all
		select format('index %s valid %s', pg_get_indexdef(indexrelid), indisvalid)
		from relation join pg_index on indrelid = relation.oid
		union all
		select format('sequence %s of %s.%s', relname, refobjid::regclass, refobjsubid)
		from relation join pg_depend on objid = relation.oid and deptype = 'a' and relkind = 'S'
		union all
		select format('enum %s %s', typname, array(select enumlabel from pg_enum where enumtypid = t.oid order by enumsortorder))
		from pg_type t where typnamespace = 'auth'::regnamespace and typtype = 'e'
		union all
		select format('function %s acl %s owner %s', regexp_replace(pg_get_functiondef(oid), '\s+', ' ', 'g'), proacl, proowner::regrole)
		from pg_proc where pronamespace = 'auth'::regnamespace
		union all
		select format('comment %s.%s', relname, objsubid)
		from pg_description d join relation on objoid = relation.oid and classoid = 'pg_class'::regclass and objsubid = 0
		order by 1`)
}

// stamps lists auth.schema_migrations.
func stamps(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	return lines(t, conn, `select version from auth.schema_migrations order by version collate "C"`)
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// bareCluster starts a cluster with no role but the superuser, for tests that are about roles, which
// databases of a cluster share; it returns the superuser's URL.
func bareCluster(t testing.TB) string {
	t.Helper()
	cluster, err := dev.Start(t.Context(), dev.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	return cluster.SocketURL("postgres")
}

// newRole makes a role for a test, named after the superuser's database, and drops it when the test ends: roles belong to
// the cluster, which tests share.
func newRole(t testing.TB, url, prefix, options string) string {
	t.Helper()
	conn := connect(t, url, "")
	name := prefix + "_" + conn.Config().Database
	exec(t, conn, "create role "+name+" "+options)
	t.Cleanup(func() {
		cleaner, err := pgx.Connect(context.Background(), url)
		if err == nil {
			_, err = cleaner.Exec(context.Background(), "drop role "+name)
			_ = cleaner.Close(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	})
	return name
}

// connectAs opens a connection whose session user is that role.
func connectAs(t testing.TB, url, role string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.User = role
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
