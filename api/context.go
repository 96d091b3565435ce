package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/limit"
)

// settingsDocument is the part of every call's context that the settings decide: the keys documented in
// sql/functions/core/context.sql.
type settingsDocument struct {
	published json.RawMessage // what SQL callers get: with the default audience
	open      []byte          // the same without the closing brace, to append the caller to
}

func newSettingsDocument(c *config.Config, h *hooks) (*settingsDocument, error) {
	doc := alwaysThere(c, h)
	maps.Copy(doc, sometimesThere(c))
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	doc["aud"] = c.JWT.Aud
	doc["retention"] = c.Retention()
	for _, key := range unpublished {
		delete(doc, key)
	}
	published, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return &settingsDocument{published: published, open: bytes.TrimSuffix(text, []byte("}"))}, nil
}

// alwaysThere are the settings that every context has.
func alwaysThere(c *config.Config, h *hooks) map[string]any {
	return map[string]any{
		"site_url":            c.Site.URL,
		"verify_urls":         verifyURLs(c, c.API.ExternalURL),
		"jwt_aud":             c.JWT.Aud,
		"default_role":        c.JWT.DefaultGroupName,
		"admin_role":          c.JWT.AdminGroupName,
		"autoconfirm":         c.Mailer.Autoconfirm,
		"phone_autoconfirm":   c.SMS.Autoconfirm,
		"secure_email_change": c.Mailer.SecureEmailChange,
		"allow_unverified":    c.Mailer.AllowUnverifiedSignIns,
		"signup_disabled":     c.API.DisableSignup,
		"otp_exp":             c.Mailer.OTPExp,
		"otp_length":          c.Mailer.OTPLength,
		"mail_frequency":      c.SMTP.MaxFrequency.Seconds(),
		"sms_otp_exp":         c.SMS.OTPExp,
		"sms_otp_length":      c.SMS.OTPLength,
		"sms_frequency":       c.SMS.MaxFrequency.Seconds(),
		"sms_provider":        c.SMS.UsableProvider(),
		"sms_checks_codes":    c.SMS.UsableProvider() == "twilio_verify",
		"flow_expiry":         c.External.FlowStateExpiry.Seconds(),
		"rotation":            c.Security.RotationEnabled,
		"reuse_interval":      c.Security.ReuseInterval,
		"allow_reuse":         c.Security.AllowReuse,
		"token_version":       max(c.Security.AlgorithmVersion, 1),
		"upgrade_percentage":  c.Security.UpgradePercentage,
		"single_per_user":     c.Sessions.SinglePerUser,
		"tags":                nonNil(c.Sessions.Tags),
		"reauthenticate":      c.Security.RequireReauthentication,
		"current_password":    c.Security.RequireCurrentPassword,
		"audit_disabled":      c.DB.AuditDisabled,
		"notifications":       c.Notify.ByKind(),
		"linking_domains":     nonNilMap(c.Experimental.LinkingDomains),
		"linking_policy":      c.Linking.Policy,
		"email_identity":      c.Experimental.EmailIdentity,
		"mfa":                 c.MFA.Document(),
		"external_url":        c.API.ExternalURL,
		"issuer":              c.JWT.Issuer,
		"jwt_exp":             c.JWT.Exp,
		"hooks":               h.document,
		"other_device_page":   c.Links.OtherDevicePage,
		"account_limits":      accountLimits(c.Limits),
		"quotas":              quotas(c),

		"authorized_addresses": lowered(c.External.EmailAuthorizedAddresses),
	}
}

// sometimesThere are the settings that a context lacks where they are off.
func sometimesThere(c *config.Config) map[string]any {
	doc := map[string]any{}
	if n := c.Limits.OTPMaxAttempts; n > 0 {
		doc["otp_attempts"] = n
	}
	for key, limit := range map[string]time.Duration{
		"timebox": c.Sessions.Timebox, "inactivity": c.Sessions.InactivityTimeout, "low_aal": c.Sessions.AllowLowAAL,
	} {
		if limit > 0 {
			doc[key] = limit.Seconds()
		}
	}
	if c.Encryption.Encrypt {
		doc["seals"] = true
	}
	if !c.CustomOAuth.Enabled {
		doc["custom_providers_off"] = true
	}
	if n := c.CustomOAuth.MaxProviders; n > 0 {
		doc["max_custom_providers"] = n
	}
	if len(c.SMS.TestOTP) > 0 {
		doc["sms_test_otps"] = c.SMS.TestOTP
	}
	if until := c.SMS.TestOTPValidUntil; !until.IsZero() {
		doc["sms_test_otps_until"] = until
	}
	return doc
}

// unpublished are the settings that are about clients, and not for SQL callers.
var unpublished = []string{"account_limits", "quotas", "otp_attempts"}

// verifyURLs are the targets of mailed links by the path names that SQL uses.
func verifyURLs(c *config.Config, base string) map[string]string {
	return map[string]string{
		"invite":       c.VerifyURL(base, "invite"),
		"confirmation": c.VerifyURL(base, "signup"),
		"recovery":     c.VerifyURL(base, "recovery"),
		"email_change": c.VerifyURL(base, "email_change"),
	}
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func nonNilMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// lowered returns the entries of a list in lower case, without spaces around them and without empty ones.
func lowered(list []string) []string {
	out := []string{}
	for _, entry := range list {
		if entry = strings.ToLower(strings.TrimSpace(entry)); entry != "" {
			out = append(out, entry)
		}
	}
	return out
}

// caller is the part of the context that differs between requests.
type caller struct {
	Aud         string            `json:"aud"`
	Actor       string            `json:"actor,omitempty"` // the role of an administrator; a user acts as themselves
	IP          string            `json:"ip,omitempty"`
	UserAgent   string            `json:"user_agent,omitempty"`
	RedirectTo  string            `json:"redirect_to"`
	AuditLog    bool              `json:"audit_log,omitempty"`    // entries of the audit log go into the server's log, too
	Language    string            `json:"language,omitempty"`     // Accept-Language, for the mails of this request
	ExternalURL string            `json:"external_url,omitempty"` // where a forwarded host replaces the configured one
	VerifyURLs  map[string]string `json:"verify_urls,omitempty"`
	Limit       *limit.Bucket     `json:"limit,omitempty"`   // until its token is taken
	Account     string            `json:"account,omitempty"` // the address of a password sign-in
	NewSession  *sessionKey       `json:"new_session,omitempty"`
}

// callContext returns the context document of a request: settings and caller.
func (s *Server) callContext(r *request) json.RawMessage {
	c := caller{
		Aud: r.audience(), Actor: r.actor, IP: r.clientIP(), UserAgent: r.userAgent(), RedirectTo: r.redirectTarget(),
		Language: r.language(), AuditLog: r.audit != nil, Account: r.account,
		NewSession: s.prepareSession(r),
	}
	if r.limit != nil && !r.limit.isTaken {
		c.Limit, r.limit.isSent = &r.limit.bucket, true
	}
	if base := r.baseURL(); base != s.cfg.API.ExternalURL {
		c.ExternalURL, c.VerifyURLs = base, verifyURLs(s.cfg, base)
	}
	text, _ := json.Marshal(c) // strings only: cannot fail
	doc := make([]byte, 0, len(s.settings.open)+len(text)+1)
	doc = append(doc, s.settings.open...)
	doc = append(doc, ',')
	return append(doc, text[1:]...)
}
