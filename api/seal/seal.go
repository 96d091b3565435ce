// Package seal encrypts single values in the database: password hashes, secrets of second factors, keys of refresh
// tokens. The format is the reference's, byte for byte (spec/00 section 13, spec/05 section 8), so that either server
// reads what the other wrote: AES-256-GCM with a key that HKDF-SHA256 derives for each row.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/postern-auth/postern/api/config"
)

const (
	algorithm   = "aes-gcm-hkdf"
	keyLength   = 32
	nonceLength = 12
)

// MaxPassword is the longest value in bytes that users.encrypted_password takes.
const MaxPassword = 255

// envelope is the stored form. Byte strings are standard base64 with padding.
type envelope struct {
	KeyID     string `json:"key_id"`
	Algorithm string `json:"alg"`
	Data      []byte `json:"data"`
	Nonce     []byte `json:"nonce"`
}

// UnknownKeyError is a value under a key that the settings do not name.
type UnknownKeyError struct{ ID string }

func (e UnknownKeyError) Error() string {
	return fmt.Sprintf("the value is encrypted with the key %q, which is not in GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS", e.ID)
}

// Keys seals and opens values. They do not change, so any number of goroutines may share them.
type Keys struct {
	current string            // id of the key that encrypts, "" while encryption is off
	keys    map[string][]byte // by id
}

// New reads the keys of the settings, which package config has checked. It fails for a key of another length.
func New(c config.Encryption) (*Keys, error) {
	k := &Keys{keys: make(map[string][]byte, len(c.DecryptionKeys))}
	for id, text := range c.DecryptionKeys {
		key, ok := config.DecodeEncryptionKey(text)
		if !ok {
			return nil, fmt.Errorf("decryption key with ID %q must be 256 bits", id)
		}
		k.keys[id] = key
	}
	if !c.Encrypt {
		return k, nil
	}
	if c.KeyID == "" || k.keys[c.KeyID] == nil {
		return nil, errors.New("encryption key must also be present in decryption keys")
	}
	k.current = c.KeyID
	return k, nil
}

// Encrypts tells whether encryption is on: whether Seal changes anything.
func (k *Keys) Encrypts() bool { return k.current != "" }

// CanOpen tells whether there are keys: whether a sealed value may be met.
func (k *Keys) CanOpen() bool { return len(k.keys) > 0 }

// IsSealed tells whether a stored value has the encrypted form. A password hash or a secret never has.
func IsSealed(stored string) bool {
	_, ok := parse(stored)
	return ok
}

// Seal encrypts a value under the current key. id is the row's, a UUID in lower case: users.id, mfa_factors.id,
// mfa_challenges.id, sessions.id or custom_oauth_providers.id. While encryption is off, and for the empty text, which
// means "none" in every column, it returns the value as it is.
func (k *Keys) Seal(id, plain string) (string, error) {
	if !k.Encrypts() || plain == "" {
		return plain, nil
	}
	aead, err := rowCipher(k.keys[k.current], id)
	if err != nil {
		return "", err
	}
	e := envelope{KeyID: k.current, Algorithm: algorithm, Nonce: make([]byte, nonceLength)}
	rand.Read(e.Nonce) // never fails
	e.Data = aead.Seal(nil, e.Nonce, []byte(plain), nil)
	text, err := json.Marshal(e)
	return string(text), err
}

// Open returns what a stored value says, which may be plain. isStale asks for sealing it anew: encryption is on, and
// the value is plain or under another key. Errors: UnknownKeyError, and values that were changed or belong to another
// row.
func (k *Keys) Open(id, stored string) (plain string, isStale bool, err error) {
	e, ok := parse(stored)
	if !ok {
		return stored, k.Encrypts() && stored != "", nil
	}
	key := k.keys[e.KeyID]
	if key == nil {
		return "", false, UnknownKeyError{e.KeyID}
	}
	aead, err := rowCipher(key, id)
	if err != nil {
		return "", false, err
	}
	text, err := aead.Open(nil, e.Nonce, e.Data, nil)
	if err != nil {
		return "", false, fmt.Errorf("decrypting a value with the key %q: %w", e.KeyID, err)
	}
	return string(text), k.Encrypts() && e.KeyID != k.current, nil
}

// parse reads the stored form; anything that does not have it is a plain value.
func parse(stored string) (e envelope, ok bool) {
	if !strings.HasPrefix(stored, "{") || json.Unmarshal([]byte(stored), &e) != nil {
		return envelope{}, false
	}
	return e, e.KeyID != "" && e.Algorithm == algorithm && len(e.Data) > 0 && len(e.Nonce) == nonceLength
}

// rowCipher is AES-256-GCM under the key of one row.
func rowCipher(key []byte, id string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, id, keyLength)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of a row: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("preparing the cipher: %w", err)
	}
	return cipher.NewGCM(block)
}
