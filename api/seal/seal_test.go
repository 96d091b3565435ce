package seal

import (
	"errors"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/config"
)

const (
	userID    = "11111111-1111-4111-8111-111111111111"
	sessionID = "63c02ba7-b5f9-4b92-9a83-3d898f02d85b"

	bcryptHash = "$2a$10$7EqJtq98hPqEX7fNZaFWoO7EqJtq98hPqEX7fNZaFWoO7EqJtq98h"
	hmacKey    = "DXMFHMVKc9MxTQmPsf1z0EWNLeTx2E825wk1Bi4rrrY"

	// Made with another implementation: HKDF and AESGCM of Python's package cryptography.
	sealedHash = `{"key_id":"k1","alg":"aes-gcm-hkdf","data":"TJE+pnurDlc1GKI3YG+1+7txQIOpkOuEhtpMQUsvIl8V+2JbxCi8klGmbCBanneU1dOWJTIET4i81XkrASzeq3OpX+9irONoNHWm9A==","nonce":"AAECAwQFBgcICQoL"}`
	sealedKey  = `{"key_id":"k0","alg":"aes-gcm-hkdf","data":"NCBtpoPwMB+7qNPAoy3FSkgI5NjIGMnu2T5zn2ELr33Pg8PVm4FWGlOmW8dti/mO7F9/meoeEG1e2Vk=","nonce":"ZGVmZ2hpamtsbW5v"}`
)

// settings encrypt with k1 and can read k0 as well.
func settings() config.Encryption {
	return config.Encryption{
		Encrypt: true, KeyID: "k1", Key: "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k",
		DecryptionKeys: config.EncryptionKeys{
			"k0": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "k1": "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k",
		},
	}
}

func newKeys(t testing.TB, c config.Encryption) *Keys {
	t.Helper()
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpen(t *testing.T) {
	t.Parallel()
	k := newKeys(t, settings())
	off := settings()
	off.Encrypt = false
	readOnly := newKeys(t, off)
	for name, test := range map[string]struct {
		id, stored, plain string
		isStale           bool
	}{
		"current key":           {userID, sealedHash, bcryptHash, false},
		"older key":             {sessionID, sealedKey, hmacKey, true},
		"plain":                 {userID, bcryptHash, bcryptHash, true},
		"none":                  {userID, "", "", false},
		"LDAP hash":             {userID, "{SSHA}AAAA", "{SSHA}AAAA", true},
		"other JSON":            {userID, `{"a":1}`, `{"a":1}`, true},
		"without an id":         {userID, strings.Replace(sealedHash, `"k1"`, `""`, 1), strings.Replace(sealedHash, `"k1"`, `""`, 1), true},
		"without data":          {userID, `{"key_id":"k1","alg":"aes-gcm-hkdf","data":"","nonce":"AAECAwQFBgcICQoL"}`, `{"key_id":"k1","alg":"aes-gcm-hkdf","data":"","nonce":"AAECAwQFBgcICQoL"}`, true},
		"another algorithm":     {userID, strings.Replace(sealedHash, "aes-gcm-hkdf", "aes", 1), strings.Replace(sealedHash, "aes-gcm-hkdf", "aes", 1), true},
		"a nonce of nine bytes": {userID, strings.Replace(sealedHash, "AAECAwQFBgcICQoL", "AAECAwQFBgcI", 1), strings.Replace(sealedHash, "AAECAwQFBgcICQoL", "AAECAwQFBgcI", 1), true},
		"no base64":             {userID, strings.Replace(sealedHash, "TJE+", "*JE+", 1), strings.Replace(sealedHash, "TJE+", "*JE+", 1), true},
	} {
		plain, isStale, err := k.Open(test.id, test.stored)
		if plain != test.plain || isStale != test.isStale || err != nil {
			t.Errorf("%s: %q, %t, %v", name, plain, isStale, err)
		}
		if plain, isStale, err := readOnly.Open(test.id, test.stored); plain != test.plain || isStale || err != nil {
			t.Errorf("%s, encryption off: %q, %t, %v", name, plain, isStale, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	k := newKeys(t, settings())
	for name, test := range map[string]struct{ id, stored string }{
		"another row":      {sessionID, sealedHash},
		"upper-case id":    {strings.ToUpper("abcdef11-1111-4111-8111-111111111111"), sealedHash},
		"changed data":     {userID, strings.Replace(sealedHash, "TJE+", "TJF+", 1)},
		"changed nonce":    {userID, strings.Replace(sealedHash, "AAECAwQF", "BAECAwQF", 1)},
		"the other key":    {userID, strings.Replace(sealedHash, `"k1"`, `"k0"`, 1)},
		"less than a tag":  {userID, `{"key_id":"k1","alg":"aes-gcm-hkdf","data":"AAAA","nonce":"AAECAwQFBgcICQoL"}`},
		"an unknown key":   {userID, strings.Replace(sealedHash, `"k1"`, `"k9"`, 1)},
		"nothing but tags": {userID, `{"key_id":"k1","alg":"aes-gcm-hkdf","data":"AAAAAAAAAAAAAAAAAAAAAA==","nonce":"AAECAwQFBgcICQoL"}`},
	} {
		if plain, _, err := k.Open(test.id, test.stored); err == nil || plain != "" {
			t.Errorf("%s: opened as %q", name, plain)
		}
	}
	var unknown UnknownKeyError
	if _, _, err := k.Open(userID, strings.Replace(sealedHash, `"k1"`, `"k9"`, 1)); !errors.As(err, &unknown) || unknown.ID != "k9" {
		t.Errorf("unknown key: %v", err)
	}
}

func TestSeal(t *testing.T) {
	t.Parallel()
	k := newKeys(t, settings())
	for _, text := range []string{"x", bcryptHash, hmacKey, strings.Repeat("long", 5000), `{"key_id":"k1"}`} {
		one, err1 := k.Seal(userID, text)
		two, err2 := k.Seal(userID, text)
		if err1 != nil || err2 != nil || one == two || !IsSealed(one) {
			t.Errorf("%.20q: %.80q and %.80q (%v, %v)", text, one, two, err1, err2)
		}
		if plain, isStale, err := k.Open(userID, one); plain != text || isStale || err != nil {
			t.Errorf("%.20q comes back as %.20q, %t, %v", text, plain, isStale, err)
		}
	}
	if got, err := k.Seal(userID, ""); got != "" || err != nil {
		t.Errorf("the empty text is sealed: %q, %v", got, err)
	}
	off := newKeys(t, config.Encryption{})
	if got, err := off.Seal(userID, "x"); got != "x" || err != nil || off.Encrypts() {
		t.Errorf("encryption off: %q, %v", got, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*config.Encryption){
		"no id":          func(c *config.Encryption) { c.KeyID = "" },
		"unknown id":     func(c *config.Encryption) { c.KeyID = "k2" },
		"short key":      func(c *config.Encryption) { c.DecryptionKeys["k0"] = "AAAA" },
		"no keys at all": func(c *config.Encryption) { c.DecryptionKeys = nil },
	} {
		c := settings()
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzOpen looks for panics, and for texts that open although nobody sealed them.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{"", "{", "{}", sealedHash, sealedKey, bcryptHash, `{"key_id":"k1","alg":"aes-gcm-hkdf","data":null,"nonce":null}`} {
		f.Add(seed)
	}
	k := newKeys(f, settings())
	f.Fuzz(func(t *testing.T, stored string) {
		plain, _, err := k.Open(userID, stored)
		if IsSealed(stored) && err == nil && plain != bcryptHash || !IsSealed(stored) && (err != nil || plain != stored) {
			t.Errorf("%q opens as %q, %v", stored, plain, err)
		}
	})
}
