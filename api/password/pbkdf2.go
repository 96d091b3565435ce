package password

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"regexp"
)

// maxPBKDF2Work limits iterations times blocks of output: about 5 s.
const maxPBKDF2Work = 5_000_000

// digests are the hash functions of PBKDF2 by the names that the forms have for them; "" is the oldest one.
var digests = map[string]func() hash.Hash{
	"": sha1.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New,
}

// checkPBKDF2 compares with a key that PBKDF2 derives (RFC 8018 section 5.2).
func checkPBKDF2(digest func() hash.Hash, iterations int, salt, want []byte) (*checker, error) {
	size := digest().Size()
	blocks := (len(want) + size - 1) / size
	if iterations < 1 || iterations*blocks > maxPBKDF2Work {
		return nil, fmt.Errorf("the password hash needs from 1 to %d iterations", maxPBKDF2Work/blocks)
	}
	return imported(func(password []byte) (bool, error) {
		got, err := pbkdf2.Key(digest, string(password), salt, iterations, len(want))
		return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
	}), nil
}

var pbkdf2Form = regexp.MustCompile(`^\$pbkdf2(?:-(sha1|sha256|sha512))?\$(?:i=)?([0-9]{1,7})(?:,l=[0-9]{1,3})?\$(` + base64Form + `)\$(` + base64Form + `)$`)

// parsePBKDF2 reads the PHC form ($pbkdf2-sha256$i=..,l=..$salt$hash) and the modular one ($pbkdf2-sha256$..$salt$hash).
func parsePBKDF2(text string) (*checker, error) {
	part := pbkdf2Form.FindStringSubmatch(text)
	if part == nil {
		return nil, errors.New("the password hash is not $pbkdf2-sha256$i=..$salt$hash, nor the same with sha1 or sha512 or without i=")
	}
	salt, errSalt := decodeBase64(part[3])
	want, errHash := decodeDerived(part[4])
	if err := errors.Join(errSalt, errHash); err != nil {
		return nil, err
	}
	return checkPBKDF2(digests[part[1]], number(part[2]), salt, want)
}
