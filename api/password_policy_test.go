package api_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// breaches knows the password "password" (SHA-1 5BAA61E4...), and breaks off for everything but that and qwerty (B1B37...).
type breaches struct{}

func (breaches) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Path {
	case "/range/5BAA6":
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("1E4C9B93F3F0682250B6CF8331B7EE68FD8:9\r\n"))}, nil
	case "/range/B1B37":
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n"))}, nil
	}
	return nil, errors.New("unreachable")
}

// Every way to a new password asks (spec/00 section 4); a sign-in only tells.
func TestKnownPasswords(t *testing.T) {
	t.Parallel()
	const known = "Password is known to be weak and easy to guess, please choose a different one."
	const failed = "Unable to perform password strength check with HaveIBeenPwned.org."
	s := setup(t, "GOTRUE_PASSWORD_HIBP_ENABLED=true", "GOTRUE_PASSWORD_HIBP_FAIL_CLOSED=true", "GOTRUE_MAILER_AUTOCONFIRM=true")
	s.api.StandInForHIBP(breaches{})
	ann := s.do("POST", "/signup", m{"email": "ann@example.com", "password": "qwerty"}).session()
	link := func(password string) m {
		return m{"type": "signup", "email": "bob@example.com", "password": password}
	}
	s.play([]scenario{
		{name: "sign-up", path: "POST /signup", body: m{"email": "x@example.com", "password": "password"}, status: 422, code: "weak_password", text: `"weak_password":{"reasons":["pwned"]}`},
		{name: "sign-up, unreachable", path: "POST /signup", body: m{"email": "x@example.com", "password": password}, status: 500, code: "unexpected_failure", text: failed},
		{name: "short", path: "POST /signup", body: m{"email": "x@example.com", "password": "abc"}, status: 500, code: "unexpected_failure", text: failed},
		{name: "user", path: "PUT /user", body: m{"password": "password"}, header: bearer(ann.AccessToken), status: 422, code: "weak_password", text: known},
		{name: "user, unreachable", path: "PUT /user", body: m{"password": password}, header: bearer(ann.AccessToken), status: 500, code: "unexpected_failure", text: failed},
		{name: "administrator", path: "PUT /admin/users/" + ann.UserID, body: m{"password": "password"}, header: s.asAdmin(), status: 422, code: "weak_password", text: known},
		{name: "administrator, unreachable", path: "PUT /admin/users/" + ann.UserID, body: m{"password": password}, header: s.asAdmin(), status: 500, code: "unexpected_failure", text: failed},
		{name: "link", path: "POST /admin/generate_link", body: link("password"), header: s.asAdmin(), status: 422, code: "weak_password", text: known},
		{name: "link, good", path: "POST /admin/generate_link", body: link("qwerty"), header: s.asAdmin(), status: 200},
		{name: "sign-in", path: "POST /token?grant_type=password", body: m{"email": "ann@example.com", "password": "qwerty"}, status: 200, text: `"weak_password":null`},
	})
	s.exec("update auth.users set encrypted_password = $1", testHash)
	s.play([]scenario{{name: "sign-in, unreachable", path: "POST /token?grant_type=password", body: m{"email": "ann@example.com", "password": password}, status: 200, text: `"weak_password":null`}})
	if r := s.do("POST", "/admin/users", m{"email": "cay@example.com", "password": "password", "email_confirm": true}, s.asAdmin()...); r.Status != http.StatusOK {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	s.play([]scenario{{name: "sign-in with a known one", path: "POST /token?grant_type=password", body: m{"email": "cay@example.com", "password": "password"}, status: 200, text: `"weak_password":{"message":"` + known + `","reasons":["pwned"]}`}})
}
