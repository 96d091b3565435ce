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
// is found so. The code works afterwards, and the link that was mailed does.
func TestCodesAreNoTokens(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	s := setup(t, append(github, stand.settings("SEND_EMAIL")...)...)
	ann := s.newSession("ann@example.com")
	const challenge = "dGhpcyBpcyBhIGNoYWxsZW5nZSBvZiBhIGNsaWVudCBmb3IgdGVzdHM"
	for i, c := range []struct {
		path   string
		body   m
		header []string
		kind   string
		pairs  [][3]string // address, code and hash in the mail
	}{
		{"POST /signup", m{"email": "bob@example.com", "password": password}, nil, "signup", [][3]string{{"bob@example.com", "token", "token_hash"}}},
		{"POST /resend", m{"email": "bob@example.com", "type": "signup"}, nil, "email", [][3]string{{"bob@example.com", "token", "token_hash"}}},
		{"POST /invite", m{"email": "cem@example.com"}, s.asAdmin(), "invite", [][3]string{{"cem@example.com", "token", "token_hash"}}},
		{"POST /magiclink", m{"email": "ann@example.com"}, nil, "magiclink", [][3]string{{"ann@example.com", "token", "token_hash"}}},
		{"POST /otp", m{"email": "ann@example.com", "code_challenge": challenge, "code_challenge_method": "plain"}, nil, "email",
			[][3]string{{"ann@example.com", "token", "token_hash"}}},
		{"POST /recover", m{"email": "ann@example.com"}, nil, "recovery", [][3]string{{"ann@example.com", "token", "token_hash"}}},
		{"PUT /user", m{"email": "new@example.com"}, bearer(ann.AccessToken), "email_change",
			[][3]string{{"ann@example.com", "token", "token_hash_new"}, {"new@example.com", "token_new", "token_hash"}}},
	} {
		for _, byCode := range []bool{true, false} {
			if r := s.do(strings.Fields(c.path)[0], strings.Fields(c.path)[1], c.body, c.header...); r.Status != 200 {
				t.Fatalf("%s: %d %s", c.path, r.Status, r.Text)
			}
			calls := stand.take()
			data := calls[len(calls)-1].payload
			for _, p := range c.pairs {
				code, hash := fmt.Sprint(at(data, "email_data."+p[1])), fmt.Sprint(at(data, "email_data."+p[2]))
				s.guessAsToken(c.kind, p[0], code)
				body := m{"type": c.kind, "email": p[0], "token": code}
				if !byCode {
					body = m{"type": c.kind, "token_hash": hash}
				}
				if r := s.do("POST", "/verify", body); r.Status != 200 {
					t.Errorf("%d: %s, %v: %d %s", i, c.path, body, r.Status, r.Text)
				}
			}
			// as before, for the second round
			s.exec("update auth.users set email_confirmed_at = null, encrypted_password = '' where email in ('bob@example.com', 'cem@example.com')")
			s.exec("update auth.users set email = 'ann@example.com' where email = 'new@example.com'")
			s.exec("update auth.identities set identity_data = identity_data || '{\"email\": \"ann@example.com\"}' where identity_data ->> 'email' = 'new@example.com'")
			if strings.HasSuffix(c.path, "/resend") {
				continue
			}
			s.exec("delete from auth.users where email = 'bob@example.com'")
			if strings.HasSuffix(c.path, "/signup") {
				s.do("POST", "/signup", m{"email": "bob@example.com", "password": password})
				stand.take()
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
