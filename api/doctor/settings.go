package doctor

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/outbound"
)

// rule is a combination of settings that is legal and dangerous.
type rule struct {
	isBad     bool
	severity  Severity
	what, fix string
}

const day = 24 * 60 * 60

// settings reports combinations of settings.
func (r *report) settings(c *config.Config) {
	for _, x := range append(accessRules(c), append(sessionRules(c), addressRules(c)...)...) {
		if x.isBad {
			r.add(x.severity, "settings", x.what, x.fix)
		}
	}
	if _, err := outbound.New(c.Outbound.Options("doctor")); err != nil {
		r.add(Error, "settings", err.Error(), "Name a readable file of certificates in PEM; the server does not start like this")
	}
}

// accessRules are about who gets in, and as whom.
func accessRules(c *config.Config) []rule {
	isOpen := !c.API.DisableSignup && c.External.EmailEnabled
	group := c.JWT.DefaultGroupName
	return []rule{
		{c.Mailer.Autoconfirm && isOpen && !c.Captcha.Enabled, Warning,
			"anybody can sign up with any e-mail address, unconfirmed and without a captcha (GOTRUE_MAILER_AUTOCONFIRM)",
			"GOTRUE_MAILER_AUTOCONFIRM=false, or GOTRUE_SECURITY_CAPTCHA_ENABLED=true, or GOTRUE_DISABLE_SIGNUP=true"},
		{c.External.AnonymousUsersEnabled && !c.Captcha.Enabled, Warning,
			"scripts can make anonymous users without a captcha (GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED)", "GOTRUE_SECURITY_CAPTCHA_ENABLED=true"},
		{c.External.AnonymousUsersEnabled && (!c.Maintenance.Enabled || c.Maintenance.RetentionAnonymousUsers == 0), Note,
			"anonymous users are never deleted", "POSTERN_MAINTENANCE_ENABLED=true and POSTERN_RETENTION_ANONYMOUS_USERS=720h"},
		{c.Mailer.AllowUnverifiedSignIns, Warning,
			"people sign in with addresses that may belong to others (GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS)",
			"GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS=false, or let policies check email_verified"},
		{group == "", Warning, `tokens of new users get the role "": the API refuses them (GOTRUE_JWT_DEFAULT_GROUP_NAME)`,
			"GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated"},
		{group != "" && slices.Contains(c.JWT.AdminRoles, group), Error,
			"every user is an administrator: GOTRUE_JWT_DEFAULT_GROUP_NAME is one of GOTRUE_JWT_ADMIN_ROLES", "GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated"},
		{slices.ContainsFunc(c.JWT.AdminRoles, func(role string) bool {
			return slices.Contains([]string{"", "anon", "authenticated"}, strings.TrimSpace(role)) && role != group
		}), Error, "GOTRUE_JWT_ADMIN_ROLES makes administrators of ordinary tokens (anon, authenticated or an empty role)",
			"GOTRUE_JWT_ADMIN_ROLES=service_role,supabase_admin"},
		{c.JWT.Aud == "", Warning, "users and tokens have no audience (GOTRUE_JWT_AUD)", "GOTRUE_JWT_AUD=authenticated"},
		{c.Password.MinLength < 8, Note, fmt.Sprintf("passwords of %d characters are accepted", c.Password.MinLength), "GOTRUE_PASSWORD_MIN_LENGTH=8"},
		{len(c.SMS.TestOTP) > 0 && c.SMS.TestOTPValidUntil.IsZero(), Warning,
			"fixed codes for test phones work for ever (GOTRUE_SMS_TEST_OTP)", "GOTRUE_SMS_TEST_OTP_VALID_UNTIL=2030-12-31T23:59:59Z"},
		{!c.Mailer.SecureEmailChange, Warning, "who gets hold of a session can move the account to another address without the owner's mailbox",
			"GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED=true"},
		{c.DB.AuditDisabled, Note, "audit entries go to the log only (GOTRUE_AUDIT_LOG_DISABLE_POSTGRES)", ""},
	}
}

// sessionRules are about how long things live.
func sessionRules(c *config.Config) []rule {
	return []rule{
		{c.Security.ReuseInterval == 0, Warning,
			"two tabs, or a lost answer, sign people out: a refresh token works for no moment after its use",
			"GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL=10"},
		{!c.Security.RotationEnabled, Warning, "a stolen refresh token works for as long as its session (rotation is off)",
			"GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED=true"},
		{c.Security.AllowReuse, Warning, "used refresh tokens stay valid: theft goes unnoticed", "GOTRUE_SECURITY_REFRESH_TOKEN_ALLOW_REUSE=false"},
		{c.Mailer.OTPExp == 0, Error, "mailed links and codes expire at once", "GOTRUE_MAILER_OTP_EXP=3600"},
		{c.Mailer.OTPExp > day, Warning, fmt.Sprintf("mailed links and codes work for %d hours: mailboxes are read by others, too", c.Mailer.OTPExp/3600),
			"GOTRUE_MAILER_OTP_EXP=3600"},
		{c.External.PhoneEnabled && c.SMS.OTPExp > 600, Warning, fmt.Sprintf("codes by text message work for %d minutes", c.SMS.OTPExp/60), "GOTRUE_SMS_OTP_EXP=60"},
		{c.JWT.Exp > day, Warning, fmt.Sprintf("access tokens live for %d hours: for so long a sign-out or a ban does not reach your API", c.JWT.Exp/3600),
			"GOTRUE_JWT_EXP=3600"},
		{!c.Maintenance.Enabled, Note, "maintenance is off: expired rows pile up", "POSTERN_MAINTENANCE_ENABLED=true, or run postern.run_maintenance() by a scheduler"},
	}
}

// addressRules are about the public URLs.
func addressRules(c *config.Config) []rule {
	external, _ := url.Parse(c.API.ExternalURL)
	site, _ := url.Parse(c.Site.URL)
	if external == nil || site == nil {
		return nil // cannot be: config checks both
	}
	prefix := strings.TrimSuffix(external.Path, "/")
	return []rule{
		{isPublicHTTP(external), Warning, "tokens travel in the clear: API_EXTERNAL_URL is http", "API_EXTERNAL_URL=https://" + external.Host + external.Path},
		{isPublicHTTP(site), Warning, "tokens are sent to an http page: GOTRUE_SITE_URL", "GOTRUE_SITE_URL=https://" + site.Host + site.Path},
		{!isLocal(external.Hostname()) && isLocal(site.Hostname()), Warning,
			"a public server sends people to their own machine: GOTRUE_SITE_URL is " + c.Site.URL, "GOTRUE_SITE_URL=https://your-app.example.com"},
		{prefix != "" && !strings.HasPrefix(c.Mailer.URLPathConfirmation, prefix) && strings.HasPrefix(c.Mailer.URLPathConfirmation, "/"), Warning,
			fmt.Sprintf("links in mails lead to %s, outside of %s", c.VerifyURL(c.API.ExternalURL, "signup"), c.API.ExternalURL),
			fmt.Sprintf("GOTRUE_MAILER_URLPATHS_CONFIRMATION=%s/verify, and the same for _INVITE, _RECOVERY and _EMAIL_CHANGE", prefix)},
	}
}

func isPublicHTTP(u *url.URL) bool { return u.Scheme == "http" && !isLocal(u.Hostname()) }

// isLocal tells whether a host is this machine, or one in a private network or a container's.
func isLocal(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified() || ip.IsLinkLocalUnicast()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || !strings.Contains(host, ".")
}
