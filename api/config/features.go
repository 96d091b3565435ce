package config

import (
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"strings"
	"time"
)

// Web3 is about signing in with a wallet.
type Web3 struct {
	SolanaEnabled    bool          `env:"GOTRUE_EXTERNAL_WEB3_SOLANA_ENABLED" envDefault:"false" desc:"People may sign in with a Solana wallet."`
	SolanaValidity   time.Duration `env:"GOTRUE_EXTERNAL_WEB3_SOLANA_MAXIMUM_VALIDITY_DURATION" envDefault:"10m" desc:"A signed message is accepted for at most this long."`
	EthereumEnabled  bool          `env:"GOTRUE_EXTERNAL_WEB3_ETHEREUM_ENABLED" envDefault:"false" desc:"People may sign in with an Ethereum wallet."`
	EthereumValidity time.Duration `env:"GOTRUE_EXTERNAL_WEB3_ETHEREUM_MAXIMUM_VALIDITY_DURATION" envDefault:"10m" desc:"A signed message is accepted for at most this long."`
}

// OIDC is about ID tokens of providers.
type OIDC struct {
	CacheTTL       time.Duration `env:"GOTRUE_EXTERNAL_OIDC_PROVIDER_CACHE_TTL" envDefault:"1h" desc:"How long discovery documents and keys of providers are kept."`
	AllowedIssuers []string      `env:"GOTRUE_EXTERNAL_ALLOWED_ID_TOKEN_ISSUERS" envDefault:"https://appleid.apple.com,https://accounts.google.com" desc:"Issuers whose ID tokens are accepted without the name of a provider, comma-separated."`
	ClientIDs      []string      `env:"POSTERN_ALLOWED_ID_TOKEN_CLIENT_IDS" desc:"Client ids accepted together with GOTRUE_EXTERNAL_ALLOWED_ID_TOKEN_ISSUERS, comma-separated; empty means any that a request names."`
	IOSBundleID    string        `env:"GOTRUE_EXTERNAL_IOS_BUNDLE_ID" desc:"One more audience of Apple's ID tokens."`
}

// warnings names the issuers whose tokens for any application are good here.
func (o *OIDC) warnings() []string {
	var list []string
	for _, iss := range o.AllowedIssuers {
		switch iss {
		case "https://appleid.apple.com", "https://account.apple.com", "https://accounts.google.com":
			continue // the client ids are those of the provider
		}
		if len(o.ClientIDs) == 0 {
			list = append(list, "GOTRUE_EXTERNAL_ALLOWED_ID_TOKEN_ISSUERS has "+iss+
				": ID tokens that it made for any application are accepted; set POSTERN_ALLOWED_ID_TOKEN_CLIENT_IDS")
		}
	}
	return list
}

// CustomOAuth is about providers that administrators add.
type CustomOAuth struct {
	Enabled      bool   `env:"GOTRUE_CUSTOM_OAUTH_ENABLED" envDefault:"true" desc:"Administrators may add OAuth providers."`
	MaxProviders int    `env:"GOTRUE_CUSTOM_OAUTH_MAX_PROVIDERS" envDefault:"0" desc:"How many; 0 means any number."`
	ExternalURL  string `env:"GOTRUE_CUSTOM_OAUTH_EXTERNAL_URL" desc:"Base of their callback URL; empty means API_EXTERNAL_URL."`
}

func (c *CustomOAuth) check(l *loader) {
	if c.ExternalURL != "" && !isAbsoluteURL(c.ExternalURL) {
		l.fail("GOTRUE_CUSTOM_OAUTH_EXTERNAL_URL", "must be an absolute URL such as https://auth.example.com")
	}
	if c.MaxProviders < 0 {
		l.fail("GOTRUE_CUSTOM_OAUTH_MAX_PROVIDERS", "must be 0 or more")
	}
}

// OAuthServer is about being a provider for others.
type OAuthServer struct {
	Enabled             bool          `env:"GOTRUE_OAUTH_SERVER_ENABLED" envDefault:"false" desc:"Other applications may sign their users in through this server (OAuth 2.1)."`
	DynamicRegistration bool          `env:"GOTRUE_OAUTH_SERVER_ALLOW_DYNAMIC_REGISTRATION" envDefault:"false" desc:"Applications may register themselves."`
	AuthorizationPath   string        `env:"GOTRUE_OAUTH_SERVER_AUTHORIZATION_PATH" desc:"Page that asks the user for consent, relative to the site URL."`
	AuthorizationTTL    time.Duration `env:"GOTRUE_OAUTH_SERVER_AUTHORIZATION_TTL" envDefault:"10m" desc:"How long the user may take."`
	DefaultScope        string        `env:"GOTRUE_OAUTH_SERVER_DEFAULT_SCOPE" envDefault:"email" desc:"Scope of a request that names none."`
}

// SAML is about single sign-on.
type SAML struct {
	Enabled                  bool          `env:"GOTRUE_SAML_ENABLED" envDefault:"false" desc:"People may sign in through a SAML identity provider."`
	PrivateKey               Secret        `env:"GOTRUE_SAML_PRIVATE_KEY" desc:"Key of this service provider: base64 of a PKCS#1 RSA key of 2048 bits or more."`
	PrivateKeyNext           Secret        `env:"GOTRUE_SAML_PRIVATE_KEY_NEXT" desc:"Key that will follow the current one: base64 of a PKCS#1 RSA key."`
	AllowEncryptedAssertions bool          `env:"GOTRUE_SAML_ALLOW_ENCRYPTED_ASSERTIONS" envDefault:"false" desc:"Assertions may be encrypted for that key."`
	RelayStateValidity       time.Duration `env:"GOTRUE_SAML_RELAY_STATE_VALIDITY_PERIOD" envDefault:"2m" desc:"How long the user may take at the identity provider."`
	ExternalURL              string        `env:"GOTRUE_SAML_EXTERNAL_URL" desc:"Public base URL for SAML; empty means API_EXTERNAL_URL."`
}

// check refuses what would fail later, and only when SAML is on, as the reference does.
func (s *SAML) check(l *loader) {
	if !s.Enabled {
		return
	}
	checkSAMLKey(l, "GOTRUE_SAML_PRIVATE_KEY", "SAML private key", s.PrivateKey)
	if s.PrivateKeyNext != "" {
		checkSAMLKey(l, "GOTRUE_SAML_PRIVATE_KEY_NEXT", "SAML next private key", s.PrivateKeyNext)
	}
	if s.RelayStateValidity < 0 {
		l.fail("GOTRUE_SAML_RELAY_STATE_VALIDITY_PERIOD", "must be 0 or longer")
	}
	if _, err := url.ParseRequestURI(s.ExternalURL); s.ExternalURL != "" && err != nil {
		l.fail("GOTRUE_SAML_EXTERNAL_URL", "must be an absolute URL such as https://auth.example.com")
	}
}

func checkSAMLKey(l *loader, name, what string, key Secret) {
	der, err := base64.StdEncoding.DecodeString(string(key))
	if err != nil {
		l.failSecret(name, "is refused: %s not in standard Base64 format", what)
		return
	}
	private, err := x509.ParsePKCS1PrivateKey(der)
	switch {
	case err != nil:
		l.failSecret(name, "is refused: %s not in PKCS#1 format", what)
	case private.E != 65537:
		l.failSecret(name, "is refused: %s should use the 65537 (0x10001) RSA public exponent", what)
	case private.N.BitLen() < 2048:
		l.failSecret(name, "is refused: %s must be at least RSA 2048", what)
	}
}

// Passkey is about signing in with passkeys.
type Passkey struct {
	Enabled    bool `env:"GOTRUE_PASSKEY_ENABLED" envDefault:"false" desc:"People may sign in with a passkey."`
	MaxPerUser int  `env:"GOTRUE_PASSKEY_MAX_PASSKEYS_PER_USER" envDefault:"10" desc:"Passkeys that a user may have."`
}

// WebAuthn is about passkeys and security keys.
type WebAuthn struct {
	RPID            string        `env:"RP_ID" long:"GOTRUE_WEBAUTHN_RP_ID" desc:"Domain that passkeys and security keys belong to."`
	RPDisplayName   string        `env:"GOTRUE_WEBAUTHN_RP_DISPLAY_NAME" desc:"Name that browsers show."`
	RPOrigins       []string      `env:"GOTRUE_WEBAUTHN_RP_ORIGINS" desc:"Origins of the pages that may use them, comma-separated."`
	ChallengeExpiry time.Duration `env:"GOTRUE_WEBAUTHN_CHALLENGE_EXPIRY_DURATION" envDefault:"5m" desc:"How long a challenge can be answered."`
}

// warnings names what passkeys and security keys need.
func (w *WebAuthn) warnings() []string {
	var list []string
	for _, s := range settingsOf(w, "") {
		if s.Value.IsZero() {
			list = append(list, s.Name+" is not set: passkeys and security keys need it")
		}
	}
	return list
}

// Experimental holds settings that may change.
type Experimental struct {
	CursorPagination bool           `env:"GOTRUE_EXPERIMENTAL_CURSOR_PAGINATION_ENABLED" envDefault:"false" desc:"GET /admin/users without page pages by cursor."`
	OwnDomains       []string       `env:"GOTRUE_EXPERIMENTAL_PROVIDERS_WITH_OWN_LINKING_DOMAIN" desc:"Deprecated: providers, comma-separated, each with a linking domain of its own."`
	LinkingDomains   LinkingDomains `env:"GOTRUE_EXPERIMENTAL_PROVIDER_LINKING_DOMAINS" desc:"Accounts of providers link by address only within a domain: provider=domain pairs, comma-separated; the others are in one domain."`
	SCIM             bool           `env:"GOTRUE_EXPERIMENTAL_SCIM_ENABLED" envDefault:"false" desc:"Identity providers may manage users by SCIM."`
	EmailIdentity    bool           `env:"GOTRUE_EXPERIMENTAL_CREATE_EMAIL_IDENTITY_ON_PASSWORD_SET_ENABLED" envDefault:"false" desc:"A user of a provider who sets a password gets an e-mail identity as well."`
}

// check merges the deprecated list into the pairs, which come first.
func (e *Experimental) check(*loader) {
	for _, provider := range e.OwnDomains {
		provider = strings.TrimSpace(provider)
		if provider == "" {
			continue
		}
		if e.LinkingDomains == nil {
			e.LinkingDomains = LinkingDomains{}
		}
		if _, ok := e.LinkingDomains[provider]; !ok {
			e.LinkingDomains[provider] = provider
		}
	}
}

// LinkingDomains are the linking domains of providers that are not in the default one.
type LinkingDomains map[string]string

// UnmarshalText reads provider=domain pairs, separated by commas.
func (d *LinkingDomains) UnmarshalText(text []byte) error {
	domains := LinkingDomains{}
	for pair := range strings.SplitSeq(string(text), ",") {
		provider, domain, ok := strings.Cut(pair, "=")
		provider, domain = strings.TrimSpace(provider), strings.TrimSpace(domain)
		switch {
		case !ok:
			return wantError(`has an invalid provider linking domain "` + pair + `", expected format "provider=domain"`)
		case provider == "" || domain == "":
			return wantError(`has an invalid provider linking domain "` + pair + `", provider and domain must be non-empty`)
		}
		domains[provider] = domain
	}
	*d = domains
	return nil
}

// unavailable lists the settings that switch on what is not there yet. What would promise a protection is not
// among them: it stops the start.
func (c *Config) unavailable() []string {
	var names []string
	for _, f := range []struct {
		name string
		isOn bool
	}{
		{"GOTRUE_SAML_ENABLED", c.SAML.Enabled},
		{"GOTRUE_PASSKEY_ENABLED", c.Passkey.Enabled},
		{"GOTRUE_MFA_WEB_AUTHN_ENROLL_ENABLED", c.MFA.WebAuthnEnroll},
		{"GOTRUE_MFA_WEB_AUTHN_VERIFY_ENABLED", c.MFA.WebAuthnVerify},
		{"GOTRUE_EXTERNAL_WEB3_SOLANA_ENABLED", c.Web3.SolanaEnabled},
		{"GOTRUE_EXTERNAL_WEB3_ETHEREUM_ENABLED", c.Web3.EthereumEnabled},
		{"GOTRUE_OAUTH_SERVER_ENABLED", c.OAuthServer.Enabled},
		{"GOTRUE_EXPERIMENTAL_SCIM_ENABLED", c.Experimental.SCIM},
	} {
		if f.isOn {
			names = append(names, f.name)
		}
	}
	return names
}
