package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

// The steps build on each other; wants are parts of the output, or of the error where fails is set.
func TestUser(t *testing.T) {
	t.Setenv("DATABASE_URL", apitest.Database(t))
	long := strings.Repeat("x", 73)
	for _, step := range []struct {
		args  []string
		fails bool
		want  string
	}{
		{[]string{"create", "ann@example.com", "--confirm", "--password", "correct-horse-9"}, false, "created "},
		{[]string{"create", "ann@example.com"}, true, "already been registered"},
		{[]string{"create"}, true, "without either an email or phone"},
		{[]string{"create", "x"}, true, "Unable to validate email address"},
		{[]string{"create", "x@example.com", "--password", long}, true, "72"},
		{[]string{"create", "x@example.com", "--password", ""}, true, "empty"},
		{[]string{"create", "x@example.com", "--user-metadata", "{"}, true, "invalid input syntax for type json"},
		{[]string{"create", "--phone", "+1 555 0001", "--role", "editor", "--app-metadata", `{"plan":"gold"}`, "--json"}, false, `"plan"`},
		{[]string{"list"}, false, "+15550001"},
		{[]string{"list", "ann"}, false, "confirmed"},
		{[]string{"list", "nobody"}, false, "STATE"},
		{[]string{"ban", "ann@example.com", "--for", "7 days"}, false, "banned until"},
		{[]string{"list", "ann"}, false, "banned until"},
		{[]string{"ban", "ann@example.com", "--for", "soon"}, true, "interval"},
		{[]string{"ban", "ann@example.com", "--for", "-1h"}, true, "A ban lasts"},
		{[]string{"unban", "ann@example.com"}, false, "no longer banned"},
		{[]string{"set-password", "ann@example.com", "--password", "other-horse-10"}, false, "new password"},
		{[]string{"set-password", "bob@example.com", "--password", "other-horse-10"}, true, "There is no user bob@example.com"},
		{[]string{"delete", "ann@example.com", "--soft", "--json"}, false, `"done":"deleted"`},
		{[]string{"delete", "+15550001"}, false, "is deleted"},
		{[]string{"delete", "+15550001"}, true, "There is no user +15550001"},
		{[]string{"delete", "x"}, true, "Name a user by id"},
		{[]string{"list"}, false, "deleted"},
	} {
		out, err := run(t, append([]string{"user"}, step.args...)...)
		got := out
		if err != nil {
			got = err.Error()
		}
		if (err != nil) != step.fails || !strings.Contains(got, step.want) {
			t.Errorf("%v: %q, %v; want %q", step.args, out, err, step.want)
		}
		if strings.Contains(got, "SQLSTATE") {
			t.Errorf("%v: %q is no sentence for people", step.args, got)
		}
	}
}

func TestUserListAsJSON(t *testing.T) {
	t.Setenv("DATABASE_URL", apitest.Database(t))
	if _, err := run(t, "user", "create", "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "user", "list", "--json")
	var users []listedUser
	if err != nil || json.Unmarshal([]byte(out), &users) != nil || len(users) != 1 || users[0].Email != "ann@example.com" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestUserSaysWhatIsWrongWithTheDatabase(t *testing.T) {
	for url, want := range map[string]string{
		"":                            "DATABASE_URL is not set",
		"postgres://127.0.0.1:1/none": "connecting to DATABASE_URL",
		apitest.EmptyDatabase(t):      "run postern migrate first",
	} {
		t.Setenv("DATABASE_URL", url)
		if _, err := run(t, "user", "list"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
}
