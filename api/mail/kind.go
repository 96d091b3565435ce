package mail

import (
	"maps"
	"slices"
)

// kind is what Postern knows about one kind of mail.
type kind struct {
	linkType string // the word for it in links, logs and $messageType
	custom   func(*Settings) (subject, template string)
}

// Kinds returns the names of the kinds of mail, sorted, as postern.outbox.template and the files of
// POSTERN_MAILER_TEMPLATES_DIR have them.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds())) }

// kinds returns the kinds of mail by name. The built-in text of a kind is
// templates/<language>/<name>.html.
func kinds() map[string]kind {
	return map[string]kind{
		"invite": {"invite",
			func(s *Settings) (string, string) { return s.SubjectInvite, s.TemplateInvite }},
		"confirmation": {"signup",
			func(s *Settings) (string, string) { return s.SubjectConfirmation, s.TemplateConfirmation }},
		"recovery": {"recovery",
			func(s *Settings) (string, string) { return s.SubjectRecovery, s.TemplateRecovery }},
		"email_change": {"email_change",
			func(s *Settings) (string, string) { return s.SubjectEmailChange, s.TemplateEmailChange }},
		"magic_link": {"magiclink",
			func(s *Settings) (string, string) { return s.SubjectMagicLink, s.TemplateMagicLink }},
		"reauthentication": {"reauthenticate",
			func(s *Settings) (string, string) { return s.SubjectReauthentication, s.TemplateReauthentication }},
		"password_changed_notification": {"password_changed_notification",
			func(s *Settings) (string, string) { return s.SubjectPasswordChanged, s.TemplatePasswordChanged }},
		"email_changed_notification": {"email_changed_notification",
			func(s *Settings) (string, string) { return s.SubjectEmailChanged, s.TemplateEmailChanged }},
		"phone_changed_notification": {"phone_changed_notification",
			func(s *Settings) (string, string) { return s.SubjectPhoneChanged, s.TemplatePhoneChanged }},
		"identity_linked_notification": {"identity_linked_notification",
			func(s *Settings) (string, string) { return s.SubjectIdentityLinked, s.TemplateIdentityLinked }},
		"identity_unlinked_notification": {"identity_unlinked_notification",
			func(s *Settings) (string, string) { return s.SubjectIdentityUnlinked, s.TemplateIdentityUnlinked }},
		"mfa_factor_enrolled_notification": {"mfa_factor_enrolled_notification",
			func(s *Settings) (string, string) { return s.SubjectMFAFactorEnrolled, s.TemplateMFAFactorEnrolled }},
		"mfa_factor_unenrolled_notification": {"mfa_factor_unenrolled_notification",
			func(s *Settings) (string, string) { return s.SubjectMFAFactorUnenrolled, s.TemplateMFAFactorUnenrolled }},
	}
}
