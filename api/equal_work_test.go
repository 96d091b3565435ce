package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// Whoever signs in with a wrong password learns nothing from the answer or its cost (DESIGN section 9, row 4).
func TestEqualWork(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for email, change := range map[string]string{
		"ann@example.com":    "",
		"banned@example.com": "banned_until = now() + interval '1 day'",
		"oauth@example.com":  "encrypted_password = null",
		"empty@example.com":  "encrypted_password = ''",
		"broken@example.com": "encrypted_password = 'x'",
		"new@example.com":    "email_confirmed_at = null",
	} {
		id := s.newUser(email)
		if change != "" {
			s.exec("update auth.users set "+change+" where id = $1", id)
		}
	}
	measure := func(email string) (cost string, r response) {
		calls, trips := s.api.PasswordCalls(), s.statements.Load()
		r = s.do("POST", "/token?grant_type=password", map[string]string{"email": email, "password": "a-wrong-password"})
		return fmt.Sprintf("%d hashes, %d statements", s.api.PasswordCalls()-calls, s.statements.Load()-trips), r
	}
	for _, email := range []string{
		"ann@example.com", "nobody@example.com", "banned@example.com", "oauth@example.com", "empty@example.com", "broken@example.com", "new@example.com",
	} {
		cost, r := measure(email)
		if r.Status != http.StatusBadRequest || r.Text != `{"code":400,"error_code":"invalid_credentials","msg":"Invalid login credentials"}` {
			t.Errorf("%s: %d %s", email, r.Status, r.Text)
		}
		if cost != "1 hashes, 2 statements" {
			t.Errorf("%s: %s", email, cost)
		}
	}
	// a ban is told to who knows the password
	r := s.do("POST", "/token?grant_type=password", map[string]string{"email": "banned@example.com", "password": password})
	if r.Header.Get("X-Sb-Error-Code") != "user_banned" {
		t.Errorf("with the right password: %s", r.Text)
	}
}

// GET /user, refresh, verify, logout and a magic link take one round trip, a password sign-in two (issue 2).
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	hash := s.plant("ann@example.com", "recovery_token", "123456")
	for _, c := range []struct {
		name, method, path string
		body               any
		header             []string
		want               int64
	}{
		{"get user", "GET", "/user", nil, bearer(ann.AccessToken), 1},
		{"refresh", "POST", "/token?grant_type=refresh_token", map[string]string{"refresh_token": ann.RefreshToken}, nil, 1},
		{"verify", "GET", "/verify?type=magiclink&token=" + url.QueryEscape(hash), nil, nil, 1},
		{"magic link", "POST", "/magiclink", map[string]string{"email": "ann@example.com"}, nil, 1},
		{"password", "POST", "/token?grant_type=password", map[string]string{"email": "ann@example.com", "password": password}, nil, 2},
		{"sign-up", "POST", "/signup", map[string]string{"email": "bob@example.com", "password": password}, nil, 1},
		{"admin get", "GET", "/admin/users/" + ann.UserID, nil, s.asAdmin(), 1},
		{"logout", "POST", "/logout", nil, bearer(ann.AccessToken), 1},
	} {
		before := s.statements.Load()
		if r := s.do(c.method, c.path, c.body, c.header...); r.Status >= http.StatusBadRequest {
			t.Errorf("%s: %d %s", c.name, r.Status, r.Text)
		}
		if got := s.statements.Load() - before; got != c.want {
			t.Errorf("%s: %d round trips, want %d", c.name, got, c.want)
		}
	}
}
