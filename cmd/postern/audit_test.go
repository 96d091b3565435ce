package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

func TestAuditExport(t *testing.T) {
	dsn := apitest.Database(t)
	t.Setenv("DATABASE_URL", dsn)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address) values
		('00000000-0000-0000-0000-000000000000', gen_random_uuid(), '{"action": "login", "actor_id": "00000000-0000-4000-8000-00000000000a", "actor_username": "ann@example.com"}', '2026-01-01Z', '192.0.2.1'),
		('00000000-0000-0000-0000-000000000000', gen_random_uuid(), '{"action": "logout", "actor_username": "bob@example.com"}', '2026-02-01Z', ''),
		('00000000-0000-0000-0000-000000000000', gen_random_uuid(), '{"action": "login", "traits": {"user_id": "00000000-0000-4000-8000-00000000000A"}}', now() - interval '1 hour', '')`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flags, want string }{
		{"", "login logout login"},
		{"--action login", "login login"},
		{"--since 2026-02-01", "logout login"},
		{"--since 2026-01-01T00:00:01Z --until 2026-02-01T00:00:01Z", "logout"},
		{"--since 2h", "login"},
		{"--until 2h", "login logout"},
		{"--user ANN@example.com", "login"},
		{"--user 00000000-0000-4000-8000-00000000000A", "login login"},
		{"--user nobody@example.com", ""},
	} {
		out, err := run(t, append([]string{"audit", "export"}, strings.Fields(c.flags)...)...)
		if err != nil {
			t.Fatalf("%s: %v", c.flags, err)
		}
		var actions []string
		for line := range strings.Lines(out) {
			var entry struct {
				At     time.Time
				Action string
			}
			if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.At.IsZero() {
				t.Errorf("%s: %s, %v", c.flags, line, err)
			}
			actions = append(actions, entry.Action)
		}
		if got := strings.Join(actions, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.flags, got, c.want)
		}
	}
	for flags, want := range map[string]string{"--since tomorrow": "--since", "--until -2h": "--until"} {
		if _, err := run(t, append([]string{"audit", "export"}, strings.Fields(flags)...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", flags, err)
		}
	}
	t.Setenv("DATABASE_URL", apitest.EmptyDatabase(t))
	if _, err := run(t, "audit", "export"); err == nil || !strings.Contains(err.Error(), "postern migrate") {
		t.Errorf("on an empty database: %v", err)
	}
}
