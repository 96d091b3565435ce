package mail

// kind is what Postern knows about one kind of mail.
type kind struct {
	linkType string // the word for it in links, logs and $messageType
	subject  string // the built-in subject, a template
	custom   func(*Settings) (subject, template string)
}

// kinds returns the kinds of mail by the name that column postern.outbox.template holds. The
// built-in body of a kind is templates/<name>.html.
func kinds() map[string]kind {
	return map[string]kind{
		"invite": {"invite", "You've been invited",
			func(s *Settings) (string, string) { return s.SubjectInvite, s.TemplateInvite }},
		"confirmation": {"signup", "Confirm your email address",
			func(s *Settings) (string, string) { return s.SubjectConfirmation, s.TemplateConfirmation }},
		"recovery": {"recovery", "Reset your password",
			func(s *Settings) (string, string) { return s.SubjectRecovery, s.TemplateRecovery }},
		"email_change": {"email_change", "Confirm your new email address",
			func(s *Settings) (string, string) { return s.SubjectEmailChange, s.TemplateEmailChange }},
		"magic_link": {"magiclink", "Your sign-in link",
			func(s *Settings) (string, string) { return s.SubjectMagicLink, s.TemplateMagicLink }},
		"reauthentication": {"reauthenticate", "{{ .Token }} is your verification code",
			func(s *Settings) (string, string) { return s.SubjectReauthentication, s.TemplateReauthentication }},
		"password_changed_notification": {"password_changed_notification", "Your password was changed",
			func(s *Settings) (string, string) { return s.SubjectPasswordChanged, s.TemplatePasswordChanged }},
		"email_changed_notification": {"email_changed_notification", "Your email address was changed",
			func(s *Settings) (string, string) { return s.SubjectEmailChanged, s.TemplateEmailChanged }},
		"phone_changed_notification": {"phone_changed_notification", "Your phone number was changed",
			func(s *Settings) (string, string) { return s.SubjectPhoneChanged, s.TemplatePhoneChanged }},
		"identity_linked_notification": {"identity_linked_notification",
			"A new sign-in method was linked to your account",
			func(s *Settings) (string, string) { return s.SubjectIdentityLinked, s.TemplateIdentityLinked }},
		"identity_unlinked_notification": {"identity_unlinked_notification",
			"A sign-in method was removed from your account",
			func(s *Settings) (string, string) { return s.SubjectIdentityUnlinked, s.TemplateIdentityUnlinked }},
		"mfa_factor_enrolled_notification": {"mfa_factor_enrolled_notification",
			"A new verification method was added to your account",
			func(s *Settings) (string, string) { return s.SubjectMFAFactorEnrolled, s.TemplateMFAFactorEnrolled }},
		"mfa_factor_unenrolled_notification": {"mfa_factor_unenrolled_notification",
			"A verification method was removed from your account",
			func(s *Settings) (string, string) { return s.SubjectMFAFactorUnenrolled, s.TemplateMFAFactorUnenrolled }},
	}
}
