package api_test

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

func TestSignUp(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	const count = "select count(*) from auth.users where email = 'new@example.com'"
	s.play([]scenario{
		{name: "no password", path: "POST /signup", body: m{"email": "new@example.com"}, status: 400, code: "validation_failed", text: "Signup requires a valid password", query: count, want: "0"},
		{name: "weak", path: "POST /signup", body: m{"email": "new@example.com", "password": "short"}, status: 422, code: "weak_password", text: `"weak_password":{"reasons":["length"]}`},
		{name: "too long", path: "POST /signup", body: m{"email": "new@example.com", "password": strings.Repeat("a", 73)}, status: 400, code: "validation_failed", text: "72"},
		{name: "both", path: "POST /signup", body: m{"email": "new@example.com", "phone": "1555", "password": password}, status: 400, code: "validation_failed", text: "Only an email address or phone number should be provided on signup."},
		{name: "PKCE by phone", path: "POST /signup", body: m{"phone": "15550000", "password": password, "code_challenge": challenge(verifier), "code_challenge_method": "s256"}, status: 400, code: "validation_failed", text: "PKCE not supported for phone signups"},
		{name: "half a challenge", path: "POST /signup", body: m{"email": "new@example.com", "password": password, "code_challenge": challenge(verifier)}, status: 400, code: "validation_failed", text: "PKCE flow requires"},
		{name: "short challenge", path: "POST /signup", body: m{"email": "new@example.com", "password": password, "code_challenge": "x", "code_challenge_method": "s256"}, status: 400, code: "validation_failed", text: "between 43 and 128"},
		{name: "phones are off", path: "POST /signup", body: m{"phone": "15550000", "password": password}, status: 400, code: "phone_provider_disabled", text: "Phone signups are disabled"},
		{name: "no address", path: "POST /signup", body: m{"email": "x", "password": password}, status: 400, code: "validation_failed", text: "Unable to validate email address: invalid format"},
		{name: "data is no object", path: "POST /signup", body: m{"email": "new@example.com", "password": password, "data": 1}, status: 400, code: "bad_json", query: count, want: "0"},
		{name: "new", path: "POST /signup", body: m{"email": "New@Example.com", "password": password, "data": m{"full_name": "Ann", "none": nil}}, status: 200, text: `"email_verified"`,
			query: "select raw_user_meta_data - 'sub' from auth.users where email = 'new@example.com'", want: "map[email:new@example.com email_verified:false full_name:Ann phone_verified:false]"},
		{name: "again, unconfirmed", path: "POST /signup", body: m{"email": "new@example.com", "password": password + "2", "data": m{"x": 1}}, status: 200, query: count, want: "1"},
		{name: "confirmed", path: "POST /signup", body: m{"email": "ann@example.com", "password": password}, status: 200, text: `"identities": []`,
			query: "select payload ->> 'action' from auth.audit_log_entries order by created_at desc limit 1", want: "user_repeated_signup"},
	})
	if n := s.scan("select count(*) from postern.outbox where recipient = 'ann@example.com'"); n != "0" {
		t.Errorf("%s mails to a confirmed user", n)
	}
}

func TestSignUpSettings(t *testing.T) {
	t.Parallel()
	setup(t, "GOTRUE_DISABLE_SIGNUP=true").play([]scenario{
		{name: "disabled", path: "POST /signup", body: m{"email": "new@example.com", "password": password}, status: 422, code: "signup_disabled", text: "Signups not allowed for this instance"},
		{name: "disabled, by link", path: "POST /otp", body: m{"email": "new@example.com"}, status: 422, code: "signup_disabled"},
	})
	setup(t, "GOTRUE_EXTERNAL_EMAIL_ENABLED=false").play([]scenario{
		{name: "sign-up", path: "POST /signup", body: m{"email": "new@example.com", "password": password}, status: 400, code: "email_provider_disabled", text: "Email signups are disabled"},
		{name: "otp", path: "POST /otp", body: m{"email": "new@example.com"}, status: 422, code: "email_provider_disabled"},
		{name: "recover", path: "POST /recover", body: m{"email": "new@example.com"}, status: 400, code: "email_provider_disabled"},
		{name: "resend", path: "POST /resend", body: m{"type": "signup", "email": "new@example.com"}, status: 400, code: "email_provider_disabled"},
		{name: "password", path: "POST /token?grant_type=password", body: m{"email": "a@example.com", "password": "x"}, status: 422, code: "email_provider_disabled"},
	})
	s := setup(t, "GOTRUE_MAILER_AUTOCONFIRM=true")
	s.play([]scenario{
		{name: "autoconfirm", path: "POST /signup", body: m{"email": "new@example.com", "password": password}, status: 200, text: `"access_token"`,
			query: "select count(*) from auth.sessions", want: "1"},
		{name: "taken", path: "POST /signup", body: m{"email": "new@example.com", "password": password}, status: 422, code: "user_already_exists", text: "User already registered",
			query: "select count(*) from auth.audit_log_entries where payload ->> 'action' = 'user_repeated_signup'", want: "2"}, // once for each version
	})
}

// From the sign-up through the mail to a session, as a person does it.
func TestSignUpByMail(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	s := setup(t, smtpSettings(sink.Host, sink.Port)...)
	s.do("POST", "/signup", m{"email": "new@example.com", "password": password})
	mail := sink.Take(t, "new@example.com")
	_, link, _ := strings.Cut(mail.HTML, `href="`+s.URL)
	link, _, _ = strings.Cut(link, `"`)
	if r := s.do("POST", "/token?grant_type=password", m{"email": "new@example.com", "password": password}); r.Header.Get("X-Sb-Error-Code") != "email_not_confirmed" {
		t.Errorf("before: %d %s", r.Status, r.Text)
	}
	r := s.do("GET", strings.ReplaceAll(link, "&amp;", "&"), nil)
	if to := r.Header.Get("Location"); r.Status != 303 || !strings.HasPrefix(to, "https://app.example.com#access_token=") || !strings.Contains(to, "type=signup") {
		t.Errorf("GET %s: %d %s", link, r.Status, to)
	}
	s.signIn("new@example.com")
	if got := s.scan("select identity_data ->> 'email_verified' from auth.identities"); got != "true" {
		t.Errorf("email_verified: %s", got)
	}
}
