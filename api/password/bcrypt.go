package password

import (
	"errors"
	"fmt"
	"regexp"

	"golang.org/x/crypto/bcrypt"
)

const (
	bcryptCost    = 10
	maxBcryptCost = 17 // about 8 s
	// dummyHash is compared where there is no hash. Nobody knows a password for it, and its result is not used.
	dummyHash = "$2a$10$7EqJtq98hPqEX7fNZaFWoO7EqJtq98hPqEX7fNZaFWoO7EqJtq98h"
)

var bcryptForm = regexp.MustCompile(`^\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

func parseBcrypt(hash string) (*checker, error) {
	if !bcryptForm.MatchString(hash) {
		return nil, errors.New("the password hash has none of the known forms")
	}
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil {
		return nil, fmt.Errorf("the password hash is not bcrypt: %w", err)
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("the password hash has the bcrypt cost %d, at most %d is allowed", cost, maxBcryptCost)
	}
	return &checker{cost: cost, matches: func(password []byte) (bool, error) {
		err := bcrypt.CompareHashAndPassword([]byte(hash), password)
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return err == nil, err
	}}, nil
}
