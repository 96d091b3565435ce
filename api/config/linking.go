package config

import "slices"

// Linking is about identities at providers whose verified address belongs to an account already.
type Linking struct {
	Policy string `env:"POSTERN_LINKING_POLICY" envDefault:"verified" desc:"What somebody new from a provider gets whose verified address an account has: verified links the identity to that account; never makes an account of its own, without the address; ask refuses, until the person signs in as before and links the identity."`
}

func (s *Linking) check(l *loader) {
	if !slices.Contains([]string{"verified", "never", "ask"}, s.Policy) {
		l.fail("POSTERN_LINKING_POLICY", "must be verified, never or ask")
	}
}

// warnings names what a policy needs.
func (s *Linking) warnings(security Security) []string {
	if s.Policy == "ask" && !security.ManualLinking {
		return []string{"POSTERN_LINKING_POLICY is ask, but GOTRUE_SECURITY_MANUAL_LINKING_ENABLED is false: " +
			"people who are asked to link an identity cannot"}
	}
	return nil
}
