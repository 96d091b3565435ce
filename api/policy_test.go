package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// breaches is a stand-in for Have I Been Pwned that knows every hash, or fails.
func breaches(t *testing.T, isBroken bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isBroken {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, "9657B4E027D9B350D79B3CC7D9B97397882:3") // with 0E76D: correct-horse-9
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const pwned = "Password is known to be weak and easy to guess, please choose a different one."

// Everywhere a password is chosen, common ones and those of breaches are refused; at a sign-in they are only reported.
func TestKnownPasswords(t *testing.T) {
	t.Parallel()
	s := setup(t, "POSTERN_PASSWORD_COMMON_ENABLED=true", "GOTRUE_MAILER_AUTOCONFIRM=true")
	s.play([]scenario{
		{name: "sign-up", path: "POST /signup", body: m{"email": "bob@example.com", "password": "Summer2026"}, status: 422, code: "weak_password", text: `"reasons":["pwned"]`},
		{name: "other", path: "POST /signup", body: m{"email": "bob@example.com", "password": "qwerty"}, status: 422, code: "weak_password", text: pwned},
		{name: "short", path: "POST /signup", body: m{"email": "bob@example.com", "password": "abc"}, status: 422, code: "weak_password", text: `"reasons":["length","pwned"]`},
		{name: "good", path: "POST /signup", body: m{"email": "ann@example.com", "password": password}, status: 200, text: `"access_token"`},
	})
	ann := s.signIn("ann@example.com")
	s.play([]scenario{
		{name: "user", path: "PUT /user", body: m{"password": "Password1!"}, header: bearer(ann.AccessToken), status: 422, code: "weak_password", text: pwned},
		{name: "admin", path: "PUT /admin/users/" + ann.UserID, body: m{"password": "Password1!"}, header: s.asAdmin(), status: 422, code: "weak_password", text: pwned},
		{name: "link", path: "POST /admin/generate_link", body: m{"type": "signup", "email": "new@example.com", "password": "Password1!"}, header: s.asAdmin(), status: 422, code: "weak_password", text: pwned},
		{name: "admin create", path: "POST /admin/users", body: m{"email": "old@example.com", "password": "Password1!", "email_confirm": true}, header: s.asAdmin(), status: 200, text: "old@example.com"},
		{name: "sign-in", path: "POST /token?grant_type=password", body: m{"email": "old@example.com", "password": "Password1!"}, status: 200, text: `"weak_password":{"message":"` + pwned + `","reasons":["pwned"]}`},
	})
}

// When Have I Been Pwned does not answer, GOTRUE_PASSWORD_HIBP_FAIL_CLOSED decides about new passwords; nobody is kept
// from signing in.
func TestBreachesUnreachable(t *testing.T) {
	t.Parallel()
	broken := "POSTERN_PASSWORD_HIBP_URL=" + breaches(t, true)
	open := setup(t, "GOTRUE_PASSWORD_HIBP_ENABLED=true", broken, "GOTRUE_MAILER_AUTOCONFIRM=true")
	closed := setupOn(t, open.dsn, "GOTRUE_PASSWORD_HIBP_ENABLED=true", "GOTRUE_PASSWORD_HIBP_FAIL_CLOSED=true", broken)
	body := m{"email": "ann@example.com", "password": password}
	const refused = "Unable to perform password strength check with HaveIBeenPwned.org."
	closed.play([]scenario{{name: "closed", path: "POST /signup", body: body, status: 500, code: "unexpected_failure", text: refused}})
	open.play([]scenario{{name: "open", path: "POST /signup", body: body, status: 200, text: `"access_token"`}})
	closed.play([]scenario{{name: "sign-in", path: "POST /token?grant_type=password", body: body, status: 200, text: `"weak_password":null`}})
	knowing := setupOn(t, open.dsn, "GOTRUE_PASSWORD_HIBP_ENABLED=true", "POSTERN_PASSWORD_HIBP_URL="+breaches(t, false))
	knowing.play([]scenario{
		{name: "known", path: "POST /signup", body: m{"email": "bob@example.com", "password": password}, status: 422, code: "weak_password", text: pwned},
		{name: "known at sign-in", path: "POST /token?grant_type=password", body: body, status: 200, text: `"reasons":["pwned"]`},
	})
}
