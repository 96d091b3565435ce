package password

import (
	"fmt"
	"strings"

	"github.com/postern-auth/postern/api/config"
)

// MaxLength of a new password in bytes; bcrypt looks at no more.
const MaxLength = 72

// TooLong is a new password of more than MaxLength bytes: 400 validation_failed.
type TooLong struct{}

func (TooLong) Error() string {
	return fmt.Sprintf("Password cannot be longer than %d characters", MaxLength)
}

// Weak is a new password that the policy refuses: 422 weak_password.
type Weak struct {
	Message string
	Reasons []string // length, characters
}

func (w *Weak) Error() string { return w.Message }

// Strength returns TooLong or *Weak unless the policy allows the password. Their texts are the wire's.
func Strength(policy config.Password, password string) error {
	if len(password) > MaxLength {
		return TooLong{}
	}
	var messages, reasons []string
	if len(password) < policy.MinLength {
		messages = append(messages, fmt.Sprintf("Password should be at least %d characters.", policy.MinLength))
		reasons = append(reasons, "length")
	}
	for _, set := range policy.RequiredCharacters {
		if !strings.ContainsAny(password, set) {
			messages = append(messages, fmt.Sprintf("Password should contain at least one character of each: %s.", strings.Join(policy.RequiredCharacters, ", ")))
			reasons = append(reasons, "characters")
			break
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return &Weak{Message: strings.Join(messages, " "), Reasons: reasons}
}
