package password

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"

	"golang.org/x/crypto/argon2"
)

// Limits of Argon2: the reference's.
const (
	maxArgon2Memory  = 1 << 20
	maxArgon2Time    = 20
	maxArgon2Threads = 16
	minArgon2Hash    = 4       // bytes, RFC 9106 section 3.1
	cheapArgon2      = 1 << 16 // memory in KiB times passes, about the time of a usual bcrypt hash
)

var argon2Form = regexp.MustCompile(`^\$argon2(id?)\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,2}),p=([0-9]{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$`)

func parseArgon2(hash string) (*checker, error) {
	part := argon2Form.FindStringSubmatch(hash)
	if part == nil {
		return nil, errors.New("the password hash is not $argon2id$v=19$m=..,t=..,p=..$salt$hash, nor the same with argon2i")
	}
	memory, time, threads := number(part[2]), number(part[3]), number(part[4])
	if memory < 1 || memory > maxArgon2Memory || time < 1 || time > maxArgon2Time || threads < 1 || threads > maxArgon2Threads {
		return nil, fmt.Errorf("the password hash needs m from 1 to %d, t from 1 to %d and p from 1 to %d", maxArgon2Memory, maxArgon2Time, maxArgon2Threads)
	}
	salt, errSalt := base64.RawStdEncoding.DecodeString(part[5])
	want, errHash := base64.RawStdEncoding.DecodeString(part[6])
	if errSalt != nil || errHash != nil || len(want) < minArgon2Hash {
		return nil, fmt.Errorf("salt and hash of the password hash must be base64 without padding, the hash of at least %d bytes", minArgon2Hash)
	}
	derive := argon2.Key
	if part[1] == "id" {
		derive = argon2.IDKey
	}
	return &checker{isCheap: memory*time < cheapArgon2, matches: func(password []byte) (bool, error) {
		got := derive(password, salt, uint32(time), uint32(memory), uint8(threads), uint32(len(want)))
		return subtle.ConstantTimeCompare(got, want) == 1, nil
	}}, nil
}
