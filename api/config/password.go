package config

import "strings"

// minPasswordLength is the floor of GOTRUE_PASSWORD_MIN_LENGTH.
const minPasswordLength = 6

// Password is the policy for new passwords. Package password checks it (spec/06 section 6).
type Password struct {
	MinLength          int           `env:"GOTRUE_PASSWORD_MIN_LENGTH" envDefault:"6" desc:"Shortest password in bytes; values below 6 count as 6."`
	RequiredCharacters CharacterSets `env:"GOTRUE_PASSWORD_REQUIRED_CHARACTERS" desc:"Sets of characters, separated by a colon: a password needs one of each; \\: is a colon in a set."`
	Common             bool          `env:"POSTERN_PASSWORD_COMMON_ENABLED" envDefault:"false" desc:"Refuse the most common passwords, from a list in the program: nothing leaves the machine."`
	CommonFile         string        `env:"POSTERN_PASSWORD_COMMON_FILE" desc:"File with passwords to refuse, one on each line, in upper or lower case."`
	HIBP               HIBP
}

// HIBP is about passwords known from breaches, which Have I Been Pwned collects.
type HIBP struct {
	Enabled             bool    `env:"GOTRUE_PASSWORD_HIBP_ENABLED" envDefault:"false" desc:"Refuse passwords known from breaches: the first five digits of a SHA-1 hash are sent to Have I Been Pwned."`
	FailClosed          bool    `env:"GOTRUE_PASSWORD_HIBP_FAIL_CLOSED" envDefault:"false" desc:"Refuse new passwords while Have I Been Pwned does not answer."`
	UserAgent           string  `env:"GOTRUE_PASSWORD_HIBP_USER_AGENT" envDefault:"https://github.com/supabase/gotrue" desc:"User-Agent of these questions."`
	URL                 string  `env:"POSTERN_PASSWORD_HIBP_URL" envDefault:"https://api.pwnedpasswords.com" desc:"Base URL of these questions, for a mirror of your own."`
	BloomEnabled        bool    `env:"GOTRUE_PASSWORD_HIBP_BLOOM_ENABLED" envDefault:"false" desc:"Remember answers in a Bloom filter in memory."`
	BloomItems          uint    `env:"GOTRUE_PASSWORD_HIBP_BLOOM_ITEMS" envDefault:"100000" desc:"Hashes that it remembers; then it begins anew. An answer has about a thousand."`
	BloomFalsePositives float64 `env:"GOTRUE_PASSWORD_HIBP_BLOOM_FALSE_POSITIVES" envDefault:"0.0000099" desc:"Share of good passwords that it takes for known ones."`
}

// maxBloomItems keeps the filter below 1 GiB.
const maxBloomItems = 100_000_000

func (p *Password) check(l *loader) {
	p.MinLength = max(p.MinLength, minPasswordLength)
	h := p.HIBP
	if !h.Enabled {
		return
	}
	if !isAbsoluteURL(h.URL) {
		l.fail("POSTERN_PASSWORD_HIBP_URL", "must be an absolute URL such as https://api.pwnedpasswords.com")
	}
	if h.BloomEnabled && (h.BloomItems < 1 || h.BloomItems > maxBloomItems) {
		l.fail("GOTRUE_PASSWORD_HIBP_BLOOM_ITEMS", "must be a number from 1 to %d", maxBloomItems)
	}
	if f := h.BloomFalsePositives; h.BloomEnabled && !(f > 1e-12 && f < 1) {
		l.fail("GOTRUE_PASSWORD_HIBP_BLOOM_FALSE_POSITIVES", "must be a share above 0 and below 1")
	}
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
