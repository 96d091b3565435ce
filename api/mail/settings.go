// Package mail renders the mails that the outbox holds and hands them to an SMTP server.
//
// What a mail says is a template: an operator's, by URL or from a folder, or one of the built-in texts in
// folder templates, in the language of its reader. Everything here runs in the outbox worker, never
// inside a request. docs/mail.md is for operators.
package mail

import "time"

// Settings is the operator's configuration of mails (spec/06 section 7): the way to the SMTP server,
// and a subject and a template for each kind of mail. An empty subject or template means the built-in one.
// A template is a URL, or a path that is appended to the site URL; {lang} in it stands for the language.
type Settings struct {
	// Host of the SMTP server. Empty: nothing is sent, and every mail counts as sent.
	Host string `env:"GOTRUE_SMTP_HOST" desc:"SMTP server; empty means that nothing is sent."`
	// Port 465 speaks TLS from the start; on any other port STARTTLS is used when it is offered.
	Port int `env:"GOTRUE_SMTP_PORT" envDefault:"587" desc:"Its port: 465 is TLS from the start, any other uses STARTTLS when offered."`
	// User and Pass are used when the server offers AUTH.
	User string `env:"GOTRUE_SMTP_USER" desc:"User name, if the server asks for one."`
	Pass string `env:"GOTRUE_SMTP_PASS" secret:"true" desc:"Password of that user."`
	// AdminEmail and SenderName make the From header.
	AdminEmail string `env:"GOTRUE_SMTP_ADMIN_EMAIL" desc:"Address that mails come from."`
	SenderName string `env:"GOTRUE_SMTP_SENDER_NAME" desc:"Name that mails come from."`
	// Headers is a JSON object of string lists: extra headers, where $messageType in a value stands
	// for the type of the mail. Anything else is logged and ignored.
	Headers string `env:"GOTRUE_SMTP_HEADERS" desc:"More headers, a JSON object of string lists; $messageType in a value is the kind of mail."`
	// LoggingEnabled writes a line "mail.send" with type, sender and recipient for every mail.
	LoggingEnabled bool `env:"GOTRUE_SMTP_LOGGING_ENABLED" desc:"Log type, sender and recipient of every mail."`

	// The second server takes what the first cannot take now; see [Mailer.Send].
	FallbackHost string `env:"POSTERN_SMTP_FALLBACK_HOST" desc:"Second SMTP server, for mails that the first one cannot take now: unreachable, or a temporary refusal."`
	FallbackPort int    `env:"POSTERN_SMTP_FALLBACK_PORT" envDefault:"587" desc:"Its port, with the rules of GOTRUE_SMTP_PORT."`
	FallbackUser string `env:"POSTERN_SMTP_FALLBACK_USER" desc:"User name, if the second server asks for one."`
	FallbackPass string `env:"POSTERN_SMTP_FALLBACK_PASS" secret:"true" desc:"Password of that user."`

	// TemplatesDir holds <language>/<kind>.html and, optionally, <language>/<kind>.subject.
	TemplatesDir string `env:"POSTERN_MAILER_TEMPLATES_DIR" desc:"Folder of texts per language: LANGUAGE/KIND.html, and LANGUAGE/KIND.subject where the subject is not the built-in one (docs/mail.md)."`
	// Languages limits the languages that mails are written in. Empty: all that there are texts in.
	Languages []string `env:"POSTERN_MAILER_LANGUAGES" desc:"Languages that mails may be written in, such as en,de,pt-BR, and those that {lang} in a template URL stands for; empty means all that there are texts in: en, de, fr, es, and those of POSTERN_MAILER_TEMPLATES_DIR."`
	// DefaultLanguage is for readers whose language is unknown or not offered.
	DefaultLanguage string `env:"POSTERN_MAILER_DEFAULT_LANGUAGE" envDefault:"en" desc:"Language of mails to users whose own is unknown or has no texts."`

	// TemplateMaxSize in bytes: the rest of a longer template is cut off.
	TemplateMaxSize int64 `env:"GOTRUE_MAILER_TEMPLATE_MAX_SIZE" envDefault:"1000000" desc:"Bytes of a template that are read."`
	// TemplateMaxAge is how long a fetched template is used before it is fetched again.
	TemplateMaxAge time.Duration `env:"GOTRUE_MAILER_TEMPLATE_MAX_AGE" envDefault:"10m" desc:"A template is fetched again after this time."`
	// TemplateRetryInterval is the pause after a template could not be loaded.
	TemplateRetryInterval time.Duration `env:"GOTRUE_MAILER_TEMPLATE_RETRY_INTERVAL" envDefault:"10s" desc:"Pause after a template could not be loaded."`

	// TemplateReloading fetches templates again before they are too old, unless nobody used them lately.
	TemplateReloading        bool          `env:"GOTRUE_MAILER_TEMPLATE_RELOADING_ENABLED" envDefault:"false" desc:"Fetch templates at the start and again in the background, at 90 % of GOTRUE_MAILER_TEMPLATE_MAX_AGE."`
	TemplateReloadingMaxIdle time.Duration `env:"GOTRUE_MAILER_TEMPLATE_RELOADING_MAX_IDLE" envDefault:"20m" desc:"Stop that for a template that no mail has used for this time."`

	SubjectInvite              string `env:"GOTRUE_MAILER_SUBJECTS_INVITE" desc:"Subject of the invite mail, a Go template; empty means the built-in one."`
	SubjectConfirmation        string `env:"GOTRUE_MAILER_SUBJECTS_CONFIRMATION" desc:"Subject of the confirmation mail, a Go template; empty means the built-in one."`
	SubjectRecovery            string `env:"GOTRUE_MAILER_SUBJECTS_RECOVERY" desc:"Subject of the recovery mail, a Go template; empty means the built-in one."`
	SubjectEmailChange         string `env:"GOTRUE_MAILER_SUBJECTS_EMAIL_CHANGE" desc:"Subject of the email change mail, a Go template; empty means the built-in one."`
	SubjectMagicLink           string `env:"GOTRUE_MAILER_SUBJECTS_MAGIC_LINK" desc:"Subject of the magic-link mail, a Go template; empty means the built-in one."`
	SubjectReauthentication    string `env:"GOTRUE_MAILER_SUBJECTS_REAUTHENTICATION" desc:"Subject of the reauthentication mail, a Go template; empty means the built-in one."`
	SubjectPasswordChanged     string `env:"GOTRUE_MAILER_SUBJECTS_PASSWORD_CHANGED_NOTIFICATION" desc:"Subject of the password changed mail, a Go template; empty means the built-in one."`
	SubjectEmailChanged        string `env:"GOTRUE_MAILER_SUBJECTS_EMAIL_CHANGED_NOTIFICATION" desc:"Subject of the email changed mail, a Go template; empty means the built-in one."`
	SubjectPhoneChanged        string `env:"GOTRUE_MAILER_SUBJECTS_PHONE_CHANGED_NOTIFICATION" desc:"Subject of the phone changed mail, a Go template; empty means the built-in one."`
	SubjectIdentityLinked      string `env:"GOTRUE_MAILER_SUBJECTS_IDENTITY_LINKED_NOTIFICATION" desc:"Subject of the identity linked mail, a Go template; empty means the built-in one."`
	SubjectIdentityUnlinked    string `env:"GOTRUE_MAILER_SUBJECTS_IDENTITY_UNLINKED_NOTIFICATION" desc:"Subject of the identity unlinked mail, a Go template; empty means the built-in one."`
	SubjectMFAFactorEnrolled   string `env:"GOTRUE_MAILER_SUBJECTS_MFA_FACTOR_ENROLLED_NOTIFICATION" desc:"Subject of the MFA factor enrolled mail, a Go template; empty means the built-in one."`
	SubjectMFAFactorUnenrolled string `env:"GOTRUE_MAILER_SUBJECTS_MFA_FACTOR_UNENROLLED_NOTIFICATION" desc:"Subject of the MFA factor unenrolled mail, a Go template; empty means the built-in one."`

	TemplateInvite              string `env:"GOTRUE_MAILER_TEMPLATES_INVITE" desc:"Text of the invite mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateConfirmation        string `env:"GOTRUE_MAILER_TEMPLATES_CONFIRMATION" desc:"Text of the confirmation mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateRecovery            string `env:"GOTRUE_MAILER_TEMPLATES_RECOVERY" desc:"Text of the recovery mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateEmailChange         string `env:"GOTRUE_MAILER_TEMPLATES_EMAIL_CHANGE" desc:"Text of the email change mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateMagicLink           string `env:"GOTRUE_MAILER_TEMPLATES_MAGIC_LINK" desc:"Text of the magic-link mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateReauthentication    string `env:"GOTRUE_MAILER_TEMPLATES_REAUTHENTICATION" desc:"Text of the reauthentication mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplatePasswordChanged     string `env:"GOTRUE_MAILER_TEMPLATES_PASSWORD_CHANGED_NOTIFICATION" desc:"Text of the password changed mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateEmailChanged        string `env:"GOTRUE_MAILER_TEMPLATES_EMAIL_CHANGED_NOTIFICATION" desc:"Text of the email changed mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplatePhoneChanged        string `env:"GOTRUE_MAILER_TEMPLATES_PHONE_CHANGED_NOTIFICATION" desc:"Text of the phone changed mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateIdentityLinked      string `env:"GOTRUE_MAILER_TEMPLATES_IDENTITY_LINKED_NOTIFICATION" desc:"Text of the identity linked mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateIdentityUnlinked    string `env:"GOTRUE_MAILER_TEMPLATES_IDENTITY_UNLINKED_NOTIFICATION" desc:"Text of the identity unlinked mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateMFAFactorEnrolled   string `env:"GOTRUE_MAILER_TEMPLATES_MFA_FACTOR_ENROLLED_NOTIFICATION" desc:"Text of the MFA factor enrolled mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
	TemplateMFAFactorUnenrolled string `env:"GOTRUE_MAILER_TEMPLATES_MFA_FACTOR_UNENROLLED_NOTIFICATION" desc:"Text of the MFA factor unenrolled mail: a URL, or a path below the site URL, {lang} in it the language; empty means the built-in one."`
}
