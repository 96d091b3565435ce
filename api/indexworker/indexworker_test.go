package indexworker_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/indexworker"
)

func TestMain(m *testing.M) { apitest.Main(m) }

const (
	found = `select coalesce(string_agg(indexdef, E'\n' order by indexdef), '') from pg_indexes
		where schemaname = 'auth' and indexname like 'idx_users_%'`
	none = ""
	all  = `CREATE INDEX idx_users_created_at_desc ON auth.users USING btree (created_at DESC)
CREATE INDEX idx_users_email ON auth.users USING btree (email)
CREATE INDEX idx_users_last_sign_in_at_desc ON auth.users USING btree (last_sign_in_at DESC)
CREATE INDEX idx_users_name ON auth.users USING btree (((raw_user_meta_data ->> 'name'::text))) WHERE ((raw_user_meta_data ->> 'name'::text) IS NOT NULL)`
	created = "indexes_missing index_creation_starting index_creating index_created index_creating index_created index_creating " +
		"index_created index_creating index_created index_creation_completed"
)

func TestIndexWorker(t *testing.T) {
	t.Parallel()
	ensure := config.IndexWorker{EnsureUserSearchIndexesExist: true}
	for _, c := range []struct {
		name     string
		prepare  string
		settings config.IndexWorker
		codes    string
		indexes  string
	}{
		{"off", "", config.IndexWorker{}, "", none},
		{"asked for", "", ensure, created, all},
		{"few users", "", config.IndexWorker{MaxUsersThreshold: 10}, created, all},
		{"many users", "insert into auth.users (id) select gen_random_uuid() from generate_series(1, 11); analyze auth.users",
			config.IndexWorker{MaxUsersThreshold: 10}, "index_creation_skipped", none},
		{"many users, asked for", "insert into auth.users (id) select gen_random_uuid() from generate_series(1, 11); analyze auth.users",
			config.IndexWorker{EnsureUserSearchIndexesExist: true, MaxUsersThreshold: 10}, created, all},
		{"a name that is taken", "create view auth.idx_users_email as select 1", ensure,
			"indexes_missing index_creation_starting index_creating index_creation_failed index_creating index_created index_creating " +
				"index_created index_creating index_created index_creation_partial_failure",
			strings.ReplaceAll(all, "CREATE INDEX idx_users_email ON auth.users USING btree (email)\n", "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, apitest.Database(t))
			exec(t, conn, c.prepare)
			if got := codes(t, conn, c.settings); got != c.codes {
				t.Errorf("logged %s\nwant %s", got, c.codes)
			}
			check(t, conn, c.indexes)
		})
	}
}

// What an interrupted build left is dropped and built again, and then nothing is left to do.
func TestInvalidIndex(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.Database(t))
	exec(t, conn, "insert into auth.users (id, email, is_sso_user) select gen_random_uuid(), 'same@example.com', true from generate_series(1, 2)")
	if _, err := conn.Exec(t.Context(), "create unique index concurrently idx_users_email on auth.users (email)"); err == nil {
		t.Fatal("the index that should be left invalid was built")
	}
	ensure := config.IndexWorker{EnsureUserSearchIndexesExist: true}
	if got, want := codes(t, conn, ensure), "index_unhealthy dropping_invalid_index "+created; got != want {
		t.Errorf("logged %s\nwant %s", got, want)
	}
	check(t, conn, all)
	if got := codes(t, conn, ensure); got != "indexes_already_exist" {
		t.Errorf("the second round logged %s", got)
	}
}

// While another process holds the lock, nothing is done.
func TestLock(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.Database(t))
	exec(t, conn, "select pg_advisory_lock(hashtext('auth_index_worker'))")
	if got := codes(t, conn, config.IndexWorker{MaxUsersThreshold: 1}); got != "advisory_lock_already_acquired" {
		t.Errorf("logged %s", got)
	}
	check(t, conn, none)
}

func TestUnreachableDatabase(t *testing.T) {
	t.Parallel()
	cc, err := pgx.ParseConfig("postgres://nobody@127.0.0.1:1/none")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	indexworker.Run(t.Context(), cc, config.IndexWorker{MaxUsersThreshold: 1}, slog.New(slog.NewJSONHandler(&log, nil)))
	if got := codesIn(t, &log); got != "index_creation_failed" {
		t.Errorf("logged %s", got)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func check(t *testing.T, conn *pgx.Conn, want string) {
	t.Helper()
	var got string
	if err := conn.QueryRow(t.Context(), found).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("indexes (-want +got):\n%s", d)
	}
}

// codes runs a round on the database of conn and returns the codes that it logged.
func codes(t *testing.T, conn *pgx.Conn, c config.IndexWorker) string {
	t.Helper()
	var log bytes.Buffer
	indexworker.Run(t.Context(), conn.Config(), c, slog.New(slog.NewJSONHandler(&log, nil)))
	return codesIn(t, &log)
}

// codesIn returns the codes of a log.
func codesIn(t *testing.T, log *bytes.Buffer) string {
	t.Helper()
	var list []string
	decoder := json.NewDecoder(log)
	for {
		var line struct{ Code string }
		if err := decoder.Decode(&line); err == io.EOF {
			return strings.Join(list, " ")
		} else if err != nil {
			t.Fatalf("the log: %v", err)
		}
		list = append(list, line.Code)
	}
}
