package password

import (
	"context"
	"errors"
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

// Unchecked is a new password that could not be looked up, where the settings refuse it then: 500 unexpected_failure.
type Unchecked struct{ Cause error }

func (u *Unchecked) Error() string {
	return "Unable to perform password strength check with HaveIBeenPwned.org."
}

// Unwrap returns what went wrong, which is for the log.
func (u *Unchecked) Unwrap() error { return u.Cause }

// Policy decides which new passwords are good enough (spec/06 section 6). Any number of goroutines may share it.
type Policy struct {
	rules    config.Password
	common   *commonPasswords
	breaches *breaches // nil: not asked
	log      *slog.Logger
}

// NewPolicy reads the list of the settings. client asks Have I Been Pwned. Errors: those of the file.
func NewPolicy(rules config.Password, client *http.Client, log *slog.Logger) (*Policy, error) {
	common, err := newCommonPasswords(rules.Common, rules.CommonFile)
	if err != nil {
		return nil, err
	}
	p := &Policy{rules: rules, common: common, log: log}
	if rules.HIBP.Enabled {
		p.breaches = newBreaches(rules.HIBP, client)
	}
	return p, nil
}

// Strength returns TooLong, *Weak or *Unchecked unless the policy allows the password; their texts are the wire's. It may
// ask Have I Been Pwned, which takes up to five seconds: hold no connection of the database. Other errors: those of ctx.
func (p *Policy) Strength(ctx context.Context, password string) error {
	return p.check(ctx, password, true)
}

// Weakness is what Strength would say about a password that somebody signs in with; nil for a good one, and for one that
// could not be looked up. While Have I Been Pwned does not answer, it waits for that once in 30 seconds, not each time.
func (p *Policy) Weakness(ctx context.Context, password string) *Weak {
	weak, _ := p.check(ctx, password, false).(*Weak)
	return weak
}

// check is Strength. insists: ask Have I Been Pwned also when it just failed.
func (p *Policy) check(ctx context.Context, password string, insists bool) error {
	if len(password) > MaxLength {
		return TooLong{}
	}
	var messages, reasons []string
	if len(password) < p.rules.MinLength {
		messages = append(messages, fmt.Sprintf("Password should be at least %d characters.", p.rules.MinLength))
		reasons = append(reasons, "length")
	}
	for _, set := range p.rules.RequiredCharacters {
		if !strings.ContainsAny(password, set) {
			messages = append(messages, fmt.Sprintf("Password should contain at least one character of each: %s.", strings.Join(p.rules.RequiredCharacters, ", ")))
			reasons = append(reasons, "characters")
			break
		}
	}
	isKnown, err := p.isKnown(ctx, password, insists)
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

// isKnown tells whether a password is on a list or in a breach.
func (p *Policy) isKnown(ctx context.Context, password string, insists bool) (bool, error) {
	if p.common.contain(password) {
		return true, nil
	}
	if p.breaches == nil {
		return false, nil
	}
	isKnown, err := p.breaches.contain(ctx, password, insists)
	switch {
	case err == nil:
		return isKnown, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, errPaused):
		return false, nil // which the log has said
	case p.rules.HIBP.FailClosed:
		return false, &Unchecked{err}
	}
	p.log.Warn("a password could not be looked up in breaches", "error", err)
	return false, nil
}
