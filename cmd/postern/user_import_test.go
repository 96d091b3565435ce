package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

const samples = "importer/testdata/"

// clearUsers deletes everybody.
func clearUsers(t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "delete from auth.users"); err != nil {
		t.Fatal(err)
	}
}

// signIn signs in over HTTP and returns the user.
func signIn(t *testing.T, url, email, password string) map[string]any {
	t.Helper()
	response, err := http.Post(url+"/token?grant_type=password", "application/json",
		strings.NewReader(fmt.Sprintf(`{"email": %q, "password": %q}`, email, password)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		User map[string]any `json:"user"`
	}
	if response.StatusCode != http.StatusOK || json.Unmarshal(text, &body) != nil {
		t.Fatalf("signing in: %d %s", response.StatusCode, text)
	}
	return body.User
}

// Users of every format sign in with the password they had. A dry run changes nothing; who is there already is skipped.
func TestUserImport(t *testing.T) {
	dsn := apitest.Database(t)
	t.Setenv("DATABASE_URL", dsn)
	server := startServe(t, build(t), serverSettings(dsn, "GOTRUE_LOG_LEVEL=info", "GOTRUE_RATE_LIMIT_TOKEN_REFRESH=1000"), "serve")
	defer server.stop(t)
	for _, c := range []struct {
		format, file, flags, password string
		created, refused              int
		refusals                      []string
		providers                     string
	}{
		{"postern", "postern.ndjson", "", "secret", 1, 2, []string{"line 3: validation_failed: The line is no JSON", "line 4: validation_failed: Unable to validate email"}, "email"},
		{"firebase", "firebase.json", "--firebase-hash-config " + samples + "firebase-hash-config.txt", "user1password", 2, 1, []string{"line 3: validation_failed: Cannot create a user without"}, "email google"},
		{"auth0", "auth0.ndjson", "--auth0-passwords " + samples + "auth0-passwords.ndjson", "secret", 2, 0, nil, "email google"},
		{"clerk", "clerk.csv", "", "secret", 2, 1, []string{"line 4: validation_failed: The line has another number of fields"}, "email"},
		{"keycloak", "keycloak.json", "", "secret", 2, 0, nil, "email github"},
		{"django", "django.json", "--confirmed", "secret", 2, 0, nil, "email"},
		{"devise", "devise.csv", "", "secret", 2, 0, nil, "email github"},
	} {
		t.Run(c.format, func(t *testing.T) {
			clearUsers(t, dsn)
			refused := filepath.Join(t.TempDir(), "refused.txt")
			args := append([]string{"user", "import", samples + c.file, "--format", c.format, "--refused", refused}, strings.Fields(c.flags)...)
			for _, step := range []struct{ flag, want string }{
				{"--dry-run", fmt.Sprintf("dry run, nothing is changed: %d created, 0 updated, 0 skipped, %d refused", c.created, c.refused)},
				{"--json=false", fmt.Sprintf("%d created, 0 updated, 0 skipped, %d refused", c.created, c.refused)},
				{"--silent", fmt.Sprintf("0 created, 0 updated, %d skipped, %d refused", c.created, c.refused)},
			} {
				out, err := run(t, append(slices.Clone(args), step.flag)...)
				if strings.TrimSpace(out) != step.want || (err != nil) != (c.refused > 0) {
					t.Fatalf("%s: %q, %v, want %q", step.flag, out, err, step.want)
				}
			}
			lines, err := os.ReadFile(refused)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.refusals {
				if !strings.Contains(string(lines), want) {
					t.Errorf("refused: %s, want %s", lines, want)
				}
			}
			user := signIn(t, server.url, "ann@example.com", c.password)
			var providers []string
			for _, i := range user["identities"].([]any) {
				providers = append(providers, i.(map[string]any)["provider"].(string))
			}
			slices.Sort(providers)
			if got := strings.Join(providers, " "); got != c.providers {
				t.Errorf("providers: %s, want %s", got, c.providers)
			}
		})
	}
}

// What one database exports, another imports: the same export comes out of it, also where it takes several pages and chunks.
func TestUserExport(t *testing.T) {
	from, to := apitest.Database(t), apitest.Database(t)
	conn, err := pgx.Connect(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `select postern.create_user('user' || n || '@example.com', email_confirm => true,
		user_metadata => jsonb_build_object('text', E'a "quoted" \\ line\nbreak', 'n', n)) from generate_series(1, 2500) as n`); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DATABASE_URL", from)
	exported, err := run(t, "user", "export", "--secrets")
	if err != nil || strings.Count(exported, "\n") != 2500 {
		t.Fatalf("%d lines, %v", strings.Count(exported, "\n"), err)
	}
	file := filepath.Join(t.TempDir(), "users.ndjson")
	if err := os.WriteFile(file, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DATABASE_URL", to)
	out, err := run(t, "user", "import", file, "--json")
	if err != nil || !strings.Contains(out, `"created":2500`) {
		t.Fatalf("%q, %v", out, err)
	}
	again, err := run(t, "user", "export", "--secrets")
	if err != nil || again != exported {
		t.Errorf("another export came out, %v", err)
	}
	if without, err := run(t, "user", "export"); err != nil || strings.Contains(without, "password_hash") {
		t.Errorf("hashes without --secrets, %v", err)
	}
	// Brought up to the file, they are what they are.
	if out, err := run(t, "user", "import", file, "--update"); err != nil || !strings.Contains(out, "0 created, 0 updated, 2500 skipped") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestUserImportSaysWhatIsWrong(t *testing.T) {
	t.Setenv("DATABASE_URL", apitest.Database(t))
	for _, c := range []struct{ args, want string }{
		{"x.ndjson", "users: open x.ndjson"},
		{samples + "clerk.csv --format csv", `there is no format "csv"; there are postern, auth0`},
		{samples + "clerk.csv --format django", "reading JSON"},
		{samples + "firebase.json --format firebase --firebase-hash-config nowhere", "hash parameters"},
		{samples + "firebase.json --format firebase", "2 users were refused"},
	} {
		if _, err := run(t, append([]string{"user", "import"}, strings.Fields(c.args)...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
}
