package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestGenerateLink(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	s.newUser("bob@example.com")
	link := func(pairs ...string) object {
		body := object{}
		for i := 0; i < len(pairs); i += 2 {
			body[pairs[i]] = pairs[i+1]
		}
		return body
	}
	const path = "/admin/generate_link"
	administer(t, s, []adminStep{
		{"new sign-up", "POST", path, link("type", "signup", "email", "New@example.com", "password", password, "redirect_to", "https://app.example.com/hi"),
			200, []string{`"verification_type":"signup"`, `"redirect_to":"https://app.example.com/hi"`, `!"invited_at"`}},
		{"sign-up again, no password", "POST", path, link("type", "signup", "email", "new@example.com"), 200, nil},
		{"sign-up of a confirmed user", "POST", path, link("type", "signup", "email", "ann@example.com"), 422, []string{"email_exists"}},
		{"new sign-up, no password", "POST", path, link("type", "signup", "email", "x@example.com"), 400, []string{"Signup requires a valid password"}},
		{"new sign-up, weak", "POST", path, link("type", "signup", "email", "x@example.com", "password", "x"), 422, []string{"weak_password", `"reasons":["length"]`}},
		{"magic link becomes a sign-up", "POST", path, link("type", "magiclink", "email", "eve@example.com"), 200, []string{`"verification_type":"signup"`}},
		{"invite", "POST", path, link("type", "invite", "email", "fay@example.com"), 200, []string{`"invited_at"`}},
		{"recovery elsewhere", "POST", path, link("type", "recovery", "email", "ann@example.com", "redirect_to", "https://evil.example.net"), 200, []string{`"redirect_to":"https://app.example.com"`}},
		{"recovery of nobody", "POST", path, link("type", "recovery", "email", "nobody@example.com"), 404, []string{"User with this email not found"}},
		{"change of nobody, no new address", "POST", path, link("type", "email_change_new", "email", "nobody@example.com"), 404, nil},
		{"change, taken", "POST", path, link("type", "email_change_new", "email", "ann@example.com", "new_email", "bob@example.com"), 422, []string{"email_exists"}},
		{"change, no new address", "POST", path, link("type", "email_change_current", "email", "ann@example.com"), 400, []string{"An email address is required"}},
		{"unknown type", "POST", path, link("type", "x", "email", "nobody@example.com"), 400, []string{"Invalid email action link type requested: x"}},
		{"no type", "POST", path, link("email", "ann@example.com"), 400, []string{"Invalid email action link type requested: "}},
		{"no address", "POST", path, link("type", "invite"), 400, []string{"An email address is required"}},
		{"no body", "POST", path, "", 400, []string{"bad_json"}},
	})
	if got := s.scan("select count(*) from postern.outbox"); got != "0" {
		t.Errorf("%s mails", got)
	}
}

// Every kind of link opens a session, once.
func TestGeneratedLinksWork(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for i, body := range []object{
		{"type": "signup", "password": password}, {"type": "invite"}, {"type": "magiclink"},
		{"type": "recovery"}, {"type": "magiclink"}, {"type": "email_change_new", "new_email": "next@example.com"},
	} {
		email := fmt.Sprintf("user%d@example.com", i)
		if i > 2 {
			s.newUser(email)
		}
		body["email"] = email
		r := s.do("POST", "/admin/generate_link", body, s.asAdmin()...)
		link, _ := r.Body["action_link"].(string)
		path, ok := strings.CutPrefix(link, s.URL)
		if r.Status != http.StatusOK || !ok {
			t.Errorf("%v: %d %s", body, r.Status, r.Text)
			continue
		}
		for attempt, want := range []string{"access_token=", "error_code=otp_expired"} {
			if body["type"] == "email_change_new" {
				want = []string{"message=Confirmation+link+accepted", "error_code=otp_expired"}[attempt]
			}
			if r := s.do("GET", path, nil); !strings.Contains(r.Header.Get("Location"), want) {
				t.Errorf("%v: attempt %d: %s", body, attempt, r.Header.Get("Location"))
			}
		}
	}
}

func TestGenerateLinkWithoutSecureChange(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED=false")
	s.newUser("ann@example.com")
	administer(t, s, []adminStep{{"current", "POST", "/admin/generate_link", object{"type": "email_change_current", "email": "ann@example.com", "new_email": "x"},
		400, []string{"Enable secure email change to generate link for current email"}}})
}
