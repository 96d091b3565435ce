// Package apitest gives tests real databases and a real mail server.
//
// Each test process runs its own PostgreSQL cluster, started at the first use, unless
// POSTERN_TEST_DATABASE_URL names a server (superuser) to use: `make test` starts one for all
// packages. Databases are clones of a template that is migrated once per content of sql/.
package apitest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-auth/postern/api/dev"
	"github.com/postern-auth/postern/sql"
)

// Owner is the role that owns schema auth and runs the server, as in a hosted Supabase project.
const Owner = "supabase_auth_admin"

const ownerPassword = "conformance"

// server is the PostgreSQL server of this test process. It is the one piece of state in a package
// variable: tests of one process share it, and `go test` offers no other place to keep it.
var server = sync.OnceValues(startServer)

type testServer struct {
	url     string // superuser, database postgres
	version int    // as server_version_num
	cluster *dev.Cluster
	shared  func() (*pgxpool.Pool, error) // the migrated database of Tx
}

// Main runs the tests of a package and then stops its cluster. Use it as TestMain's whole body.
// Without it the cluster is removed a moment after the process has ended.
func Main(m *testing.M) {
	code := m.Run()
	if os.Getenv(urlVariable) == "" {
		if s, err := server(); err == nil {
			_ = s.cluster.Stop()
		}
	}
	os.Exit(code)
}

const urlVariable = "POSTERN_TEST_DATABASE_URL"

func startServer() (*testServer, error) {
	ctx := context.Background()
	s := &testServer{url: os.Getenv(urlVariable)}
	if s.url == "" {
		cluster, err := dev.Start(ctx, dev.Options{})
		if err != nil {
			return nil, err
		}
		s.cluster, s.url = cluster, cluster.SocketURL("postgres")
	}
	s.shared = sync.OnceValues(s.openShared)
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&s.version)
	if err != nil {
		return nil, err
	}
	return s, locked(ctx, conn, func() error { return dev.CreateRoles(ctx, conn, ownerPassword) })
}

// locked runs f while no other test process runs its own; conn must be on database postgres.
func locked(ctx context.Context, conn *pgx.Conn, f func() error) error {
	const key = 7305460163
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", key); err != nil {
		return err
	}
	defer conn.Exec(ctx, "select pg_advisory_unlock($1)", key)
	return f()
}

func start(t testing.TB) *testServer {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	return s
}

// EmptyDatabase makes a database with the roles and the empty schema auth of a new project, and
// returns its superuser URL. It is dropped when the test ends.
func EmptyDatabase(t testing.TB) string {
	t.Helper()
	s := start(t)
	name := s.create(t, "")
	return withDatabase(s.url, name)
}

// Database makes a migrated database and returns the URL of its schema owner. It costs about 25 ms
// and is dropped when the test ends.
func Database(t testing.TB) string {
	t.Helper()
	s := start(t)
	template, err := s.template(t.Context())
	if err != nil {
		t.Fatalf("template database: %v", err)
	}
	return asOwner(withDatabase(s.url, s.create(t, template)))
}

// AdminURL returns the superuser's URL of the same database.
func AdminURL(t testing.TB, ownerURL string) string {
	t.Helper()
	u, err := url.Parse(ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	return withDatabase(start(t).url, strings.TrimPrefix(u.Path, "/"))
}

// Tx returns a transaction of the schema owner on a migrated database that the tests of this
// process share; it is rolled back when the test ends. Use Database where several connections
// have to see the same rows.
func Tx(t testing.TB) pgx.Tx {
	t.Helper()
	pool, err := start(t).shared()
	if err != nil {
		t.Fatalf("shared test database: %v", err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}

// openShared clones the database of Tx; it is left to the end of the server.
func (s *testServer) openShared() (*pgxpool.Pool, error) {
	ctx := context.Background()
	template, err := s.template(ctx)
	if err != nil {
		return nil, err
	}
	name := newName()
	if err := s.createNamed(ctx, name, template); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(asOwner(withDatabase(s.url, name)))
	if err != nil {
		return nil, err
	}
	config.MaxConns = 16
	return pgxpool.NewWithConfig(ctx, config)
}

// create makes a database, empty or a clone, for the length of a test.
func (s *testServer) create(t testing.TB, template string) string {
	t.Helper()
	name := newName()
	if err := s.createNamed(t.Context(), name, template); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		if err := s.exec(context.Background(), "drop database if exists "+name+" with (force)"); err != nil {
			t.Error(err)
		}
	})
	return name
}

func (s *testServer) createNamed(ctx context.Context, name, template string) error {
	create := "create database " + name
	if template != "" {
		create += " template " + template
	}
	if s.version >= 150000 { // the only strategy before
		create += " strategy file_copy"
	}
	if err := s.exec(ctx, create); err != nil {
		return err
	}
	// The rights and settings of a database are not cloned with it.
	conn, err := pgx.Connect(ctx, withDatabase(s.url, name))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return dev.CreateAuthSchema(ctx, conn)
}

// template returns the name of the migrated database, which it makes if this is the first use of
// this content of sql/ on the server.
func (s *testServer) template(ctx context.Context) (string, error) {
	name := "postern_" + sql.Hash()
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	return name, locked(ctx, conn, func() error {
		var exists bool
		err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&exists)
		if err != nil || exists {
			return err
		}
		unfinished := newName()
		if err := s.createNamed(ctx, unfinished, ""); err != nil {
			return err
		}
		if err := migrate(ctx, asOwner(withDatabase(s.url, unfinished))); err != nil {
			return err
		}
		return s.exec(ctx, "alter database "+unfinished+" rename to "+name)
	})
}

func migrate(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return sql.Install(ctx, conn, slog.New(slog.DiscardHandler))
}

// exec runs a statement as the superuser in database postgres.
func (s *testServer) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

func newName() string { return "test_" + strings.ToLower(rand.Text()) }

// withDatabase replaces the database in a URL that is known to be well-formed.
func withDatabase(serverURL, name string) string {
	u, err := url.Parse(serverURL)
	if err != nil {
		return serverURL
	}
	u.Path = "/" + name
	return u.String()
}

func asOwner(serverURL string) string {
	u, err := url.Parse(serverURL)
	if err != nil {
		return serverURL
	}
	u.User = url.UserPassword(Owner, ownerPassword)
	return u.String()
}
