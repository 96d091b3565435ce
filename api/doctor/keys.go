package doctor

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/token"
)

const (
	newSecret   = "GOTRUE_JWT_SECRET=$(openssl rand -base64 48); API keys signed with the old one have to be made anew: postern key"
	minSecret   = 32 // bytes, RFC 7518 section 3.2
	minRSA      = 2048
	minEntropy  = 96 // bits, estimated
	demoSecrets = "super-secret-jwt-token-with-at-least-32-characters-long"
)

// keys reports weak or unusable keys.
func (r *report) keys(c config.JWT) {
	secret := string(c.Secret)
	switch {
	case strings.Contains(secret, demoSecrets):
		r.add(Error, "keys", "GOTRUE_JWT_SECRET is the one from the published examples: anybody can make a service_role token", newSecret)
	case len(secret) < minSecret:
		r.add(Error, "keys", fmt.Sprintf("GOTRUE_JWT_SECRET has %d bytes: tokens can be forged by guessing it", len(secret)), newSecret)
	case entropy(secret) < minEntropy || isSpeaking(secret):
		r.add(Warning, "keys", "GOTRUE_JWT_SECRET does not look random: a secret that somebody typed can be guessed", newSecret)
	}
	if _, err := token.New(c); err != nil {
		r.add(Error, "keys", err.Error(), "Mend GOTRUE_JWT_KEYS; the server does not start like this")
		return
	}
	var raw []json.RawMessage
	if c.Keys == "" || json.Unmarshal([]byte(c.Keys), &raw) != nil {
		return
	}
	seen := map[string]bool{}
	for i, one := range raw {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(one) != nil {
			continue // token.New has said so
		}
		r.jwk(fmt.Sprintf("key %d of GOTRUE_JWT_KEYS", i+1), key, seen)
	}
}

func (r *report) jwk(name string, key jose.JSONWebKey, seen map[string]bool) {
	switch k := key.Key.(type) {
	case []byte:
		if len(k) < minSecret {
			r.add(Error, "keys", fmt.Sprintf("%s is a secret of %d bytes: tokens can be forged by guessing it", name, len(k)),
				"Replace it by one of 32 random bytes or more")
		}
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSA {
			r.add(Error, "keys", fmt.Sprintf("%s is RSA with %d bits: it can be factored", name, k.N.BitLen()), "Replace it by one of 2048 bits or more, or by ES256")
		}
	}
	switch {
	case key.KeyID == "":
		r.add(Warning, "keys", name+" has no kid: clients that verify tokens cannot tell keys apart, and it cannot be rotated",
			`Add a member "kid" with a random value`)
	case seen[key.KeyID]:
		r.add(Error, "keys", name+" has the kid of another key: one of the two is never found", `Give each key its own "kid"`)
	}
	seen[key.KeyID] = true
}

// entropy estimates the bits of a text from how often its bytes occur.
func entropy(text string) float64 {
	count := map[byte]float64{}
	for i := range len(text) {
		count[text[i]]++
	}
	n, bits := float64(len(text)), 0.0
	for _, c := range count {
		bits -= c * math.Log2(c/n)
	}
	return bits
}

// isSpeaking tells whether a secret holds words that people put into secrets.
func isSpeaking(secret string) bool {
	lower := strings.ToLower(secret)
	for _, word := range []string{"secret", "password", "changeme", "change-me", "change_me", "example", "supabase", "postern", "1234567"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}
