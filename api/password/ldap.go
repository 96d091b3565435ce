package password

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"strings"
)

// maxLDAPSalt is the longest salt in bytes; servers use 4 to 16.
const maxLDAPSalt = 64

// parseBraces tells JSON from the scheme of a directory.
func parseBraces(text string) (*checker, error) {
	if strings.HasPrefix(strings.TrimLeft(text[1:], " \t\r\n"), `"`) {
		return parseKeycloak(text)
	}
	return parseLDAP(text)
}

var ldapForm = regexp.MustCompile(`^\{[Ss][Ss][Hh][Aa](256|512)?\}(` + base64Form + `)$`)

// parseLDAP reads salted SHA as directories store it: {SSHA}, {SSHA256} or {SSHA512}, then base64 of digest and salt.
func parseLDAP(text string) (*checker, error) {
	part := ldapForm.FindStringSubmatch(text)
	if part == nil {
		return nil, errors.New("the password hash is none of {SSHA}, {SSHA256} and {SSHA512} with base64")
	}
	digest := map[string]func() hash.Hash{"": sha1.New, "256": sha256.New, "512": sha512.New}[part[1]]
	b, err := decodeBase64(part[2])
	if err != nil {
		return nil, err
	}
	size := digest().Size()
	if len(b) <= size || len(b) > size+maxLDAPSalt {
		return nil, fmt.Errorf("the password hash must hold a digest of %d bytes and a salt of 1 to %d", size, maxLDAPSalt)
	}
	want, salt := b[:size], b[size:]
	return imported(func(password []byte) (bool, error) {
		h := digest()
		h.Write(password)
		h.Write(salt)
		return subtle.ConstantTimeCompare(h.Sum(nil), want) == 1, nil
	}), nil
}
