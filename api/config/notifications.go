package config

import "maps"

// Notifications are the switches of the mails that tell a user what happened to the account.
type Notifications struct {
	PasswordChanged     bool `env:"GOTRUE_MAILER_NOTIFICATIONS_PASSWORD_CHANGED_ENABLED" envDefault:"false" desc:"Mail users whose password was changed."`
	EmailChanged        bool `env:"GOTRUE_MAILER_NOTIFICATIONS_EMAIL_CHANGED_ENABLED" envDefault:"false" desc:"Mail the old address when a change of address is finished."`
	PhoneChanged        bool `env:"GOTRUE_MAILER_NOTIFICATIONS_PHONE_CHANGED_ENABLED" envDefault:"false" desc:"Mail users whose phone number was changed."`
	IdentityLinked      bool `env:"GOTRUE_MAILER_NOTIFICATIONS_IDENTITY_LINKED_ENABLED" envDefault:"false" desc:"Mail users who got a new sign-in method."`
	IdentityUnlinked    bool `env:"GOTRUE_MAILER_NOTIFICATIONS_IDENTITY_UNLINKED_ENABLED" envDefault:"false" desc:"Mail users who lost a sign-in method."`
	MFAFactorEnrolled   bool `env:"GOTRUE_MAILER_NOTIFICATIONS_MFA_FACTOR_ENROLLED_ENABLED" envDefault:"false" desc:"Mail users who got a second factor."`
	MFAFactorUnenrolled bool `env:"GOTRUE_MAILER_NOTIFICATIONS_MFA_FACTOR_UNENROLLED_ENABLED" envDefault:"false" desc:"Mail users who lost a second factor."`
}

// ByKind returns the switches that are on, under the names that SQL uses: the document is read at every call.
func (n Notifications) ByKind() map[string]bool {
	kinds := map[string]bool{
		"password_changed": n.PasswordChanged, "email_changed": n.EmailChanged, "phone_changed": n.PhoneChanged,
		"identity_linked": n.IdentityLinked, "identity_unlinked": n.IdentityUnlinked,
		"mfa_factor_enrolled": n.MFAFactorEnrolled, "mfa_factor_unenrolled": n.MFAFactorUnenrolled,
	}
	maps.DeleteFunc(kinds, func(_ string, isOn bool) bool { return !isOn })
	return kinds
}
