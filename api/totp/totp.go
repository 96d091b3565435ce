// Package totp makes and checks time-based one-time passwords (RFC 6238) as authenticator apps know them: SHA-1, six
// digits, a new code every 30 seconds (spec/03 section 3).
package totp

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

const (
	secretLength = 20 // bytes, as long as the hash of SHA-1 (RFC 4226 section 4)
	period       = 30 // seconds
	skew         = 1  // steps that a clock may be off, either way
)

// maxIssuer is the longest issuer in bytes of a URL. A QR code of level H holds 1273 bytes: the issuer twice, an
// address of up to 255 bytes, each of them perhaps escaped, and the rest.
const maxIssuer = 180

// ErrIssuer is an issuer that does not fit into a QR code, or none at all.
var ErrIssuer = errors.New("the issuer must have 1 to 180 bytes, as they stand in a URL")

// NewSecret returns a random secret in base32 without padding.
func NewSecret() string {
	secret := make([]byte, secretLength)
	rand.Read(secret) // never fails
	return encoding.EncodeToString(secret)
}

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// CheckIssuer returns ErrIssuer for an issuer that URI does not take.
func CheckIssuer(issuer string) error {
	if issuer == "" || len(url.QueryEscape(issuer)) > maxIssuer {
		return ErrIssuer
	}
	return nil
}

// URI is the key in the form that apps read: otpauth://totp/ISSUER:ACCOUNT?algorithm=SHA1&digits=6&issuer=ISSUER&...
func URI(issuer, account, secret string) string {
	query := url.Values{
		"algorithm": {"SHA1"}, "digits": {"6"}, "issuer": {issuer}, "period": {strconv.Itoa(period)}, "secret": {secret},
	}
	u := url.URL{
		Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + account,
		RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20"), // apps show a plus as it is
	}
	return u.String()
}

// Match returns the time step whose code was given, out of those around a time, the current one first. ok is false for
// a wrong code, and always without a secret, which would make codes that everybody knows. Errors: a secret that is not
// base32.
func Match(secret, code string, at time.Time) (step int64, ok bool, err error) {
	if secret = strings.TrimSpace(secret); secret == "" {
		return 0, false, nil
	}
	now := at.Unix() / period
	for _, step := range []int64{now, now - skew, now + skew} {
		want, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{
			Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
		})
		if err != nil {
			return 0, false, fmt.Errorf("making a code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return step, true, nil
		}
	}
	return 0, false, nil
}
