package config

import (
	"encoding/base64"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Hook is one of the operator's hooks (spec/07 section 2). Its variables are GOTRUE_HOOK_<NAME>_<FIELD>.
type Hook struct {
	Enabled bool    `env:"ENABLED" envDefault:"false" desc:"The hook is called."`
	URI     HookURI `env:"URI" desc:"pg-functions://postgres/<schema>/<function>, or an https URL (http only for this machine)."`
	Secrets Secret  `env:"SECRETS" desc:"Secrets that sign calls over HTTP, separated by a vertical bar: v1,whsec_ and base64 of 24 to 66 bytes."`
}

// HookNames are the hooks: the word in the variables, and the name that payloads carry.
var HookNames = []struct{ Variable, Name string }{
	{"BEFORE_USER_CREATED", "before-user-created"},
	{"AFTER_USER_CREATED", "after-user-created"},
	{"CUSTOM_ACCESS_TOKEN", "customize-access-token"},
	{"PASSWORD_VERIFICATION_ATTEMPT", "password-verification"},
	{"MFA_VERIFICATION_ATTEMPT", "mfa-verification"},
	{"SEND_SMS", "send-sms"},
	{"SEND_EMAIL", "send-email"},
}

func hookPrefix(variable string) string { return "GOTRUE_HOOK_" + variable + "_" }

// loadHooks reads all hooks into c.Hooks, by the name that payloads carry.
func (c *Config) loadHooks(l *loader) {
	for _, name := range HookNames {
		var h Hook
		prefix := hookPrefix(name.Variable)
		if secrets, ok := l.environment["SECRETS"]; ok && !l.isSet(prefix+"SECRETS") {
			l.environment[prefix+"SECRETS"] = secrets // the reference falls back to that name (spec/06 1.2)
		}
		l.load(&h, prefix)
		if err := h.checkSecrets(); err != nil && h.URI.IsHTTP() {
			l.failSecret(prefix+"SECRETS", "%v", err)
		}
		c.Hooks[name.Name] = h
	}
}

// HookURI says where a hook is: a function of the database, or a URL. Empty: nowhere.
type HookURI string

// IsHTTP tells whether the hook is called over HTTP.
func (u HookURI) IsHTTP() bool { return strings.HasPrefix(string(u), "http") }

// Function returns schema and name of a hook in the database, nil for any other.
func (u HookURI) Function() []string {
	parsed, err := url.Parse(string(u))
	if err != nil || parsed.Scheme != "pg-functions" {
		return nil
	}
	if parts := strings.Split(parsed.Path, "/"); len(parts) >= 3 {
		return parts[1:3]
	}
	return nil
}

var sqlName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,62}$`)

// UnmarshalText reads and checks a hook's URI; the errors are in the reference's words (spec/07 section 2.1).
func (u *HookURI) UnmarshalText(text []byte) error {
	*u = HookURI(text)
	parsed, err := url.Parse(string(text))
	switch {
	case err != nil:
		return wantError("must be a URI")
	case len(text) == 0 || parsed.Scheme == "https":
		return nil
	case parsed.Scheme == "http":
		if !slices.Contains([]string{"localhost", "127.0.0.1", "::1", "host.docker.internal"}, parsed.Hostname()) {
			return wantError("only localhost, 127.0.0.1, and ::1 are supported with http")
		}
		return nil
	case parsed.Scheme != "pg-functions":
		return wantError("only postgres hooks and HTTPS functions are supported at the moment")
	}
	switch function := u.Function(); {
	case function == nil:
		return wantError("URI path does not contain enough parts")
	case !sqlName.MatchString(function[0]):
		return wantError("invalid schema name: " + function[0])
	case !sqlName.MatchString(function[1]):
		return wantError("invalid table name: " + function[1])
	}
	return nil
}

// SecretList returns the secrets in the order in which they sign.
func (h Hook) SecretList() []string {
	return strings.FieldsFunc(string(h.Secrets), func(r rune) bool { return r == '|' })
}

var (
	symmetricSecret  = regexp.MustCompile(`^v1,whsec_([A-Za-z0-9+/=]{32,88})$`)
	asymmetricSecret = regexp.MustCompile(`^v1a,whpk_[A-Za-z0-9+/=]+:whsk_[A-Za-z0-9+/=]+$`)
)

func (h Hook) checkSecrets() error {
	for _, secret := range h.SecretList() {
		if m := symmetricSecret.FindStringSubmatch(secret); m != nil {
			if _, err := base64.StdEncoding.DecodeString(m[1]); err == nil {
				continue
			}
		} else if asymmetricSecret.MatchString(secret) {
			if !h.Enabled {
				continue
			}
			return errors.New("must be v1,whsec_...: a key pair (v1a) cannot sign calls, so every call would fail")
		}
		return errors.New("invalid secret format: each must be v1,whsec_ and 32 to 88 characters of base64")
	}
	return nil
}
