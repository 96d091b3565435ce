package config

import (
	"slices"
	"strings"
	"time"
)

// ProviderTokens is about tokens of OAuth providers that outlive the sign-in.
type ProviderTokens struct {
	Providers    []string      `env:"POSTERN_PROVIDER_TOKENS" desc:"Providers whose tokens are kept, encrypted, for the user and for SQL, comma-separated; * means all. Empty: none are."`
	RefreshAhead time.Duration `env:"POSTERN_PROVIDER_TOKENS_REFRESH_AHEAD" envDefault:"0s" desc:"Kept tokens are refreshed at the provider this long before they expire; 0 means when the user asks for one."`
}

// Keeps tells whether the tokens of a provider are kept.
func (p *ProviderTokens) Keeps(provider string) bool {
	return slices.Contains(p.Providers, provider) || slices.Contains(p.Providers, "*")
}

func (p *ProviderTokens) check(l *loader, e Encryption) {
	for i, name := range p.Providers {
		p.Providers[i] = strings.ToLower(strings.TrimSpace(name))
		if name := p.Providers[i]; name != "*" && !strings.HasPrefix(name, "custom:") && !slices.Contains(ProviderNames, name) {
			l.fail("POSTERN_PROVIDER_TOKENS", "names a provider that there is not: %s", name)
		}
	}
	if len(p.Providers) > 0 && !e.Encrypt {
		l.fail("POSTERN_PROVIDER_TOKENS", "needs GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT and a key: tokens are only kept encrypted")
	}
	if p.RefreshAhead < 0 {
		l.fail("POSTERN_PROVIDER_TOKENS_REFRESH_AHEAD", "must be 0 or longer")
	}
}
