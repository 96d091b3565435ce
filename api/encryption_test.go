package api_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/seal"
)

const (
	oldKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	newKey = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k"
)

// encryption are the settings that encrypt with one of the keys and can read both.
func encryption(id string) []string {
	key := map[string]string{"old": oldKey, "new": newKey}[id]
	const prefix = "GOTRUE_SECURITY_DB_ENCRYPTION_"
	return []string{prefix + "ENCRYPT=true", prefix + "ENCRYPTION_KEY_ID=" + id, prefix + "ENCRYPTION_KEY=" + key,
		prefix + "DECRYPTION_KEYS=old:" + oldKey + ",new:" + newKey}
}

// sealer seals and opens as a server with these settings.
func sealer(t *testing.T, id string) *seal.Keys {
	t.Helper()
	c := config.Encryption{Encrypt: true, KeyID: id, DecryptionKeys: config.EncryptionKeys{"old": oldKey, "new": newKey}}
	keys, err := seal.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// keyOf tells what a stored value is encrypted with.
func keyOf(stored string) string {
	for _, id := range []string{"old", "new"} {
		if strings.Contains(stored, `"key_id":"`+id+`"`) {
			return id
		}
	}
	return "plain"
}

// Passwords are stored plain when an account is made, sealed at the next sign-in, sealed anew after a change of keys, and
// sealed at once when they change (spec/01 section 1.5).
func TestPasswordsAreEncrypted(t *testing.T) {
	t.Parallel()
	first := setup(t, append(encryption("old"), "GOTRUE_MAILER_AUTOCONFIRM=true")...)
	second := setupOn(t, first.dsn, encryption("new")...)
	off := setupOn(t, first.dsn, encryption("new")[3])
	stored := func() string { return first.scan("select encrypted_password from auth.users") }
	expect := func(what, key string) {
		t.Helper()
		if got := keyOf(stored()); got != key {
			t.Errorf("%s: the password is %s, want %s: %s", what, got, key, stored())
		}
	}
	ann := m{"email": "ann@example.com", "password": password}
	r := first.do("POST", "/signup", ann)
	id := r.session().UserID
	expect("sign-up", "plain")
	first.signIn("ann@example.com")
	expect("sign-in", "old")
	before := stored()
	first.signIn("ann@example.com")
	if stored() != before {
		t.Errorf("a sign-in without a reason sealed anew")
	}
	off.signIn("ann@example.com")
	expect("a server that only reads", "old")
	if r := second.do("POST", "/token?grant_type=password", m{"email": "ann@example.com", "password": "wrong"}); r.Status != http.StatusBadRequest {
		t.Errorf("wrong password: %d %s", r.Status, r.Text)
	}
	expect("a wrong password", "old")
	session := second.signIn("ann@example.com")
	expect("sign-in after the change of keys", "new")
	if plain, _, err := sealer(t, "new").Open(id, stored()); err != nil || !strings.HasPrefix(plain, "$2a$10$") {
		t.Errorf("stored: %q, %v", plain, err)
	}

	second.play([]scenario{
		{name: "same password", path: "PUT /user", body: m{"password": password}, header: bearer(session.AccessToken), status: 422, code: "same_password"},
		{name: "another password", path: "PUT /user", body: m{"password": "another-horse-9"}, header: bearer(session.AccessToken), status: 200},
	})
	expect("change by the user", "new")
	if r := first.do("PUT", "/admin/users/"+id, m{"password": password}, first.asAdmin()...); r.Status != http.StatusOK {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	expect("change by an administrator", "old")
	first.signIn("ann@example.com")

	// a value of another row, one under an unknown key and a broken one match nothing
	for _, change := range []string{
		strings.Replace(stored(), `"old"`, `"gone"`, 1), strings.Replace(stored(), `"data":"`, `"data":"AAAA`, 1),
	} {
		first.exec("update auth.users set encrypted_password = $1", change)
		calls := first.api.PasswordCalls()
		r := first.do("POST", "/token?grant_type=password", ann)
		if r.Status != http.StatusBadRequest || first.api.PasswordCalls()-calls != 1 {
			t.Errorf("%s: %d %s", change, r.Status, r.Text)
		}
	}
}

// Keys of format 2 refresh tokens are sealed in the same call that opens the session, opened to refresh, and sealed anew
// under a new key.
func TestRefreshTokenKeysAreEncrypted(t *testing.T) {
	t.Parallel()
	const version2 = "GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION=2"
	plain := setup(t, version2)
	first := setupOn(t, plain.dsn, append(encryption("old"), version2)...)
	second := setupOn(t, plain.dsn, append(encryption("new"), version2)...)
	stored := func(id string) string {
		return plain.scan("select refresh_token_hmac_key from auth.sessions where user_id = $1", id)
	}
	refresh := func(s *server, token string) response {
		return s.do("POST", "/token?grant_type=refresh_token", m{"refresh_token": token})
	}

	first.newUser("ann@example.com")
	before := first.statements.Load()
	ann := first.signIn("ann@example.com")
	if n := first.statements.Load() - before; n != 2 {
		t.Errorf("sign-in takes %d round trips, want 2", n)
	}
	if got := keyOf(stored(ann.UserID)); got != "old" {
		t.Fatalf("the key of a new session is %s", got)
	}
	token := ann.RefreshToken
	for i, c := range []struct {
		server *server
		key    string
	}{{first, "old"}, {second, "new"}, {second, "new"}, {first, "old"}} {
		r := refresh(c.server, token)
		if r.Status != http.StatusOK || r.Header.Get("Sb-Auth-Refresh-Token-Counter") != fmt.Sprint(i+1) {
			t.Fatalf("refresh %d: %d %s", i, r.Status, r.Text)
		}
		if got := keyOf(stored(ann.UserID)); got != c.key {
			t.Errorf("refresh %d: the key is %s, want %s", i, got, c.key)
		}
		token = r.session().RefreshToken
	}
	if r := refresh(plain, token); r.Status != http.StatusInternalServerError {
		t.Errorf("a server without keys: %d %s", r.Status, r.Text)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	if r := refresh(first, base64.RawURLEncoding.EncodeToString(reSum(raw))); r.Header.Get("X-Sb-Error-Code") != "refresh_token_not_found" {
		t.Errorf("a forged token: %d %s", r.Status, r.Text)
	}
	plain.exec("update auth.sessions set refresh_token_hmac_key = replace(refresh_token_hmac_key, '\"old\"', '\"gone\"')")
	if r := refresh(first, token); r.Header.Get("X-Sb-Error-Code") != "refresh_token_not_found" {
		t.Errorf("a key that nobody can read: %d %s", r.Status, r.Text)
	}

	bob := plain.newSession("bob@example.com") // begun without encryption
	if r := refresh(first, bob.RefreshToken); r.Status != http.StatusOK || keyOf(stored(bob.UserID)) != "old" {
		t.Errorf("a plain key: %d %s, stored %s", r.Status, r.Text, stored(bob.UserID))
	}
}

// A session with format 1 tokens that moves to format 2 gets a sealed key.
func TestUpgradedSessionsAreEncrypted(t *testing.T) {
	t.Parallel()
	old := setup(t)
	s := setupOn(t, old.dsn, append(encryption("new"), "GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION=2", "GOTRUE_SECURITY_REFRESH_TOKEN_UPGRADE_PERCENTAGE=100")...)
	token := old.newSession("ann@example.com").RefreshToken
	for i := range 3 {
		r := s.do("POST", "/token?grant_type=refresh_token", m{"refresh_token": token})
		if r.Status != http.StatusOK || r.Header.Get("Sb-Auth-Refresh-Token-Counter") != fmt.Sprint(i) {
			t.Fatalf("refresh %d: %d %s", i, r.Status, r.Text)
		}
		if got := keyOf(s.scan("select refresh_token_hmac_key from auth.sessions")); got != "new" {
			t.Errorf("refresh %d: the key is %s", i, got)
		}
		token = r.session().RefreshToken
	}
}

// reSum changes the signature of a format 2 token and makes its checksum right again.
func reSum(token []byte) []byte {
	signed := token[:len(token)-4]
	signed[len(signed)-1] ^= 1
	sum := sha256.Sum256(signed)
	return append(signed, sum[:4]...)
}
