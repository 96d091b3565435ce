package config

import (
	"fmt"
	"strings"
	"time"
)

// External is about the ways to sign in.
type External struct {
	EmailEnabled             bool          `env:"GOTRUE_EXTERNAL_EMAIL_ENABLED" envDefault:"true" desc:"People may sign up and in with an e-mail address."`
	MagicLinkEnabled         bool          `env:"GOTRUE_EXTERNAL_EMAIL_MAGIC_LINK_ENABLED" envDefault:"true" desc:"People may sign in with a mailed link or code."`
	EmailAuthorizedAddresses []string      `env:"GOTRUE_EXTERNAL_EMAIL_AUTHORIZED_ADDRESSES" desc:"Only these addresses get mail, comma-separated; empty means all."`
	PhoneEnabled             bool          `env:"GOTRUE_EXTERNAL_PHONE_ENABLED" envDefault:"false" desc:"People may sign up and in with a phone number."`
	AnonymousUsersEnabled    bool          `env:"GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED" envDefault:"false" desc:"Anonymous accounts are allowed."`
	FlowStateExpiry          time.Duration `env:"GOTRUE_EXTERNAL_FLOW_STATE_EXPIRY_DURATION" envDefault:"300s" desc:"Lifetime of PKCE codes and OAuth flows, at least 300s."`
	RedirectURL              string        `env:"GOTRUE_EXTERNAL_REDIRECTURL" desc:"Every OAuth callback redirects here, whatever was asked for."`
}

func (e *External) check(*loader) { e.FlowStateExpiry = max(e.FlowStateExpiry, 300*time.Second) }

// ProviderNames are the OAuth providers that settings can name, as on the wire.
var ProviderNames = []string{
	"apple", "azure", "bitbucket", "discord", "facebook", "figma", "fly", "github", "gitlab", "google", "kakao", "keycloak",
	"linkedin", "linkedin_oidc", "notion", "slack", "slack_oidc", "snapchat", "spotify", "twitch", "twitter",
	"vercel_marketplace", "workos", "x", "zoom",
}

// Provider is one OAuth provider. Its variables are GOTRUE_EXTERNAL_<PROVIDER>_<NAME>.
type Provider struct {
	Enabled        bool     `env:"ENABLED" envDefault:"false" desc:"People may sign in with this provider."`
	ClientID       []string `env:"CLIENT_ID" desc:"Client ids, comma-separated: the first one starts flows, all are accepted in ID tokens."`
	Secret         Secret   `env:"SECRET" desc:"Client secret."`
	RedirectURI    string   `env:"REDIRECT_URI" desc:"Callback URL registered with the provider: this server's public URL and /callback."`
	URL            string   `env:"URL" desc:"Takes the place of https:// and host in all addresses of the provider, for instance where it is self-hosted."`
	APIURL         string   `env:"API_URL" desc:"Has no effect, as in Supabase Auth: URL counts for the provider's API as well."`
	EmailOptional  bool     `env:"EMAIL_OPTIONAL" envDefault:"false" desc:"Accept people whose account there has no e-mail address."`
	SkipNonceCheck bool     `env:"SKIP_NONCE_CHECK" envDefault:"false" desc:"Do not check the nonce of ID tokens."`
}

func providerPrefix(name string) string { return "GOTRUE_EXTERNAL_" + strings.ToUpper(name) + "_" }

// providerWarnings names what providers lack that are switched on: whoever chooses one is refused, except with an ID token.
func (c *Config) providerWarnings() []string {
	var w []string
	for _, name := range ProviderNames {
		p := c.Providers[name]
		if !p.Enabled {
			continue
		}
		for _, s := range []struct {
			name      string
			isMissing bool
		}{
			{"CLIENT_ID", len(p.ClientID) == 0 || p.ClientID[0] == ""},
			{"SECRET", p.Secret == ""},
			{"REDIRECT_URI", p.RedirectURI == ""},
			{"URL", p.URL == "" && name == "keycloak"},
		} {
			if s.isMissing {
				w = append(w, fmt.Sprintf("%s%s is not set: nobody can be sent to this provider", providerPrefix(name), s.name))
			}
		}
	}
	return w
}

// Captcha is about proof of a human before sign-in.
type Captcha struct {
	Enabled  bool          `env:"GOTRUE_SECURITY_CAPTCHA_ENABLED" envDefault:"false" desc:"Public endpoints that create or open accounts demand a captcha."`
	Provider string        `env:"GOTRUE_SECURITY_CAPTCHA_PROVIDER" envDefault:"hcaptcha" desc:"hcaptcha or turnstile."`
	Secret   Secret        `env:"GOTRUE_SECURITY_CAPTCHA_SECRET" desc:"Secret of the captcha provider."`
	Timeout  time.Duration `env:"GOTRUE_SECURITY_CAPTCHA_TIMEOUT" envDefault:"10s" desc:"Time limit of a question to the captcha provider."`
}

func (c *Captcha) check(l *loader) {
	if !c.Enabled {
		return
	}
	if c.Provider != "hcaptcha" && c.Provider != "turnstile" {
		l.fail("GOTRUE_SECURITY_CAPTCHA_PROVIDER", "must be hcaptcha or turnstile")
	}
	c.Secret = Secret(strings.TrimSpace(string(c.Secret)))
	if c.Secret == "" {
		l.failSecret("GOTRUE_SECURITY_CAPTCHA_SECRET", "is needed when GOTRUE_SECURITY_CAPTCHA_ENABLED is true")
	}
}
