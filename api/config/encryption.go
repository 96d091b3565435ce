package config

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
)

// Encryption is about secrets in the database. Package seal encrypts (spec/06 section 6).
type Encryption struct {
	Encrypt        bool           `env:"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT" envDefault:"false" desc:"Encrypt password hashes, secrets of second factors and keys of refresh tokens in the database."`
	KeyID          string         `env:"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY_ID" desc:"Id of the key that encrypts; it is stored beside each value."`
	Key            Secret         `env:"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY" desc:"The key that encrypts: 32 random bytes in base64url without padding."`
	DecryptionKeys EncryptionKeys `env:"GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS" secret:"true" desc:"All keys that values may be encrypted with, the current one included: pairs id:key, comma-separated."`
}

// EncryptionKeys are keys by id, each 32 bytes in base64url without padding.
type EncryptionKeys map[string]Secret

// UnmarshalText reads pairs id:key, separated by commas.
func (k *EncryptionKeys) UnmarshalText(text []byte) error {
	*k = EncryptionKeys{}
	for pair := range strings.SplitSeq(string(text), ",") {
		id, key, ok := strings.Cut(pair, ":")
		if !ok || id == "" || strings.Contains(key, ":") {
			return wantError("must be pairs id:key, separated by commas")
		}
		(*k)[id] = Secret(key)
	}
	return nil
}

// encryptionKeyLength is the length of a key in bytes.
const encryptionKeyLength = 32

// DecodeEncryptionKey reads a key: 32 bytes in base64url without padding. ok is false for anything else.
func DecodeEncryptionKey(text Secret) (key []byte, ok bool) {
	key, err := base64.RawURLEncoding.DecodeString(string(text))
	return key, err == nil && len(key) == encryptionKeyLength
}

func (e *Encryption) check(l *loader) {
	const keyID, key, decryptionKeys = "GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY_ID",
		"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY", "GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS"
	for _, id := range slices.Sorted(maps.Keys(e.DecryptionKeys)) {
		if _, ok := DecodeEncryptionKey(e.DecryptionKeys[id]); !ok {
			l.failSecret(decryptionKeys, "is wrong: decryption key with ID %q must be 256 bits, in base64url without padding", id)
		}
	}
	if !e.Encrypt {
		return
	}
	if e.KeyID == "" {
		l.failSecret(keyID, "is not set: encryption key ID must be specified when GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT is true")
	}
	if _, ok := DecodeEncryptionKey(e.Key); !ok {
		l.failSecret(key, "is wrong: encryption key is not 256 bits in base64url without padding")
	}
	if e.DecryptionKeys[e.KeyID] != e.Key {
		l.failSecret(decryptionKeys, "is wrong: encryption key must also be present in decryption keys, as %s:<key>", e.KeyID)
	}
}

// LoadEncryption reads only these settings, for commands that need no others. The error is an *Error.
func LoadEncryption(environ []string) (Encryption, error) {
	var e Encryption
	l := newLoader(environ)
	l.load(&e, "")
	e.check(l)
	if len(l.problems) > 0 {
		return e, &Error{Problems: l.problems}
	}
	return e, nil
}
