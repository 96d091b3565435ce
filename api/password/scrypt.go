package password

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	cryptbase64 "github.com/go-crypt/x/base64"
	"golang.org/x/crypto/scrypt"
)

// Limits of scrypt, also Firebase's.
const (
	maxScryptBlocks = 1 << 23 // N * r, 128 bytes each: 1 GiB
	maxScryptP      = 1 << 4
	cheapScrypt     = 1 << 17 // N * r * p, about the time of a usual bcrypt hash
)

// limitScrypt refuses parameters beyond the limits; logN is the exponent of the cost.
func limitScrypt(logN, r, p int) error {
	if logN < 1 || logN > 23 || r < 1 || (1<<logN)*r > maxScryptBlocks || p < 1 || p > maxScryptP {
		return fmt.Errorf("the password hash needs ln, r and p of at least 1, 2^ln * r of at most %d and p of at most %d", maxScryptBlocks, maxScryptP)
	}
	return nil
}

// checkScrypt compares with a key that scrypt derives (RFC 7914).
func checkScrypt(logN, r, p int, salt, want []byte) (*checker, error) {
	if err := limitScrypt(logN, r, p); err != nil {
		return nil, err
	}
	return imported(func(password []byte) (bool, error) {
		got, err := scrypt.Key(password, salt, 1<<logN, r, p, len(want))
		return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
	}), nil
}

var scryptForm = regexp.MustCompile(`^\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,7}),p=([0-9]{1,2})\$(` + base64Form + `)\$(` + base64Form + `)$`)

// parseScrypt reads the PHC form, $scrypt$ln=..,r=..,p=..$salt$hash, which passlib writes as well.
func parseScrypt(text string) (*checker, error) {
	part := scryptForm.FindStringSubmatch(text)
	if part == nil {
		return nil, errors.New("the password hash is not $scrypt$ln=..,r=..,p=..$salt$hash")
	}
	salt, errSalt := decodeBase64(part[4])
	want, errHash := decodeDerived(part[5])
	if err := errors.Join(errSalt, errHash); err != nil {
		return nil, err
	}
	return checkScrypt(number(part[1]), number(part[2]), number(part[3]), salt, want)
}

var lambdaForm = regexp.MustCompile(`^\$s0\$([0-9a-f]{5,6})\$(` + base64Form + `)\$(` + base64Form + `)$`)

// parseLambdaScrypt reads the form of Java's SCryptUtil and its relatives: ln, r and p as bytes of one hexadecimal number.
func parseLambdaScrypt(text string) (*checker, error) {
	part := lambdaForm.FindStringSubmatch(text)
	if part == nil {
		return nil, errors.New("the password hash is not $s0$<parameters>$salt$hash")
	}
	params, _ := strconv.ParseUint(part[1], 16, 32) // at most six hexadecimal digits
	salt, errSalt := decodeBase64(part[2])
	want, errHash := decodeDerived(part[3])
	if err := errors.Join(errSalt, errHash); err != nil {
		return nil, err
	}
	return checkScrypt(int(params>>16), int(params>>8&0xff), int(params&0xff), salt, want)
}

// itoa64 are the digits of crypt(3), in their order.
const itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var cryptScryptForm = regexp.MustCompile(`^\$7\$([./0-9A-Za-z])([./0-9A-Za-z]{5})([./0-9A-Za-z]{5})([./0-9A-Za-z]{1,86})\$([./0-9A-Za-z]{43})$`)

// parseCryptScrypt reads the form of crypt(3) and libsodium, $7$<ln><r><p><salt>$hash; the salt is used as it stands.
func parseCryptScrypt(text string) (*checker, error) {
	part := cryptScryptForm.FindStringSubmatch(text)
	if part == nil {
		return nil, errors.New("the password hash is not $7$<ln><r><p><salt>$hash")
	}
	logN, r, p := strings.Index(itoa64, part[1]), itoa64Number(part[2]), itoa64Number(part[3])
	if err := limitScrypt(logN, r, p); err != nil {
		return nil, err
	}
	return imported(func(password []byte) (bool, error) {
		got, err := scrypt.Key(password, []byte(part[4]), 1<<logN, r, p, 32)
		return err == nil && subtle.ConstantTimeCompare(cryptbase64.EncodeCrypt(got), []byte(part[5])) == 1, err
	}), nil
}

// itoa64Number reads a number of 30 bits, the lowest six first.
func itoa64Number(digits string) (n int) {
	for i := range len(digits) {
		n |= strings.IndexByte(itoa64, digits[i]) << (6 * i)
	}
	return n
}
