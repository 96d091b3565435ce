// Package config reads the settings of the server from environment variables.
//
// Names, types and defaults are those of spec/06-configuration.md; docs/configuration.md lists what is
// supported. There is one struct per concern. Each field carries its full variable name in the tag `env`,
// its default in `envDefault`, a sentence for the documentation in `desc`, and, where the reference looks
// up another name first, that name in `long`.
package config

import (
	"fmt"
	"log/slog"
	"reflect"

	"github.com/postern-auth/postern/api/mail"
)

// Config holds all settings. It does not change after Load. The tags are the headings of the documentation.
type Config struct {
	API            API            `title:"HTTP"`
	Site           Site           `title:"Redirects"`
	DB             Database       `title:"Database"`
	Maintenance    Maintenance    `title:"Maintenance"`
	IndexWorker    IndexWorker    `title:"Indexes"`
	Log            Log            `title:"Log"`
	Metrics        Metrics        `title:"Metrics"`
	Tracing        Tracing        `title:"Tracing"`
	Profiler       Profiler       `title:"Profiler"`
	Reloading      Reloading      `title:"Live reload"`
	JWT            JWT            `title:"Access tokens"`
	Sessions       Sessions       `title:"Sessions"`
	Security       Security       `title:"Refresh tokens and account changes"`
	Deletion       Deletion       `title:"Users who delete their account"`
	Encryption     Encryption     `title:"Encryption in the database"`
	External       External       `title:"Ways to sign in"`
	Password       Password       `title:"Passwords"`
	Mailer         Mailer         `title:"Mail"`
	Links          Links          `title:"Links in mails"`
	Notify         Notifications  `title:"Mails about changes"`
	SMTP           SMTP           `title:"Mail frequency"`
	Mail           mail.Settings  `title:"Mail server and texts"`
	MailCheck      MailCheck      `title:"Checks of mail addresses"`
	SMS            SMS            `title:"Text messages"`
	MFA            MFA            `title:"Second factors"`
	Passkey        Passkey        `title:"Passkeys"`
	WebAuthn       WebAuthn       `title:"Passkeys and security keys"`
	Web3           Web3           `title:"Wallets"`
	OIDC           OIDC           `title:"ID tokens"`
	CustomOAuth    CustomOAuth    `title:"OAuth providers of administrators"`
	Linking        Linking        `title:"Accounts and identities"`
	ProviderTokens ProviderTokens `title:"Tokens of OAuth providers"`
	OAuthServer    OAuthServer    `title:"OAuth server"`
	SAML           SAML           `title:"SAML"`
	Outbound       Outbound       `title:"Calls to other servers"`
	Captcha        Captcha        `title:"Captcha"`
	Limits         Limits         `title:"Rate limits"`
	Experimental   Experimental   `title:"Experimental"`
	Unused         Unused         `title:"Without effect"`

	// Providers are the OAuth providers by lower-case name ("github", "linkedin_oidc"), all of ProviderNames.
	Providers map[string]Provider

	// Hooks are the operator's hooks by the name that payloads carry ("send-email"), all of HookNames.
	Hooks map[string]Hook
}

// Load reads the settings from environ, a list of NAME=value as os.Environ returns it (of two equal names
// the later one counts). Unknown names are ignored. The error is an *Error that lists every problem.
func Load(environ []string) (*Config, error) {
	c := &Config{Providers: make(map[string]Provider, len(ProviderNames)), Hooks: make(map[string]Hook, len(HookNames))}
	l := newLoader(environ)
	for _, group := range c.groups() {
		l.load(group, "")
	}
	for _, name := range ProviderNames {
		var p Provider
		l.load(&p, providerPrefix(name))
		c.Providers[name] = p
	}
	c.loadHooks(l)
	c.check(l)
	if len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}
	return c, nil
}

// groups returns a pointer to each struct of settings, in the order of the documentation.
func (c *Config) groups() []any {
	v := reflect.ValueOf(c).Elem()
	var groups []any
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct {
			groups = append(groups, f.Addr().Interface())
		}
	}
	return groups
}

// check reports what the types alone do not refuse, and puts values that the reference corrects silently
// into their range.
func (c *Config) check(l *loader) {
	c.API.check(l)
	c.Site.check(l)
	c.DB.check(l)
	c.Maintenance.check(l)
	c.IndexWorker.check(l)
	c.Log.check(l)
	c.JWT.check(l)
	c.Sessions.check(l)
	c.Security.check(l)
	c.Deletion.check(l)
	c.Encryption.check(l)
	c.Captcha.check(l)
	c.Password.check(l)
	c.Mailer.check(l)
	c.MailCheck.check(l)
	c.SMS.check(l)
	c.External.check(l)
	c.MFA.check(l)
	c.Limits.check(l)
	c.SAML.check(l)
	c.CustomOAuth.check(l)
	c.Linking.check(l)
	c.ProviderTokens.check(l, c.Encryption)
	c.Experimental.check(l)
	c.Metrics.check(l)
	c.Tracing.check(l, c.Metrics)
	c.Profiler.check(l)
	c.Reloading.check(l)
}

// Warnings returns sentences about settings that are legal and probably a mistake. They hold no secrets.
func (c *Config) Warnings() []string {
	var w []string
	if n := len(c.JWT.Secret); n < 32 {
		w = append(w, fmt.Sprintf("GOTRUE_JWT_SECRET has %d bytes: use at least 32, or tokens can be forged by guessing it", n))
	}
	if c.JWT.DefaultGroupName == "" {
		w = append(w, `GOTRUE_JWT_DEFAULT_GROUP_NAME is not set: tokens of new users get the role ""; set it to authenticated`)
	}
	if d := c.DB.Driver; d != "" && d != "postgres" && d != "postgresql" {
		w = append(w, fmt.Sprintf("GOTRUE_DB_DRIVER is %q: ignored, the driver is always postgres", d))
	}
	if c.DB.CleanupEnabled && !c.Maintenance.Enabled {
		w = append(w, "GOTRUE_DB_CLEANUP_ENABLED is true, but POSTERN_MAINTENANCE_ENABLED is false: nothing is cleaned up")
	}
	w = append(w, c.SMS.warnings()...)
	w = append(w, c.OIDC.warnings()...)
	w = append(w, c.providerWarnings()...)
	w = append(w, c.Linking.warnings(c.Security)...)
	if !c.MailCheck.Extended && len(c.MailCheck.BlockedMX) > 0 {
		w = append(w, "GOTRUE_MAILER_EMAIL_VALIDATION_BLOCKED_MX is set without GOTRUE_MAILER_EMAIL_VALIDATION_EXTENDED: it has no effect")
	}
	for _, name := range c.unavailable() {
		w = append(w, name+" is set, but this version does not have that yet: it stays off")
	}
	if c.Passkey.Enabled || c.MFA.WebAuthnEnroll || c.MFA.WebAuthnVerify {
		w = append(w, c.WebAuthn.warnings()...)
	}
	if len(c.Experimental.OwnDomains) > 0 {
		w = append(w, "GOTRUE_EXPERIMENTAL_PROVIDERS_WITH_OWN_LINKING_DOMAIN is deprecated: "+
			"use GOTRUE_EXPERIMENTAL_PROVIDER_LINKING_DOMAINS, provider=provider for each")
	}
	return append(w, c.Unused.warnings()...)
}

// LogValue returns the settings by variable name, secrets replaced.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, group := range c.groups() {
		for _, s := range settingsOf(group, "") {
			attrs = append(attrs, slog.Any(s.Name, s.shown()))
		}
	}
	for _, name := range ProviderNames {
		if p := c.Providers[name]; p.Enabled {
			for _, s := range settingsOf(&p, providerPrefix(name)) {
				attrs = append(attrs, slog.Any(s.Name, s.shown()))
			}
		}
	}
	for _, name := range HookNames {
		if h := c.Hooks[name.Name]; h.Enabled {
			for _, s := range settingsOf(&h, hookPrefix(name.Variable)) {
				attrs = append(attrs, slog.Any(s.Name, s.shown()))
			}
		}
	}
	return slog.GroupValue(attrs...)
}

// String returns the same as LogValue, so that no way of printing a Config shows a secret.
func (c Config) String() string { return c.LogValue().String() }

// GoString does for %#v what String does for %v.
func (c Config) GoString() string { return c.String() }

// MarshalText does the same for encoding/json.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
