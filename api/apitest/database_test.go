package apitest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

func TestMain(m *testing.M) { apitest.Main(m) }

func one(t *testing.T, url, sql string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	owned := apitest.Database(t)
	tests := []struct{ name, url, sql, want string }{
		{"owner", owned, "select current_user || ' ' || current_schema()", apitest.Owner + " auth"},
		{"migrated", owned, "select to_regclass('auth.users')::text", "users"},
		{"superuser", apitest.AdminURL(t, owned), "select rolsuper::text from pg_roles where rolname = current_user", "true"},
		{"same database", apitest.AdminURL(t, owned), "select to_regclass('auth.users')::text", "auth.users"},
		{"empty", apitest.EmptyDatabase(t), "select count(*)::text from pg_class where relnamespace = 'auth'::regnamespace", "0"},
		{"roles", apitest.EmptyDatabase(t), "select string_agg(rolname, ' ' order by rolname) from pg_roles where rolname in ('anon', 'authenticated', 'service_role')",
			"anon authenticated service_role"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := one(t, test.url, test.sql); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTxIsRolledBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			var n int
			err := apitest.Tx(t).QueryRow(t.Context(), "select count(*) from auth.users").Scan(&n)
			if err != nil || n != 0 {
				t.Errorf("users: %d, %v", n, err)
			}
			tx := apitest.Tx(t)
			if _, err := tx.Exec(t.Context(), "insert into auth.users (id) values (gen_random_uuid())"); err != nil {
				t.Error(err)
			}
		})
	}
}
