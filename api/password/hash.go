package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

const (
	bcryptCost = 10
	// dummyHash is compared where there is no hash. Nobody knows a password for it, and its result is not used.
	dummyHash = "$2a$10$7EqJtq98hPqEX7fNZaFWoO7EqJtq98hPqEX7fNZaFWoO7EqJtq98h"
)

// Limits of accepted hashes. Those of Argon2 are the reference's. A hash beyond the others would hold a worker for
// minutes, or take more memory than the machine has.
const (
	maxHashLength    = 4096
	maxBcryptCost    = 17 // about 8 s
	maxArgon2Memory  = 1 << 20
	maxArgon2Time    = 20
	maxArgon2Threads = 16
	minArgon2Hash    = 4       // bytes, RFC 9106 section 3.1
	maxScryptBlocks  = 1 << 23 // 2^n * r, 128 bytes each: 1 GiB
	maxScryptP       = 1 << 4
)

// checker tells whether a password belongs to the hash it was parsed from.
type checker func(password []byte) (bool, error)

// ValidHash returns an error that says what is wrong with a hash unless Verify can use it. Formats: bcrypt, Argon2i
// and Argon2id ($argon2id$v=19$m=..,t=..,p=..$salt$hash), and Firebase's scrypt
// ($fbscrypt$v=1,n=..,r=..,p=..[,ss=..][,sk=..]$salt$hash); spec/06 section 6.
func ValidHash(hash string) error {
	_, err := parse(hash)
	return err
}

func parse(hash string) (checker, error) {
	switch {
	case hash == "":
		return nil, errors.New("the password hash is empty")
	case len(hash) > maxHashLength:
		return nil, fmt.Errorf("the password hash is longer than %d bytes", maxHashLength)
	case strings.HasPrefix(hash, "$argon2"):
		return parseArgon2(hash)
	case strings.HasPrefix(hash, "$fbscrypt"):
		return parseFirebase(hash)
	}
	return parseBcrypt(hash)
}

var bcryptForm = regexp.MustCompile(`^\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

func parseBcrypt(hash string) (checker, error) {
	if !bcryptForm.MatchString(hash) {
		return nil, errors.New("the password hash is none of bcrypt, Argon2 and Firebase scrypt")
	}
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil {
		return nil, fmt.Errorf("the password hash is not bcrypt: %w", err)
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("the password hash has the bcrypt cost %d, at most %d is allowed", cost, maxBcryptCost)
	}
	return func(password []byte) (bool, error) {
		err := bcrypt.CompareHashAndPassword([]byte(hash), password)
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return err == nil, err
	}, nil
}

var argon2Form = regexp.MustCompile(`^\$argon2(id?)\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,2}),p=([0-9]{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$`)

func parseArgon2(hash string) (checker, error) {
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
	return func(password []byte) (bool, error) {
		got := derive(password, salt, uint32(time), uint32(memory), uint8(threads), uint32(len(want)))
		return subtle.ConstantTimeCompare(got, want) == 1, nil
	}, nil
}

var firebaseForm = regexp.MustCompile(`^\$fbscrypt\$v=1,n=([0-9]{1,2}),r=([0-9]{1,7}),p=([0-9]{1,2})` +
	`(?:,ss=([A-Za-z0-9+/]+={0,2}))?(?:,sk=([A-Za-z0-9+/]+={0,2}))?\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})$`)

func parseFirebase(hash string) (checker, error) {
	part := firebaseForm.FindStringSubmatch(hash)
	if part == nil {
		return nil, errors.New("the password hash is not $fbscrypt$v=1,n=..,r=..,p=..[,ss=..][,sk=..]$salt$hash")
	}
	n, r, p := number(part[1]), number(part[2]), number(part[3])
	if n < 1 || n > 23 || r < 1 || (1<<n)*r > maxScryptBlocks || p < 1 || p > maxScryptP {
		return nil, fmt.Errorf("the password hash needs n, r and p of at least 1, 2^n * r of at most %d and p of at most %d", maxScryptBlocks, maxScryptP)
	}
	var decoded [4][]byte // separator, signer key, salt, hash
	for i, text := range part[4:] {
		var err error
		if decoded[i], err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, errors.New("ss, sk, salt and hash of the password hash must be base64 with padding")
		}
	}
	separator, signerKey, salt, want := decoded[0], decoded[1], decoded[2], decoded[3]
	return func(password []byte) (bool, error) {
		key, err := scrypt.Key(password, append(salt[:len(salt):len(salt)], separator...), 1<<n, r, p, 32)
		if err != nil {
			return false, fmt.Errorf("hashing with scrypt: %w", err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return false, fmt.Errorf("encrypting the signer key: %w", err)
		}
		got := make([]byte, len(signerKey))
		cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(got, signerKey)
		return subtle.ConstantTimeCompare(got, want) == 1, nil
	}, nil
}

// number reads digits that a regular expression has found and limited.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
