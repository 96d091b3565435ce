package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxHashLength is the longest accepted hash in bytes. Each family has limits of its own for the work: a hash beyond
// them would hold a worker for more than some seconds, or take more memory than the machine has.
const maxHashLength = 4096

// checker is a hash that was read and found usable.
type checker struct {
	// matches tells whether the hash was made of a password.
	matches func(password []byte) (bool, error)
	// isImported: the form is one of those that imports bring and the reference cannot read.
	isImported bool
	// isCheap: comparing may take less time than with a usual hash, which would tell an account from none.
	isCheap bool
	// cost of a bcrypt hash, 0 for other forms.
	cost int
}

// needsRenewal asks for a new bcrypt hash once the password is known; usual is the cost of new ones.
func (c *checker) needsRenewal(usual int) bool { return c.isImported || c.cost > 0 && c.cost != usual }

// needsPadding asks for as much work as a usual hash takes besides the comparison.
func (c *checker) needsPadding(usual int) bool { return c.isCheap || c.cost > 0 && c.cost < usual }

// imported is the checker of a family that only imports have.
func imported(matches func(password []byte) (bool, error)) *checker {
	return &checker{isImported: true, isCheap: true, matches: func(password []byte) (bool, error) {
		if len(password) > maxImportedPassword {
			return false, nil
		}
		return matches(password)
	}}
}

// maxImportedPassword is the longest password in bytes that is compared with an imported hash: some of those families
// take time by the length of the password.
const maxImportedPassword = 1024

// forms are the families by the beginning of their hashes; spec/06 section 6, and docs/passwords.md for imports.
var forms = []struct {
	prefix string
	parse  func(hash string) (*checker, error)
}{
	{"$argon2", parseArgon2},
	{"$fbscrypt", parseFirebase},
	{"$pbkdf2", parsePBKDF2},
	{"$scrypt$", parseScrypt},
	{"$s0$", parseLambdaScrypt},
	{"$7$", parseCryptScrypt},
	{"$5$", parseSHACrypt},
	{"$6$", parseSHACrypt},
	{"$P$", parsePhpass},
	{"$H$", parsePhpass},
	{"$aspnet$", parseASPNET},
	{"{", parseBraces},
	{"pbkdf2_", parseDjangoPBKDF2},
	{"scrypt$", parseDjangoScrypt},
	{"bcrypt", parseDjangoBcrypt},
	{"argon2$", parseDjangoArgon2},
	{"A", parseASPNET},
}

// ValidHash returns an error that says what is wrong with a hash unless Verify can use it. docs/passwords.md lists the
// forms; postern_internal.is_password_hash accepts the same (spec/06 section 6).
func ValidHash(hash string) error {
	_, err := parse(hash)
	return err
}

func parse(hash string) (*checker, error) {
	switch {
	case hash == "":
		return nil, errors.New("the password hash is empty")
	case len(hash) > maxHashLength:
		return nil, fmt.Errorf("the password hash is longer than %d bytes", maxHashLength)
	}
	for _, form := range forms {
		if strings.HasPrefix(hash, form.prefix) {
			return form.parse(hash)
		}
	}
	return parseBcrypt(hash) // whatever else it is, the reference takes it for bcrypt
}

// number reads digits that a regular expression has found and limited.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// Imported hashes are written by many programs: their base64 may be padded or not, and may have . for +.
const base64Form = `[A-Za-z0-9+/.]+={0,2}`

func decodeBase64(text string) ([]byte, error) {
	text = strings.ReplaceAll(strings.TrimRight(text, "="), ".", "+")
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("a part of the password hash is not base64")
	}
	return b, nil
}

// Limits of the derived key that an imported hash holds, in bytes.
const (
	minDerived = 16
	maxDerived = 128
)

// decodeDerived decodes a derived key.
func decodeDerived(text string) ([]byte, error) {
	b, err := decodeBase64(text)
	if err == nil && (len(b) < minDerived || len(b) > maxDerived) {
		err = fmt.Errorf("the password hash holds a key of %d bytes, it must have from %d to %d", len(b), minDerived, maxDerived)
	}
	return b, err
}
