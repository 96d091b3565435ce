package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// Accounts imported with a hash of another system sign in with their password, and then have a hash that the reference
// reads as well. Who does not know the password changes nothing.
func TestImportedHashes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	kept := func(hash string) string { // the column has no room for a credential of Keycloak
		if strings.HasPrefix(hash, "{") {
			return "$pbkdf2-sha256$i=1000$yMnKy8zNzs/Q0dLT1NXW1w==$h8ld7BqaMM2jZJKyKKdobNoIs3/KWd8cTW2pwojzAt7BhdXGMugyeOhLEY3rq+VAuFX82qmAAS0xN6nCms+cRA=="
		}
		return hash
	}
	for name, hash := range map[string]string{
		"wordpress": "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", // test12345
		"asp.net":   "AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==",
		"bcrypt":    testHash,
		"keycloak": `{"id":"1","type":"password","secretData":"{\"value\": \"h8ld7BqaMM2jZJKyKKdobNoIs3/KWd8cTW2pwojzAt7BhdXGMugyeOhLEY3rq+VAuFX82qmAAS0xN6nCms+cRA==\", \"salt\": \"yMnKy8zNzs/Q0dLT1NXW1w==\", \"additionalParameters\": {}}",` +
			`"credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\",\"additionalParameters\":{}}"}`,
	} {
		text := map[string]string{"wordpress": "test12345", "asp.net": "my password", "bcrypt": password, "keycloak": "secret"}[name]
		email := name + "@example.com"
		r := s.do("POST", "/admin/users", m{"email": email, "password_hash": hash, "email_confirm": true}, s.asAdmin()...)
		if r.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, r.Status, r.Text)
		}
		stored := func() string {
			return s.scan("select encrypted_password from auth.users where email = $1", email)
		}
		sign := func(password string) response {
			return s.do("POST", "/token?grant_type=password", m{"email": email, "password": password})
		}
		if r := sign(text + "x"); r.Status != http.StatusBadRequest || stored() != kept(hash) {
			t.Errorf("%s, wrong: %d %s, stored %s", name, r.Status, r.Text, stored())
		}
		before := s.statements.Load()
		if r := sign(text); r.Status != http.StatusOK {
			t.Errorf("%s, right: %d %s", name, r.Status, r.Text)
		}
		if n := s.statements.Load() - before; n != 2 {
			t.Errorf("%s: %d round trips, want 2", name, n)
		}
		renewed := stored()
		if !strings.HasPrefix(renewed, "$2a$04$") {
			t.Errorf("%s: not renewed: %s", name, renewed)
		}
		if r := sign(text); r.Status != http.StatusOK || stored() != renewed {
			t.Errorf("%s, again: %d %s, stored %s", name, r.Status, r.Text, stored())
		}
	}
	if got := s.scan("select postern_internal.check_password_hash($1)", `{"secretData":{"value":"`+strings.Repeat("A", 43)+`=","salt":"yMnKy8zNzs/Q0dLT1NXW1w=="},"credentialData":{"hashIterations":1000,"algorithm":"pbkdf2-sha256"}}`); got != "$pbkdf2-sha256$i=1000$yMnKy8zNzs/Q0dLT1NXW1w==$"+strings.Repeat("A", 43)+"=" {
		t.Errorf("from SQL: %s", got)
	}
	r := s.do("POST", "/admin/users", m{"email": "x@example.com", "password_hash": "{MD5}rL0Y20zC+Fzt72VPzMSk2A=="}, s.asAdmin()...)
	if r.Status != http.StatusInternalServerError || !strings.Contains(r.Text, "Error creating user") {
		t.Errorf("garbage: %d %s", r.Status, r.Text)
	}
}
