package config

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Mailer is about mails to users: when they are sent and where their links point.
type Mailer struct {
	Autoconfirm            bool     `env:"GOTRUE_MAILER_AUTOCONFIRM" envDefault:"false" desc:"New addresses count as confirmed; no confirmation mail is sent."`
	AllowUnverifiedSignIns bool     `env:"GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS" envDefault:"false" desc:"People may sign in before they confirm their address; not together with GOTRUE_MAILER_AUTOCONFIRM."`
	SecureEmailChange      bool     `env:"GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED" envDefault:"true" desc:"A change of address is confirmed from both addresses."`
	OTPExp                 uint     `env:"GOTRUE_MAILER_OTP_EXP" envDefault:"86400" desc:"Lifetime of mailed links and codes in seconds."`
	OTPLength              int      `env:"GOTRUE_MAILER_OTP_LENGTH" envDefault:"6" desc:"Digits of mailed codes, 6 to 10; other values count as 6."`
	URLPathInvite          string   `env:"GOTRUE_MAILER_URLPATHS_INVITE" envDefault:"/verify" desc:"Where the link of an invitation points, relative to API_EXTERNAL_URL; a leading slash replaces its path."`
	URLPathConfirmation    string   `env:"GOTRUE_MAILER_URLPATHS_CONFIRMATION" envDefault:"/verify" desc:"The same for confirmations of a sign-up."`
	URLPathRecovery        string   `env:"GOTRUE_MAILER_URLPATHS_RECOVERY" envDefault:"/verify" desc:"The same for password resets and magic links."`
	URLPathEmailChange     string   `env:"GOTRUE_MAILER_URLPATHS_EMAIL_CHANGE" envDefault:"/verify" desc:"The same for changes of address."`
	ExternalHosts          []string `env:"GOTRUE_MAILER_EXTERNAL_HOSTS" desc:"Host names, comma-separated, that replace the one of API_EXTERNAL_URL in links when X-Forwarded-Host names them."`
	BackgroundSending      bool     `env:"GOTRUE_MAILER_EMAIL_BACKGROUND_SENDING" envDefault:"false" desc:"Accepted without effect: mails are always sent after the request, from the outbox."`

	UnusedPaths UnusedPaths
}

// UnusedPaths are names that the reference reads as well and has no use for: those mails have no link, or that of
// another kind.
type UnusedPaths struct {
	MagicLink           string `env:"GOTRUE_MAILER_URLPATHS_MAGIC_LINK" desc:"Accepted without effect: magic links use GOTRUE_MAILER_URLPATHS_RECOVERY."`
	Reauthentication    string `env:"GOTRUE_MAILER_URLPATHS_REAUTHENTICATION" desc:"Accepted without effect: the mail has no link."`
	PasswordChanged     string `env:"GOTRUE_MAILER_URLPATHS_PASSWORD_CHANGED_NOTIFICATION" desc:"Accepted without effect: the mail has no link."`
	EmailChanged        string `env:"GOTRUE_MAILER_URLPATHS_EMAIL_CHANGED_NOTIFICATION" desc:"Accepted without effect: the mail has no link."`
	PhoneChanged        string `env:"GOTRUE_MAILER_URLPATHS_PHONE_CHANGED_NOTIFICATION" desc:"Accepted without effect: the mail has no link."`
	IdentityLinked      string `env:"GOTRUE_MAILER_URLPATHS_IDENTITY_LINKED_NOTIFICATION" desc:"Accepted without effect: the mail has no link."`
	IdentityUnlinked    string `env:"GOTRUE_MAILER_URLPATHS_IDENTITY_UNLINKED_NOTIFICATION" desc:"Accepted without effect: the mail has no link."`
	MFAFactorEnrolled   string `env:"GOTRUE_MAILER_URLPATHS_MFA_FACTOR_ENROLLED_NOTIFICATION" desc:"Accepted without effect: the mail has no link."`
	MFAFactorUnenrolled string `env:"GOTRUE_MAILER_URLPATHS_MFA_FACTOR_UNENROLLED_NOTIFICATION" desc:"Accepted without effect: the mail has no link."`
}

func (m *Mailer) check(l *loader) {
	if m.Autoconfirm && m.AllowUnverifiedSignIns {
		l.fail("GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS", "cannot be true together with GOTRUE_MAILER_AUTOCONFIRM: choose one")
	}
	m.OTPLength = otpLength(m.OTPLength)
	for _, path := range []struct{ name, value string }{
		{"GOTRUE_MAILER_URLPATHS_INVITE", m.URLPathInvite},
		{"GOTRUE_MAILER_URLPATHS_CONFIRMATION", m.URLPathConfirmation},
		{"GOTRUE_MAILER_URLPATHS_RECOVERY", m.URLPathRecovery},
		{"GOTRUE_MAILER_URLPATHS_EMAIL_CHANGE", m.URLPathEmailChange},
	} {
		if _, err := url.Parse(path.value); err != nil {
			l.fail(path.name, "must be a path or a URL such as /verify")
		}
	}
}

// otpLength returns n if a code of n digits is allowed, else 6.
func otpLength(n int) int {
	if n < 6 || n > 10 {
		return 6
	}
	return n
}

// SMTP is about sending mail.
type SMTP struct {
	MaxFrequency time.Duration `env:"GOTRUE_SMTP_MAX_FREQUENCY" envDefault:"1m" desc:"Least time between two mails of one kind to one user."`
}

// BaseURL returns the public base URL of a request: API_EXTERNAL_URL, or the forwarded host if
// GOTRUE_MAILER_EXTERNAL_HOSTS lists it, in any case. forwardedHost is the header X-Forwarded-Host, or the host of a
// request target that is a whole URL; forwardedProto is X-Forwarded-Proto (spec/00 section 2, spec/06 section 7).
func (c *Config) BaseURL(forwardedHost, forwardedProto string) string {
	u := url.URL{Scheme: "https", Host: forwardedHost}
	isListed := func(host string) bool { return strings.EqualFold(host, u.Hostname()) }
	if forwardedHost == "" || !slices.ContainsFunc(c.Mailer.ExternalHosts, isListed) {
		return c.API.ExternalURL
	}
	if u.Hostname() == "localhost" && forwardedProto == "http" {
		u.Scheme = "http"
	}
	return u.String()
}

// VerifyURL returns where the link of a mail points, without the query. base comes from BaseURL; kind is the
// type in the link: invite, signup, recovery, magiclink or email_change (spec/06 section 7.1). A path with a
// leading slash replaces the whole path of base. Another kind, or a base that is no URL, gives "".
func (c *Config) VerifyURL(base, kind string) string {
	path, ok := map[string]string{
		"invite":       c.Mailer.URLPathInvite,
		"signup":       c.Mailer.URLPathConfirmation,
		"recovery":     c.Mailer.URLPathRecovery,
		"magiclink":    c.Mailer.URLPathRecovery,
		"email_change": c.Mailer.URLPathEmailChange,
	}[kind]
	u, err := url.Parse(base)
	if !ok || err != nil {
		return ""
	}
	ref, err := url.Parse(path)
	if err != nil {
		return ""
	}
	return u.ResolveReference(ref).String()
}
