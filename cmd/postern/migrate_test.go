package main

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

func TestMain(m *testing.M) { apitest.Main(m) }

// run is one call of the program; it returns what went to standard output.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&strings.Builder{})
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestMigrate(t *testing.T) {
	t.Setenv("DATABASE_URL", apitest.EmptyDatabase(t))
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"migrate", "--plan"}, "migrations/001_auth_old_names.sql"},
		{[]string{"migrate"}, ""},
		{[]string{"migrate", "--plan"}, "nothing to do"},
	} {
		out, err := run(t, step.args...)
		if err != nil || !strings.Contains(out, step.want) {
			t.Errorf("%v: %q, %v", step.args, out, err)
		}
	}
}

func TestMigrateSaysThatNoDatabaseIsNamed(t *testing.T) {
	t.Setenv("DATABASE_URL", "")
	if _, err := run(t, "migrate"); err == nil || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("got %v", err)
	}
}

// The test kit is there when it is asked for, by name, and only then.
func TestMigrateWithTestKit(t *testing.T) {
	url := apitest.EmptyDatabase(t)
	t.Setenv("DATABASE_URL", url)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, step := range []struct {
		args []string
		want bool
	}{
		{[]string{"migrate"}, false},
		{[]string{"migrate", "--test-kit"}, true},
		{[]string{"migrate", "--test-kit"}, true},
		{[]string{"migrate"}, true},
	} {
		if _, err := run(t, step.args...); err != nil {
			t.Fatalf("%v: %v", step.args, err)
		}
		var got bool
		if err := conn.QueryRow(t.Context(), "select to_regprocedure('postern_test.clear()') is not null").Scan(&got); err != nil || got != step.want {
			t.Errorf("after %v the kit is there: %v (%v), want %v", step.args, got, err, step.want)
		}
	}
	if _, err := run(t, "migrate", "--plan", "--test-kit"); err == nil {
		t.Error("a plan does not show the kit, and should say so")
	}
}
