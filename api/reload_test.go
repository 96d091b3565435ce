package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/postern-auth/postern/api/config"
)

// settings is the configuration of a server in these tests, changed by NAME=value pairs.
func (s *server) settings(more ...string) *config.Config {
	s.t.Helper()
	cfg, err := config.Load(append([]string{
		"DATABASE_URL=" + s.dsn, "API_EXTERNAL_URL=" + s.URL, "GOTRUE_SITE_URL=https://app.example.com",
		"GOTRUE_URI_ALLOW_LIST=https://app.example.com/**", "GOTRUE_JWT_SECRET=" + jwtSecret,
		"GOTRUE_JWT_AUD=authenticated", "GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated", "GOTRUE_SMTP_MAX_FREQUENCY=1ns",
		"GOTRUE_API_MAX_REQUEST_DURATION=2m",
	}, more...))
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

func (s *server) reload(more ...string) {
	s.t.Helper()
	if err := s.api.Reload(context.Background(), s.settings(more...)); err != nil {
		s.t.Fatal(err)
	}
}

// A reload under load loses no request: all get the answer of one configuration or the other.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	s := setup(t)
	user := s.newSession("ann@example.com")
	const clients, reloads = 8, 30
	var stop atomic.Bool
	var answered, failures atomic.Int64
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			for !stop.Load() {
				path, headers := "/settings", []string(nil)
				if i%2 == 0 {
					path, headers = "/user", bearer(user.AccessToken)
				}
				r, err := s.try("GET", path, nil, headers...)
				if err != nil || r.Status != http.StatusOK {
					failures.Add(1)
					t.Errorf("GET %s: %d %s, %v", path, r.Status, r.Text, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for i := range reloads {
		seen := answered.Load()
		s.reload(fmt.Sprintf("GOTRUE_DISABLE_SIGNUP=%t", i%2 == 0))
		if r := s.do("GET", "/settings", nil); r.Body["disable_signup"] != (i%2 == 0) {
			t.Errorf("reload %d is not in force: %s", i, r.Text)
		}
		for answered.Load() < seen+clients && failures.Load() == 0 { // requests ran between any two reloads
			s.do("GET", "/settings", nil)
		}
	}
	stop.Store(true)
	running.Wait()
}

// A request that began before a reload ends with the settings it began with, and the reload does not wait for it.
func TestReloadKeepsRequestsInFlight(t *testing.T) {
	t.Parallel()
	s := setup(t)
	user := s.newSession("ann@example.com")
	lock, err := s.DB.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(context.Background()) }()
	if _, err := lock.Exec(t.Context(), "select from auth.users where id = $1 for update", user.UserID); err != nil {
		t.Fatal(err)
	}
	done := make(chan response, 1)
	go func() {
		r, err := s.try("POST", "/token?grant_type=refresh_token", map[string]string{"refresh_token": user.RefreshToken})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	s.awaitLock()
	s.reload("GOTRUE_JWT_EXP=60")
	if err := lock.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := <-done
	if first.Status != http.StatusOK || first.Body["expires_in"] != 3600.0 {
		t.Errorf("the request in flight: %d %s", first.Status, first.Text)
	}
	second := s.do("POST", "/token?grant_type=refresh_token", map[string]string{"refresh_token": first.session().RefreshToken})
	if second.Body["expires_in"] != 60.0 {
		t.Errorf("after the reload: %d %s", second.Status, second.Text)
	}
}

// awaitLock waits until a statement of the server waits for a lock.
func (s *server) awaitLock() {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for s.scan(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`) == "0" {
		if time.Now().After(deadline) {
			s.t.Fatal("nothing waits for the lock")
		}
	}
}

// Signing keys rotate by a reload: tokens of the old key are good as long as it is listed.
func TestReloadRotatesKeys(t *testing.T) {
	t.Parallel()
	const key = `{"kty":"oct","kid":"%s","alg":"HS256","k":"%s","key_ops":[%s]}`
	before := fmt.Sprintf(key, "old", "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0", `"sign","verify"`)
	retired := strings.Replace(before, `"sign",`, "", 1)
	after := fmt.Sprintf(key, "new", "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldy0", `"sign","verify"`)
	s := setup(t, "GOTRUE_JWT_KEYS=["+before+"]")
	old := s.newSession("ann@example.com")
	wantKey(t, old.AccessToken, "old")

	s.reload("GOTRUE_JWT_KEYS=[" + retired + "," + after + "]")
	fresh := s.signIn("ann@example.com")
	wantKey(t, fresh.AccessToken, "new")
	for _, test := range []struct {
		name, token string
		want        int
	}{{"old", old.AccessToken, http.StatusOK}, {"new", fresh.AccessToken, http.StatusOK}} {
		if r := s.do("GET", "/user", nil, bearer(test.token)...); r.Status != test.want {
			t.Errorf("token of the %s key: %d %s", test.name, r.Status, r.Text)
		}
	}

	s.reload("GOTRUE_JWT_KEYS=[" + after + "]")
	if r := s.do("GET", "/user", nil, bearer(old.AccessToken)...); r.Status != http.StatusForbidden {
		t.Errorf("token of a key that is gone: %d %s", r.Status, r.Text)
	}
	if r := s.do("GET", "/user", nil, bearer(fresh.AccessToken)...); r.Status != http.StatusOK {
		t.Errorf("token of the key that stays: %d %s", r.Status, r.Text)
	}

	bad := s.settings("GOTRUE_JWT_KEYS=[" + retired + "]") // none signs
	if err := s.api.Reload(context.Background(), bad); err == nil {
		t.Error("a set without a signing key was taken")
	}
	wantKey(t, s.signIn("ann@example.com").AccessToken, "new")
}

func wantKey(t *testing.T, token, kid string) {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil || parsed.Header["kid"] != kid {
		t.Errorf("signed by %v, %v; want %s", parsed.Header["kid"], err, kid)
	}
}

// SQL callers follow the new settings as well.
func TestReloadPublishes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.reload("GOTRUE_JWT_DEFAULT_GROUP_NAME=member")
	var published struct {
		Role string `json:"default_role"`
	}
	if err := json.Unmarshal([]byte(s.scan("select value::text from postern.settings")), &published); err != nil || published.Role != "member" {
		t.Errorf("published %+v, %v", published, err)
	}
}
