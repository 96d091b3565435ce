package password

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"strings"

	cryptbase64 "github.com/go-crypt/x/base64"
	"github.com/go-crypt/x/crypt"
)

// Rounds of sha-crypt: its own default and lower limit, and 2 s for the longest password.
const (
	defaultSHACryptRounds = 5000
	minSHACryptRounds     = 1000
	maxSHACryptRounds     = 1_000_000
)

var shaCryptForm = regexp.MustCompile(`^\$(?:5\$(?:rounds=([0-9]{1,7})\$)?([./0-9A-Za-z]{1,16})\$([./0-9A-Za-z]{43})|` +
	`6\$(?:rounds=([0-9]{1,7})\$)?([./0-9A-Za-z]{1,16})\$([./0-9A-Za-z]{86}))$`)

// parseSHACrypt reads the sha-crypt of Unix, $5$ with SHA-256 and $6$ with SHA-512: $6$rounds=..$salt$hash.
func parseSHACrypt(text string) (*checker, error) {
	part := shaCryptForm.FindStringSubmatch(text)
	if part == nil {
		return nil, errors.New("the password hash is neither $5$[rounds=..$]salt$hash nor $6$[rounds=..$]salt$hash")
	}
	digest, fields := sha256.New, part[1:4]
	if strings.HasPrefix(text, "$6$") {
		digest, fields = sha512.New, part[4:7]
	}
	rounds := defaultSHACryptRounds
	if fields[0] != "" {
		rounds = number(fields[0])
	}
	if rounds < minSHACryptRounds || rounds > maxSHACryptRounds {
		return nil, fmt.Errorf("the password hash needs from %d to %d rounds", minSHACryptRounds, maxSHACryptRounds)
	}
	salt, want := []byte(fields[1]), []byte(fields[2])
	return imported(func(password []byte) (bool, error) {
		return subtle.ConstantTimeCompare(crypt.KeySHACrypt(digest, password, salt, rounds), want) == 1, nil
	}), nil
}

// Exponents of phpass's count of rounds: the lowest it makes, and about 2 s.
const (
	minPhpassCount = 7
	maxPhpassCount = 24
)

var phpassForm = regexp.MustCompile(`^\$[PH]\$([./0-9A-Za-z])([./0-9A-Za-z]{8})([./0-9A-Za-z]{22})$`)

// parsePhpass reads the portable hashes of phpass, which WordPress ($P$) and phpBB ($H$) used: a digit of crypt(3) for
// the exponent of the count, eight characters of salt, and MD5 applied 2^count times.
func parsePhpass(text string) (*checker, error) {
	part := phpassForm.FindStringSubmatch(text)
	if part == nil {
		return nil, errors.New("the password hash is not $P$ or $H$ and 31 characters")
	}
	count := strings.Index(itoa64, part[1])
	if count < minPhpassCount || count > maxPhpassCount {
		return nil, fmt.Errorf("the password hash needs a count from %d to %d", minPhpassCount, maxPhpassCount)
	}
	salt, want := part[2], []byte(part[3])
	return imported(func(password []byte) (bool, error) {
		sum := md5.Sum(append([]byte(salt), password...))
		buffer := make([]byte, md5.Size+len(password))
		copy(buffer[md5.Size:], password)
		for range 1 << count {
			copy(buffer, sum[:])
			sum = md5.Sum(buffer)
		}
		return subtle.ConstantTimeCompare(cryptbase64.EncodeCrypt(sum[:]), want) == 1, nil
	}), nil
}
