package password

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/bits"
	"regexp"
	"strings"
)

// djangoSalt is a salt of Django's, which is text.
const djangoSalt = `[!-#%-~]{1,128}`

var djangoPBKDF2Form = regexp.MustCompile(`^pbkdf2_(sha1|sha256)\$([0-9]{1,7})\$(` + djangoSalt + `)\$(` + base64Form + `)$`)

// parseDjangoPBKDF2 reads pbkdf2_sha256$iterations$salt$hash, and the same with sha1.
func parseDjangoPBKDF2(text string) (*checker, error) {
	part := djangoPBKDF2Form.FindStringSubmatch(text)
	if part == nil {
		return nil, errors.New("the password hash is not Django's pbkdf2_sha256$iterations$salt$hash, nor the same with sha1")
	}
	want, err := decodeDerived(part[4])
	if err != nil {
		return nil, err
	}
	return checkPBKDF2(digests[part[1]], number(part[2]), []byte(part[3]), want)
}

var djangoScryptForm = regexp.MustCompile(`^scrypt\$([0-9]{1,8})\$(` + djangoSalt + `)\$([0-9]{1,7})\$([0-9]{1,2})\$(` + base64Form + `)$`)

// parseDjangoScrypt reads scrypt$N$salt$r$p$hash; N is the cost itself, a power of two.
func parseDjangoScrypt(text string) (*checker, error) {
	part := djangoScryptForm.FindStringSubmatch(text)
	if part == nil {
		return nil, errors.New("the password hash is not Django's scrypt$N$salt$r$p$hash")
	}
	n := uint(number(part[1]))
	if bits.OnesCount(n) != 1 {
		return nil, errors.New("the password hash needs a power of two for N")
	}
	want, err := decodeDerived(part[5])
	if err != nil {
		return nil, err
	}
	return checkScrypt(bits.Len(n)-1, number(part[3]), number(part[4]), []byte(part[2]), want)
}

// parseDjangoBcrypt reads bcrypt$<bcrypt> and bcrypt_sha256$<bcrypt>, where bcrypt hashes the hexadecimal SHA-256 of the
// password.
func parseDjangoBcrypt(text string) (*checker, error) {
	kind, inner, _ := strings.Cut(text, "$")
	if kind != "bcrypt" && kind != "bcrypt_sha256" {
		return nil, errors.New("the password hash is neither Django's bcrypt$hash nor bcrypt_sha256$hash")
	}
	check, err := parseBcrypt(inner)
	if err != nil {
		return nil, err
	}
	return imported(func(password []byte) (bool, error) {
		if kind == "bcrypt_sha256" {
			sum := sha256.Sum256(password)
			password = hex.AppendEncode(nil, sum[:])
		}
		return check.matches(password)
	}), nil
}

// parseDjangoArgon2 reads argon2$argon2id$v=19$..., the usual form behind a word.
func parseDjangoArgon2(text string) (*checker, error) {
	check, err := parseArgon2(strings.TrimPrefix(text, "argon2"))
	if err != nil {
		return nil, err
	}
	return imported(check.matches), nil
}
