package config

import "strings"

const (
	minPasswordLength = 6           // the floor of GOTRUE_PASSWORD_MIN_LENGTH
	maxBloomItems     = 100_000_000 // about 300 MB at the usual rate of false positives
)

// Password is the policy for new passwords. Package password checks it (spec/06 section 6).
type Password struct {
	MinLength          int           `env:"GOTRUE_PASSWORD_MIN_LENGTH" envDefault:"6" desc:"Shortest password in bytes; values below 6 count as 6."`
	RequiredCharacters CharacterSets `env:"GOTRUE_PASSWORD_REQUIRED_CHARACTERS" desc:"Sets of characters, separated by a colon: a password needs one of each; \\: is a colon in a set."`
	HIBP               HIBP
	CommonEnabled      bool   `env:"POSTERN_PASSWORD_COMMON_ENABLED" envDefault:"false" desc:"Refuse passwords of a built-in list of common ones; asks nobody."`
	CommonFile         string `env:"POSTERN_PASSWORD_COMMON_FILE" desc:"File of further common passwords, one a line, without regard to upper and lower case; read at start."`
}

// HIBP is the question to HaveIBeenPwned.org whether a password is known from a breach.
type HIBP struct {
	Enabled        bool    `env:"GOTRUE_PASSWORD_HIBP_ENABLED" envDefault:"false" desc:"Refuse passwords that HaveIBeenPwned.org knows; it is told five digits of a hash."`
	FailClosed     bool    `env:"GOTRUE_PASSWORD_HIBP_FAIL_CLOSED" envDefault:"false" desc:"Refuse every new password while HaveIBeenPwned.org does not answer."`
	UserAgent      string  `env:"GOTRUE_PASSWORD_HIBP_USER_AGENT" envDefault:"https://github.com/supabase/gotrue" desc:"User agent of questions to HaveIBeenPwned.org."`
	BloomEnabled   bool    `env:"GOTRUE_PASSWORD_HIBP_BLOOM_ENABLED" envDefault:"false" desc:"Remember which passwords HaveIBeenPwned.org knew, in a Bloom filter."`
	BloomItems     uint    `env:"GOTRUE_PASSWORD_HIBP_BLOOM_ITEMS" envDefault:"100000" desc:"Passwords that the filter remembers at most."`
	FalsePositives float64 `env:"GOTRUE_PASSWORD_HIBP_BLOOM_FALSE_POSITIVES" envDefault:"0.0000099" desc:"Share of good passwords that a full filter takes for known ones."`
}

func (p *Password) check(l *loader) {
	p.MinLength = max(p.MinLength, minPasswordLength)
	if !p.HIBP.BloomEnabled {
		return
	}
	if n := p.HIBP.BloomItems; n < 1 || n > maxBloomItems {
		l.fail("GOTRUE_PASSWORD_HIBP_BLOOM_ITEMS", "must be from 1 to %d", maxBloomItems)
	}
	if f := p.HIBP.FalsePositives; !(f >= 1e-12 && f < 1) { // not a number is neither
		l.fail("GOTRUE_PASSWORD_HIBP_BLOOM_FALSE_POSITIVES", "must be at least 1e-12 and less than 1")
	}
}

func (p *Password) warnings() (w []string) {
	if p.CommonFile != "" && !p.CommonEnabled {
		w = append(w, "POSTERN_PASSWORD_COMMON_FILE is set without POSTERN_PASSWORD_COMMON_ENABLED: it has no effect")
	}
	if p.HIBP.FailClosed && !p.HIBP.Enabled {
		w = append(w, "GOTRUE_PASSWORD_HIBP_FAIL_CLOSED is set without GOTRUE_PASSWORD_HIBP_ENABLED: it has no effect")
	}
	return w
}

// CharacterSets are sets of characters; a good password has at least one of each.
type CharacterSets []string

// UnmarshalText reads sets separated by ":", in which "\:" is a colon. Empty sets are skipped.
func (c *CharacterSets) UnmarshalText(text []byte) error {
	const colon = "\x00" // cannot be part of an environment variable
	for set := range strings.SplitSeq(strings.ReplaceAll(string(text), `\:`, colon), ":") {
		if set != "" {
			*c = append(*c, strings.ReplaceAll(set, colon, ":"))
		}
	}
	return nil
}
