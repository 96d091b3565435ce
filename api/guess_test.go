package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// referenceHash is the token of a code's link as the reference makes it (spec/01 section 1.1): everybody can.
func referenceHash(address, code string) string {
	sum := sha256.Sum224([]byte(address + code))
	return hex.EncodeToString(sum[:])
}

// guessAsToken tries a code in the form of its link, in all ways. The code given is the right one: the best guess there is.
func (s *server) guessAsToken(kind, address, code string) {
	s.t.Helper()
	hash := referenceHash(address, code)
	for _, token := range []string{hash, "pkce_" + hash} {
		if r := s.do("POST", "/verify", m{"type": kind, "token_hash": token}); r.Status != 403 || r.Header.Get("X-Sb-Error-Code") != "otp_expired" {
			s.t.Errorf("%s of %s by POST: %d %s", kind, address, r.Status, r.Text)
		}
		if to := s.do("GET", "/verify?type="+kind+"&token="+token, nil).location(s.t); !strings.Contains(to, "error_code=otp_expired") {
			s.t.Errorf("%s of %s by GET leads to %s", kind, address, to)
		}
		if r := s.do("GET", "/authorize?provider=github&invite_token="+token, nil); !strings.Contains(r.Text+r.Header.Get("Location"), "user_not_found") {
			s.t.Errorf("%s of %s as an invitation: %d %s %s", kind, address, r.Status, r.Header.Get("Location"), r.Text)
		}
	}
}

var github = []string{"GOTRUE_EXTERNAL_GITHUB_ENABLED=true", "GOTRUE_EXTERNAL_GITHUB_CLIENT_ID=id", "GOTRUE_EXTERNAL_GITHUB_SECRET=secret",
	"GOTRUE_EXTERNAL_GITHUB_REDIRECT_URI=https://api.example.com/callback"}

// Who guesses a code cannot do it in the form of its link, where nobody could count wrong guesses: not even the right code
// is found so. The code works afterwards, and so does the link that was mailed.
func TestCodesAreNoTokens(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	s := setup(t, append(github, stand.settings("SEND_EMAIL")...)...)
	stranger := func(string) []string { return nil }
	known := func(email string) []string { s.newUser(email); return nil }
	pending := func(email string) []string {
		s.do("POST", "/signup", m{"email": email, "password": password})
		return nil
	}
	one := [][3]string{{"", "token", "token_hash"}}
	for i, c := range []struct {
		prepare    func(email string) []string // and the header
		path, kind string
		body       m
		codes      [][3]string // mailed: prefix of the address, names of code and hash
	}{
		{stranger, "POST /signup", "signup", m{"password": password}, one},
		{pending, "POST /resend", "email", m{"type": "signup"}, one},
		{func(string) []string { return s.asAdmin() }, "POST /invite", "invite", m{}, one},
		{known, "POST /magiclink", "magiclink", m{}, one},
		{known, "POST /otp", "email", m{"code_challenge": challenge(verifier), "code_challenge_method": "s256"}, one},
		{known, "POST /recover", "recovery", m{}, one},
		{func(email string) []string {
			return bearer(s.newSession(strings.TrimPrefix(email, "new-")).AccessToken)
		}, "PUT /user", "email_change", m{},
			[][3]string{{"", "token_new", "token_hash"}, {"new-", "token", "token_hash_new"}}},
	} {
		for _, way := range []string{"token", "token_hash"} {
			email := fmt.Sprintf("user%d-%s@example.com", i, way)
			if c.kind == "email_change" {
				email = "new-" + email
			}
			header := c.prepare(email)
			stand.take()
			c.body["email"] = email
			method, path, _ := strings.Cut(c.path, " ")
			if r := s.do(method, path, c.body, header...); r.Status != 200 {
				t.Fatalf("%s: %d %s", c.path, r.Status, r.Text)
			}
			mailed := stand.take()[0].payload
			for _, names := range c.codes {
				address, code := strings.TrimPrefix(email, names[0]), fmt.Sprint(at(mailed, "email_data."+names[1]))
				s.guessAsToken(c.kind, address, code)
				body := m{"type": c.kind, "email": address, "token": code}
				if way == "token_hash" {
					body = m{"type": c.kind, "token_hash": at(mailed, "email_data."+names[2])}
				}
				if r := s.do("POST", "/verify", body); r.Status != 200 {
					t.Errorf("%s, %v: %d %s", c.path, body, r.Status, r.Text)
				}
			}
		}
	}
}

// The same for links that an administrator delivers.
func TestGeneratedCodesAreNoTokens(t *testing.T) {
	t.Parallel()
	s := setup(t, github...)
	s.newUser("ann@example.com")
	for _, body := range []m{
		{"type": "signup", "email": "bob@example.com", "password": password}, {"type": "invite", "email": "cem@example.com"},
		{"type": "magiclink", "email": "ann@example.com"}, {"type": "recovery", "email": "ann@example.com"},
		{"type": "email_change_new", "email": "ann@example.com", "new_email": "new@example.com"},
		{"type": "email_change_current", "email": "ann@example.com", "new_email": "new@example.com"},
	} {
		r := s.do("POST", "/admin/generate_link", body, s.asAdmin()...)
		kind, code, address := fmt.Sprint(body["type"]), fmt.Sprint(r.Body["email_otp"]), body["email"]
		if strings.HasPrefix(kind, "email_change") {
			kind = "email_change"
		}
		if body["type"] == "email_change_new" {
			address = body["new_email"]
		}
		s.guessAsToken(kind, fmt.Sprint(address), code)
		if r := s.do("POST", "/verify", m{"type": kind, "email": address, "token": code}); r.Status != 200 {
			t.Errorf("%v: %d %s", body, r.Status, r.Text)
		}
	}
}

// A code by text message has no link at all.
func TestPhoneCodesAreNoTokens(t *testing.T) {
	t.Parallel()
	s := setupTexts(t, github...)
	for _, kind := range []string{"signup", "email", "invite"} {
		if r := s.do("POST", "/otp", m{"phone": "15551230000"}); r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Text)
		}
		code := s.code("15551230000")
		s.guessAsToken(kind, "15551230000", code)
		if r := s.do("POST", "/verify", m{"type": "sms", "phone": "15551230000", "token": code}); r.Status != 200 {
			t.Errorf("%s: %d %s", kind, r.Status, r.Text)
		}
	}
}
