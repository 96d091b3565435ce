// Package input checks the shape of what clients send (spec/00 section 7).
package input

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Error is input of the wrong shape: 400 validation_failed. Its text is the message for the wire.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func refuse(message string) error { return &Error{message} }

// maxEmailLength in bytes.
const maxEmailLength = 255

var emailForm = regexp.MustCompile("^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+" +
	"@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$")

// Email checks an e-mail address and returns it in lower case. A domain of a single label is enough.
func Email(address string) (string, error) {
	switch {
	case address == "":
		return "", refuse("An email address is required")
	case len(address) > maxEmailLength:
		return "", refuse("An email address is too long")
	case !emailForm.MatchString(address):
		return "", refuse("Unable to validate email address: invalid format")
	}
	return strings.ToLower(address), nil
}

var phoneForm = regexp.MustCompile(`^[1-9][0-9]{1,14}$`)

// Phone checks a phone number (E.164) and returns its digits. One leading + and all spaces are dropped.
func Phone(number string) (string, error) {
	number = strings.ReplaceAll(strings.TrimPrefix(number, "+"), " ", "")
	if !phoneForm.MatchString(number) {
		return "", refuse("Invalid phone number format (E.164 required)")
	}
	return number, nil
}

// Length of a code challenge (RFC 7636 section 4.2).
const minChallenge, maxChallenge = 43, 128

var challengeForm = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

// PKCE checks the parameters code_challenge and code_challenge_method (RFC 7636) and returns the method in lower
// case: s256, plain, or nothing when the request has no challenge. The reference notices an unknown method only
// when it stores it, and answers 500.
func PKCE(challenge, method string) (string, error) {
	method = strings.ToLower(method)
	switch {
	case challenge == "" && method == "":
		return "", nil
	case challenge == "" || method == "":
		return "", refuse("PKCE flow requires code_challenge_method and code_challenge")
	case len(challenge) < minChallenge || len(challenge) > maxChallenge:
		return "", refuse(fmt.Sprintf("code challenge has to be between %d and %d characters", minChallenge, maxChallenge))
	case !challengeForm.MatchString(challenge):
		return "", refuse("code challenge can only contain alphanumeric characters, hyphens, periods, underscores and tildes")
	case method != "s256" && method != "plain":
		return "", refuse("code challenge method has to be s256 or plain")
	}
	return method, nil
}

// UUID reads a UUID in the form with dashes, in any case. What to answer otherwise depends on where it stands.
func UUID(text string) (uuid.UUID, bool) {
	if len(text) != 36 {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(text)
	return id, err == nil
}

// BanDuration reads ban_duration: none, or a duration in Go's syntax such as 24h or -1.5h. It returns the duration,
// and whether there is a ban at all.
func BanDuration(text string) (d time.Duration, isBan bool, err error) {
	if text == "none" {
		return 0, false, nil
	}
	if d, err = time.ParseDuration(text); err != nil {
		return 0, false, refuse("invalid format for ban duration: " + err.Error())
	}
	return d, true, nil
}
