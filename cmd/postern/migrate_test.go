package main

import (
	"strings"
	"testing"

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
