package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-auth/postern/api"
	"github.com/postern-auth/postern/api/apitest"
)

// logLines collects what a server logs.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns the lines of a message so far, decoded.
func (l *logLines) take(t *testing.T, message string) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(l.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// setupLogged starts a server whose log can be read when it has stopped.
func setupLogged(t *testing.T, settings ...string) (s *server, lines *logLines, stop func()) {
	t.Helper()
	dsn := apitest.Database(t)
	s, lines = &server{t: t, dsn: dsn}, &logLines{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	s.api, err = api.New(ctx, s.settings(settings...), slog.New(slog.NewJSONHandler(lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if s.DB, err = pgxpool.New(ctx, apitest.AdminURL(t, dsn)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.DB.Close)
	done := make(chan error, 1)
	go func() { done <- s.api.Serve(ctx, listener) }()
	stopped := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(stopped)
	return s, lines, stopped
}

func TestLogOfRequests(t *testing.T) {
	t.Parallel()
	s, lines, stop := setupLogged(t, "REQUEST_ID_HEADER=X-Request-Id", "GOTRUE_MAILER_AUTOCONFIRM=true")
	s.do("POST", "/signup", map[string]string{"email": "ann@example.com", "password": password},
		"X-Request-Id", "one", "Referer", "https://app.example.com/join", "X-Forwarded-For", "192.0.2.7", "User-Agent", "tests")
	user := s.signIn("ann@example.com")
	s.do("POST", "/token?grant_type=refresh_token", map[string]string{"refresh_token": user.RefreshToken}, "X-Request-Id", "three")
	s.do("POST", "/token?grant_type=password", map[string]string{"email": "ann@example.com", "password": "x"})
	s.do("GET", "/user", nil, bearer(user.AccessToken)...)
	s.do("GET", "/health", nil)
	stop()

	requests := lines.take(t, "request completed")
	if len(requests) != 5 {
		t.Fatalf("%d requests in the log: %v", len(requests), requests)
	}
	wantFields(t, requests[0], map[string]any{
		"level": "INFO", "component": "api", "method": "POST", "path": "/signup", "remote_addr": "192.0.2.7",
		"referer": "https://app.example.com/join", "request_id": "one", "status": 200.0, "auth_event.action": "login",
	})
	if took, _ := requests[0]["duration"].(float64); took < 1000 {
		t.Errorf("duration %v", requests[0]["duration"])
	}
	wantFields(t, requests[2], map[string]any{"grant_type": "refresh_token", "auth_event.action": "token_revoked", "request_id": "three"})
	wantFields(t, requests[3], map[string]any{
		"level": "WARN", "status": 400.0, "error_code": "invalid_credentials", "error": "Invalid login credentials", "request_id": "",
	})
	wantFields(t, requests[4], map[string]any{"path": "/user", "user_id": user.UserID})

	audit := lines.take(t, "audit_event")
	if len(audit) < 5 { // signed up, logged in twice, refreshed, revoked
		t.Fatalf("%d entries in the log: %v", len(audit), audit)
	}
	wantFields(t, audit[0], map[string]any{
		"auth_audit_event.action": "user_signedup", "auth_audit_event.log_type": "team", "auth_audit_event.actor_id": user.UserID,
		"auth_audit_event.actor_username": "ann@example.com", "auth_audit_event.actor_via_sso": false,
		"auth_audit_event.ip_address": "192.0.2.7", "auth_audit_event.request_id": "one", "auth_audit_event.user_agent": "tests",
	})
	logins := lines.take(t, "Login")
	if len(logins) != 3 {
		t.Fatalf("%d logins in the log: %v", len(logins), logins)
	}
	wantFields(t, logins[1], map[string]any{"metering": true, "action": "login", "login_method": "password", "user_id": user.UserID})
	wantFields(t, logins[2], map[string]any{"login_method": "token"})
}

// wantFields compares fields of a log line; "a.b" is member b of a.
func wantFields(t *testing.T, line, want map[string]any) {
	t.Helper()
	for name, value := range want {
		group, member, isMember := strings.Cut(name, ".")
		got := line[name]
		if isMember {
			fields, _ := line[group].(map[string]any)
			got = fields[member]
		}
		if got != value {
			t.Errorf("%s is %v, want %v in %v", name, got, value, line)
		}
	}
}

// The log has the id and the time of the entry in the table, and the entry alone when the table is switched off.
func TestLogOfAuditEntries(t *testing.T) {
	t.Parallel()
	for _, disabled := range []bool{false, true} {
		s, lines, stop := setupLogged(t, "GOTRUE_MAILER_AUTOCONFIRM=true")
		if disabled {
			s.reload("GOTRUE_MAILER_AUTOCONFIRM=true", "GOTRUE_AUDIT_LOG_DISABLE_POSTGRES=true")
		}
		r := s.do("POST", "/admin/users", map[string]any{"email": "ann@example.com"}, s.asAdmin()...)
		refused := s.do("POST", "/admin/users", map[string]any{"email": "ann@example.com"}, s.asAdmin()...)
		if r.Status != http.StatusOK || refused.Status == http.StatusOK {
			t.Fatalf("%d, %d", r.Status, refused.Status)
		}
		var ids []string
		if err := s.DB.QueryRow(t.Context(), "select coalesce(array_agg(id::text), '{}') from auth.audit_log_entries").Scan(&ids); err != nil {
			t.Fatal(err)
		}
		stop()
		audit := lines.take(t, "audit_event")
		if len(audit) != 1 {
			t.Fatalf("%d entries in the log, want one: the second call was rolled back", len(audit))
		}
		wantFields(t, audit[0], map[string]any{"auth_audit_event.action": "user_signedup", "auth_audit_event.actor_username": "service_role"})
		id := audit[0]["auth_audit_event"].(map[string]any)["audit_log_id"]
		if disabled && len(ids) != 0 || !disabled && (len(ids) != 1 || ids[0] != id) {
			t.Errorf("disabled %t: in the table %v, in the log %v", disabled, ids, id)
		}
	}
}

// One id names a request in its lines and in the answer; the log of statements shows arguments only when asked to.
func TestLogOfErrorsAndStatements(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"none", "statement", "all"} {
		s, lines, stop := setupLogged(t, "GOTRUE_LOG_SQL="+setting)
		s.exec("drop function postern_internal.log_out")
		user := s.newUser("ann@example.com")
		r := s.do("POST", "/logout", nil, bearer(s.token(jwt.MapClaims{"sub": user, "role": "authenticated"}))...)
		stop()
		if r.Status != http.StatusInternalServerError {
			t.Fatalf("%d %s", r.Status, r.Text)
		}
		failed, completed := lines.take(t, "request failed"), lines.take(t, "request completed")
		if len(failed) != 1 || len(completed) != 1 || completed[0]["request_id"] == "" || failed[0]["error_id"] != completed[0]["request_id"] ||
			r.Body["error_id"] != completed[0]["request_id"] || completed[0]["level"] != "ERROR" {
			t.Errorf("%s\n%v\n%v", r.Text, failed, completed)
		}
		statements := lines.take(t, "statement")
		if (len(statements) > 0) != (setting != "none") {
			t.Errorf("%s: %d statements", setting, len(statements))
		}
		for _, line := range statements {
			if _, hasArgs := line["args"]; hasArgs != (setting == "all") {
				t.Errorf("%s: %v", setting, line)
			}
		}
	}
}
