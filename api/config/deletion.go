package config

import (
	"slices"
	"time"
)

// Deletion is about users who delete their own account (docs/http-additions.md).
type Deletion struct {
	Mode        string        `env:"POSTERN_USER_DELETION" envDefault:"off" desc:"Whether users may delete their own account (DELETE /user): off; soft keeps the row without what identifies the user; hard removes it."`
	ProofWithin time.Duration `env:"POSTERN_USER_DELETION_PROOF_WITHIN" envDefault:"10m" desc:"Deleting takes a sign-in or a second factor of the session within this time, or the code of GET /reauthenticate; 0 means always the code."`
}

// IsOn tells whether users may delete their account.
func (d *Deletion) IsOn() bool { return d.Mode != "off" }

// IsSoft tells whether the row stays.
func (d *Deletion) IsSoft() bool { return d.Mode == "soft" }

func (d *Deletion) check(l *loader) {
	if !slices.Contains([]string{"off", "soft", "hard"}, d.Mode) {
		l.fail("POSTERN_USER_DELETION", "must be off, soft or hard")
	}
	if d.ProofWithin < 0 {
		l.fail("POSTERN_USER_DELETION_PROOF_WITHIN", "must be 0 or longer")
	}
	if !d.IsOn() && l.isSet("POSTERN_USER_DELETION_PROOF_WITHIN") {
		l.fail("POSTERN_USER_DELETION_PROOF_WITHIN", "has no effect while POSTERN_USER_DELETION is off")
	}
}
