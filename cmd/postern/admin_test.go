package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

// setSettings gives the program what a server needs.
func setSettings(t *testing.T, databaseURL string) {
	t.Helper()
	for name, value := range map[string]string{
		"DATABASE_URL": databaseURL, "API_EXTERNAL_URL": "http://localhost:9999", "GOTRUE_SITE_URL": "http://localhost:3000",
		"GOTRUE_JWT_SECRET": "a-secret-for-tests-of-more-than-32-bytes", "GOTRUE_JWT_AUD": "authenticated",
	} {
		t.Setenv(name, value)
	}
}

func TestAdmin(t *testing.T) {
	setSettings(t, apitest.Database(t))
	for _, step := range []struct {
		args  []string
		fails bool
		want  string
	}{
		{[]string{"admin", "createuser", "Ann@example.com", "x", "editor", "--confirm"}, false, "Created user: "},
		{[]string{"admin", "createuser", "ann@example.com", "x"}, true, "already been registered"},
		{[]string{"admin", "createuser", "bob@example.com", "x", "--admin", "-a", "other"}, false, "Created user: "},
		{[]string{"admin", "createuser", "bob", "x"}, true, "invalid format"},
		{[]string{"admin", "createuser", "bob@example.com", ""}, true, "empty"},
		{[]string{"user", "list", "--json"}, false, `"email":"ann@example.com"`},
		{[]string{"user", "list", "ann"}, false, " confirmed"},
		{[]string{"user", "list", "bob"}, false, "unconfirmed"},
		{[]string{"admin", "deleteuser", "ann@example.com"}, false, "Removed user: ann@example.com"},
		{[]string{"admin", "deleteuser", "ann@example.com"}, true, "There is no user ann@example.com"},
		{[]string{"admin", "deleteuser", "bob@example.com", "--aud", "other"}, false, "Removed user"},
	} {
		out, err := run(t, step.args...)
		got := out
		if err != nil {
			got = err.Error()
		}
		if (err != nil) != step.fails || !strings.Contains(got, step.want) {
			t.Errorf("%v: %q, %v; want %q", step.args, out, err, step.want)
		}
	}
}

// The flags for files of settings count for all commands (spec/06 section 1.1).
func TestFilesOfSettings(t *testing.T) {
	good := apitest.Database(t)
	setSettings(t, "postgres://127.0.0.1:1/none")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.env": "DATABASE_URL='" + good + "'", "bad.conf": "no setting", "d/1.env": "DATABASE_URL='" + good + "'",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		args []string
		want string // in the error; "" for none
	}{
		{[]string{"user", "list"}, "connecting to DATABASE_URL"},
		{[]string{"-c", filepath.Join(dir, "good.env"), "user", "list"}, ""},
		{[]string{"user", "list", "--config-dir", filepath.Join(dir, "d")}, ""},
		{[]string{"migrate", "--plan", "-c", filepath.Join(dir, "bad.conf")}, "line 1: must be NAME=value"},
		{[]string{"migrate", "--plan", "-c", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"user", "list", "-d", filepath.Join(dir, "none")}, "connecting to DATABASE_URL"}, // told, and goes on
		{[]string{"version", "-c", filepath.Join(dir, "none")}, ""},
	} {
		t.Setenv("DATABASE_URL", "postgres://127.0.0.1:1/none")
		_, err := run(t, step.args...)
		if step.want == "" && err != nil || step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)) {
			t.Errorf("%v: %v, want %q", step.args, err, step.want)
		}
	}
}
