// Package mail renders the mails that the outbox holds and hands them to an SMTP server.
//
// What a mail says is a template: an operator's, fetched by URL, or one of the built-in texts in
// folder templates. Everything here runs in the outbox worker, never inside a request.
package mail

import "time"

// Settings is the operator's configuration of mails (spec/06 section 7): the way to the SMTP server,
// and a subject and a template for each kind of mail. An empty subject or template means the built-in one.
// A template is a URL, or a path that is appended to the site URL.
type Settings struct {
	// Host of the SMTP server. Empty: nothing is sent, and every mail counts as sent.
	Host string `env:"GOTRUE_SMTP_HOST"`
	// Port 465 speaks TLS from the start; on any other port STARTTLS is used when it is offered.
	Port int `env:"GOTRUE_SMTP_PORT" envDefault:"587"`
	// User and Pass are used when the server offers AUTH.
	User string `env:"GOTRUE_SMTP_USER"`
	Pass string `env:"GOTRUE_SMTP_PASS"`
	// AdminEmail and SenderName make the From header.
	AdminEmail string `env:"GOTRUE_SMTP_ADMIN_EMAIL"`
	SenderName string `env:"GOTRUE_SMTP_SENDER_NAME"`
	// Headers is a JSON object of string lists: extra headers, where $messageType in a value stands
	// for the type of the mail. Anything else is logged and ignored.
	Headers string `env:"GOTRUE_SMTP_HEADERS"`
	// LoggingEnabled writes a line "mail.send" with type, sender and recipient for every mail.
	LoggingEnabled bool `env:"GOTRUE_SMTP_LOGGING_ENABLED"`

	// TemplateMaxSize in bytes: the rest of a longer template is cut off.
	TemplateMaxSize int64 `env:"GOTRUE_MAILER_TEMPLATE_MAX_SIZE" envDefault:"1000000"`
	// TemplateMaxAge is how long a fetched template is used before it is fetched again.
	TemplateMaxAge time.Duration `env:"GOTRUE_MAILER_TEMPLATE_MAX_AGE" envDefault:"10m"`
	// TemplateRetryInterval is the pause after a template could not be loaded.
	TemplateRetryInterval time.Duration `env:"GOTRUE_MAILER_TEMPLATE_RETRY_INTERVAL" envDefault:"10s"`

	SubjectInvite              string `env:"GOTRUE_MAILER_SUBJECTS_INVITE"`
	SubjectConfirmation        string `env:"GOTRUE_MAILER_SUBJECTS_CONFIRMATION"`
	SubjectRecovery            string `env:"GOTRUE_MAILER_SUBJECTS_RECOVERY"`
	SubjectEmailChange         string `env:"GOTRUE_MAILER_SUBJECTS_EMAIL_CHANGE"`
	SubjectMagicLink           string `env:"GOTRUE_MAILER_SUBJECTS_MAGIC_LINK"`
	SubjectReauthentication    string `env:"GOTRUE_MAILER_SUBJECTS_REAUTHENTICATION"`
	SubjectPasswordChanged     string `env:"GOTRUE_MAILER_SUBJECTS_PASSWORD_CHANGED_NOTIFICATION"`
	SubjectEmailChanged        string `env:"GOTRUE_MAILER_SUBJECTS_EMAIL_CHANGED_NOTIFICATION"`
	SubjectPhoneChanged        string `env:"GOTRUE_MAILER_SUBJECTS_PHONE_CHANGED_NOTIFICATION"`
	SubjectIdentityLinked      string `env:"GOTRUE_MAILER_SUBJECTS_IDENTITY_LINKED_NOTIFICATION"`
	SubjectIdentityUnlinked    string `env:"GOTRUE_MAILER_SUBJECTS_IDENTITY_UNLINKED_NOTIFICATION"`
	SubjectMFAFactorEnrolled   string `env:"GOTRUE_MAILER_SUBJECTS_MFA_FACTOR_ENROLLED_NOTIFICATION"`
	SubjectMFAFactorUnenrolled string `env:"GOTRUE_MAILER_SUBJECTS_MFA_FACTOR_UNENROLLED_NOTIFICATION"`

	TemplateInvite              string `env:"GOTRUE_MAILER_TEMPLATES_INVITE"`
	TemplateConfirmation        string `env:"GOTRUE_MAILER_TEMPLATES_CONFIRMATION"`
	TemplateRecovery            string `env:"GOTRUE_MAILER_TEMPLATES_RECOVERY"`
	TemplateEmailChange         string `env:"GOTRUE_MAILER_TEMPLATES_EMAIL_CHANGE"`
	TemplateMagicLink           string `env:"GOTRUE_MAILER_TEMPLATES_MAGIC_LINK"`
	TemplateReauthentication    string `env:"GOTRUE_MAILER_TEMPLATES_REAUTHENTICATION"`
	TemplatePasswordChanged     string `env:"GOTRUE_MAILER_TEMPLATES_PASSWORD_CHANGED_NOTIFICATION"`
	TemplateEmailChanged        string `env:"GOTRUE_MAILER_TEMPLATES_EMAIL_CHANGED_NOTIFICATION"`
	TemplatePhoneChanged        string `env:"GOTRUE_MAILER_TEMPLATES_PHONE_CHANGED_NOTIFICATION"`
	TemplateIdentityLinked      string `env:"GOTRUE_MAILER_TEMPLATES_IDENTITY_LINKED_NOTIFICATION"`
	TemplateIdentityUnlinked    string `env:"GOTRUE_MAILER_TEMPLATES_IDENTITY_UNLINKED_NOTIFICATION"`
	TemplateMFAFactorEnrolled   string `env:"GOTRUE_MAILER_TEMPLATES_MFA_FACTOR_ENROLLED_NOTIFICATION"`
	TemplateMFAFactorUnenrolled string `env:"GOTRUE_MAILER_TEMPLATES_MFA_FACTOR_UNENROLLED_NOTIFICATION"`
}
