package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"

	"golang.org/x/crypto/scrypt"
)

var firebaseForm = regexp.MustCompile(`^\$fbscrypt\$v=1,n=([0-9]{1,2}),r=([0-9]{1,7}),p=([0-9]{1,2})` +
	`(?:,ss=([A-Za-z0-9+/]+={0,2}))?(?:,sk=([A-Za-z0-9+/]+={0,2}))?\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})$`)

func parseFirebase(hash string) (*checker, error) {
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
	return &checker{isCheap: (1<<n)*r*p < cheapScrypt, matches: func(password []byte) (bool, error) {
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
	}}, nil
}
