package config

import (
	"math"
	"time"
)

// MFA is about second factors.
type MFA struct {
	ChallengeExpiry    float64       `env:"GOTRUE_MFA_CHALLENGE_EXPIRY_DURATION" envDefault:"300" desc:"Seconds in which a challenge can be answered, at least 300."`
	FactorExpiry       time.Duration `env:"GOTRUE_MFA_FACTOR_EXPIRY_DURATION" envDefault:"300s" desc:"Lifetime of a factor that was added and never challenged, at least 300s."`
	MaxEnrolledFactors float64       `env:"GOTRUE_MFA_MAX_ENROLLED_FACTORS" envDefault:"10" desc:"Factors that a user may have, verified or not."`
	MaxVerifiedFactors int           `env:"GOTRUE_MFA_MAX_VERIFIED_FACTORS" envDefault:"10" desc:"Verified factors that a user may have."`
	TOTPEnroll         bool          `env:"GOTRUE_MFA_TOTP_ENROLL_ENABLED" envDefault:"true" desc:"Users may add an authenticator app."`
	TOTPVerify         bool          `env:"GOTRUE_MFA_TOTP_VERIFY_ENABLED" envDefault:"true" desc:"Codes of authenticator apps are accepted."`
	PhoneEnroll        bool          `env:"GOTRUE_MFA_PHONE_ENROLL_ENABLED" envDefault:"false" desc:"Users may add a phone as second factor."`
	PhoneVerify        bool          `env:"GOTRUE_MFA_PHONE_VERIFY_ENABLED" envDefault:"false" desc:"Codes sent to a phone are accepted as second factor."`
	PhoneOTPLength     int           `env:"GOTRUE_MFA_PHONE_OTP_LENGTH" envDefault:"6" desc:"Digits of a code sent to a phone, 6 to 10; other values count as 6."`
	PhoneMaxFrequency  time.Duration `env:"GOTRUE_MFA_PHONE_MAX_FREQUENCY" envDefault:"1m" desc:"Shortest time between two codes to the phone of a factor."`
	WebAuthnEnroll     bool          `env:"GOTRUE_MFA_WEB_AUTHN_ENROLL_ENABLED" envDefault:"false" desc:"Users may add a security key as second factor."`
	WebAuthnVerify     bool          `env:"GOTRUE_MFA_WEB_AUTHN_VERIFY_ENABLED" envDefault:"false" desc:"Security keys are accepted as second factor."`
	MaxGuesses         int           `env:"POSTERN_MFA_MAX_GUESSES" envDefault:"5" desc:"Wrong codes after which a challenge is void; 0 for any number, as in Supabase Auth."`
	TOTPCodeReuse      bool          `env:"POSTERN_MFA_TOTP_CODE_REUSE" envDefault:"false" desc:"A code of an authenticator app works as often as wanted while it is shown, as in Supabase Auth."`
}

// Least values, to which lower ones are raised.
const (
	minChallengeExpiry = 300 // seconds
	minFactorExpiry    = 300 * time.Second
)

const maxChallengeExpiry = 366 * 24 * 3600 // seconds

func (m *MFA) check(l *loader) {
	m.FactorExpiry = max(m.FactorExpiry, minFactorExpiry)
	m.PhoneOTPLength = otpLength(m.PhoneOTPLength)
	if !(m.ChallengeExpiry <= maxChallengeExpiry) { // also refuses NaN
		l.fail("GOTRUE_MFA_CHALLENGE_EXPIRY_DURATION", "must be a number of seconds, a year at most")
	}
	m.ChallengeExpiry = max(m.ChallengeExpiry, minChallengeExpiry)
	if !(m.MaxEnrolledFactors >= 0) || math.IsInf(m.MaxEnrolledFactors, 0) {
		l.fail("GOTRUE_MFA_MAX_ENROLLED_FACTORS", "must be a number, 0 or more")
	}
	if m.MaxVerifiedFactors < 0 {
		l.fail("GOTRUE_MFA_MAX_VERIFIED_FACTORS", "must be a number, 0 or more")
	}
	if m.MaxGuesses < 0 {
		l.fail("POSTERN_MFA_MAX_GUESSES", "must be a number, 0 or more")
	}
	if m.PhoneMaxFrequency < 0 {
		l.fail("GOTRUE_MFA_PHONE_MAX_FREQUENCY", "must be a duration, 0 or longer")
	}
}

// Document is what SQL gets of it (sql/functions/core/context.sql). Durations are in seconds.
func (m MFA) Document() map[string]any {
	enroll, verify := []string{}, []string{}
	for _, f := range []struct {
		kind           string
		enroll, verify bool
	}{{"totp", m.TOTPEnroll, m.TOTPVerify}, {"phone", m.PhoneEnroll, m.PhoneVerify}} {
		if f.enroll {
			enroll = append(enroll, f.kind)
		}
		if f.verify {
			verify = append(verify, f.kind)
		}
	}
	return map[string]any{
		"enroll": enroll, "verify": verify, "challenge_expiry": m.ChallengeExpiry, "factor_expiry": m.FactorExpiry.Seconds(),
		"phone_frequency": m.PhoneMaxFrequency.Seconds(), "max_enrolled": m.MaxEnrolledFactors,
		"max_verified": m.MaxVerifiedFactors, "max_guesses": m.MaxGuesses, "code_reuse": m.TOTPCodeReuse,
	}
}
