package password

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
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
	Reasons []string // length, characters, pwned
}

func (w *Weak) Error() string { return w.Message }

// Policy tells which new passwords are accepted. Any number of goroutines may share it.
type Policy struct {
	cfg      config.Password
	common   map[string]bool // nil: off
	breaches *breaches       // nil: off
	log      *slog.Logger
}

// NewPolicy makes the policy of the settings. It fails when POSTERN_PASSWORD_COMMON_FILE cannot be read.
func NewPolicy(cfg config.Password, log *slog.Logger) (*Policy, error) {
	p := &Policy{cfg: cfg, log: log}
	if cfg.CommonEnabled {
		var err error
		if p.common, err = commonPasswords(cfg.CommonFile); err != nil {
			return nil, err
		}
	}
	if cfg.HIBP.Enabled {
		p.breaches = newBreaches(cfg.HIBP)
	}
	return p, nil
}

// Via returns the same policy with another way to HaveIBeenPwned.org, for tests that stand in for it.
func (p *Policy) Via(transport http.RoundTripper) *Policy {
	other := *p
	other.breaches = newBreaches(p.cfg.HIBP)
	other.breaches.client.Transport = transport
	return &other
}

// Check returns TooLong or *Weak unless the policy allows the password; their texts are the wire's (spec/00 section 4).
// Other errors: *Unchecked, and that ctx ended.
func (p *Policy) Check(ctx context.Context, password string) error {
	if len(password) > MaxLength {
		return TooLong{}
	}
	var messages, reasons []string
	if len(password) < p.cfg.MinLength {
		messages = append(messages, fmt.Sprintf("Password should be at least %d characters.", p.cfg.MinLength))
		reasons = append(reasons, "length")
	}
	for _, set := range p.cfg.RequiredCharacters {
		if !strings.ContainsAny(password, set) {
			messages = append(messages, fmt.Sprintf("Password should contain at least one character of each: %s.", strings.Join(p.cfg.RequiredCharacters, ", ")))
			reasons = append(reasons, "characters")
			break
		}
	}
	isKnown, err := p.isKnown(ctx, password)
	if err != nil {
		return err
	}
	if isKnown {
		messages = append(messages, "Password is known to be weak and easy to guess, please choose a different one.")
		reasons = append(reasons, "pwned")
	}
	if len(reasons) == 0 {
		return nil
	}
	return &Weak{Message: strings.Join(messages, " "), Reasons: reasons}
}

// isKnown tells whether a password is common or was in a breach. The network is asked last.
func (p *Policy) isKnown(ctx context.Context, password string) (bool, error) {
	switch {
	case p.common[strings.ToLower(password)]:
		return true, nil
	case p.breaches == nil:
		return false, nil
	}
	isKnown, err := p.breaches.know(ctx, password)
	switch {
	case err == nil:
		return isKnown, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case p.cfg.HIBP.FailClosed:
		return false, &Unchecked{err}
	}
	p.log.Warn("a password was not looked up at HaveIBeenPwned.org, and is let through", "error", err)
	return false, nil
}
