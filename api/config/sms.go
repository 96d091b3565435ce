package config

import (
	"io"
	"slices"
	"strings"
	"text/template"
	"time"
)

// SMS is about text messages to users.
type SMS struct {
	Provider          string            `env:"GOTRUE_SMS_PROVIDER" desc:"Who sends the messages: twilio, twilio_verify, messagebird, textlocal or vonage."`
	Autoconfirm       bool              `env:"GOTRUE_SMS_AUTOCONFIRM" envDefault:"false" desc:"New phone numbers count as confirmed; no code is sent."`
	MaxFrequency      time.Duration     `env:"GOTRUE_SMS_MAX_FREQUENCY" envDefault:"1m" desc:"Least time between two messages of one kind to one user."`
	OTPExp            uint              `env:"GOTRUE_SMS_OTP_EXP" envDefault:"60" desc:"Lifetime of codes in seconds."`
	OTPLength         int               `env:"GOTRUE_SMS_OTP_LENGTH" envDefault:"6" desc:"Digits of codes, 6 to 10; other values count as 6."`
	Template          string            `env:"GOTRUE_SMS_TEMPLATE" envDefault:"Your code is {{ .Code }}" desc:"Text of the messages, a Go template; {{ .Code }} is the code."`
	MFATemplate       string            `env:"GOTRUE_MFA_PHONE_TEMPLATE" envDefault:"Your code is {{ .Code }}" desc:"The same for a code of a second factor."`
	TestOTP           map[string]string `env:"GOTRUE_SMS_TEST_OTP" secret:"true" desc:"Fixed codes for testing, phone:code pairs separated by commas; these phones get no message."`
	TestOTPValidUntil time.Time         `env:"GOTRUE_SMS_TEST_OTP_VALID_UNTIL" desc:"End of the test codes; not set means never."`

	Twilio       Twilio       `envPrefix:"GOTRUE_SMS_TWILIO_"`
	TwilioVerify TwilioVerify `envPrefix:"GOTRUE_SMS_TWILIO_VERIFY_"`
	MessageBird  MessageBird  `envPrefix:"GOTRUE_SMS_MESSAGEBIRD_"`
	Textlocal    Textlocal    `envPrefix:"GOTRUE_SMS_TEXTLOCAL_"`
	Vonage       Vonage       `envPrefix:"GOTRUE_SMS_VONAGE_"`
}

// Twilio is the account for provider twilio.
type Twilio struct {
	AccountSID        string `env:"ACCOUNT_SID" desc:"Twilio: id of the account."`
	AuthToken         Secret `env:"AUTH_TOKEN" desc:"Twilio: its token."`
	MessageServiceSID string `env:"MESSAGE_SERVICE_SID" desc:"Twilio: id of the messaging service, or the number to send from."`
	ContentSID        string `env:"CONTENT_SID" desc:"Twilio: id of the content template for WhatsApp; its variable 1 is the code. Empty means GOTRUE_SMS_TEMPLATE."`
}

// TwilioVerify is the account for provider twilio_verify.
type TwilioVerify struct {
	AccountSID        string `env:"ACCOUNT_SID" desc:"Twilio Verify: id of the account."`
	AuthToken         Secret `env:"AUTH_TOKEN" desc:"Twilio Verify: its token."`
	MessageServiceSID string `env:"MESSAGE_SERVICE_SID" desc:"Twilio Verify: id of the verification service."`
}

// MessageBird is the account for provider messagebird.
type MessageBird struct {
	AccessKey  Secret `env:"ACCESS_KEY" desc:"MessageBird: key of the API."`
	Originator string `env:"ORIGINATOR" desc:"MessageBird: sender that people see."`
}

// Textlocal is the account for provider textlocal.
type Textlocal struct {
	APIKey Secret `env:"API_KEY" desc:"Textlocal: key of the API."`
	Sender string `env:"SENDER" desc:"Textlocal: sender that people see."`
}

// Vonage is the account for provider vonage.
type Vonage struct {
	APIKey    string `env:"API_KEY" desc:"Vonage: key of the API."`
	APISecret Secret `env:"API_SECRET" desc:"Vonage: its secret."`
	From      string `env:"FROM" desc:"Vonage: sender that people see."`
}

func (s *SMS) check(l *loader) {
	s.OTPLength = otpLength(s.OTPLength)
	phones := make(map[string]string, len(s.TestOTP))
	for phone, code := range s.TestOTP {
		phones[strings.NewReplacer("+", "", " ", "").Replace(phone)] = code
	}
	s.TestOTP = phones
	s.checkTemplate(l, "GOTRUE_SMS_TEMPLATE", &s.Template)
	s.checkTemplate(l, "GOTRUE_MFA_PHONE_TEMPLATE", &s.MFATemplate)
}

func (s *SMS) checkTemplate(l *loader, name string, text *string) {
	if *text == "" {
		*text = "Your code is {{ .Code }}"
	}
	if s.Provider == "" {
		return
	}
	if t, err := template.New("").Parse(*text); err != nil || t.Execute(io.Discard, struct{ Code string }{}) != nil {
		l.fail(name, "must be a Go template that uses nothing but {{ .Code }}")
	}
}

// Missing returns the names of the settings that the chosen provider needs and that are empty.
func (s *SMS) Missing() []string {
	var group any
	var optional []string
	switch s.Provider {
	case "twilio":
		group, optional = &s.Twilio, []string{"GOTRUE_SMS_TWILIO_CONTENT_SID"}
	case "twilio_verify":
		group = &s.TwilioVerify
	case "messagebird":
		group = &s.MessageBird
	case "textlocal":
		group = &s.Textlocal
	case "vonage":
		group = &s.Vonage
	default:
		return nil
	}
	var names []string
	prefix := "GOTRUE_SMS_" + strings.ToUpper(s.Provider) + "_"
	for _, setting := range settingsOf(group, prefix) {
		if setting.Value.IsZero() && !slices.Contains(optional, setting.Name) {
			names = append(names, setting.Name)
		}
	}
	return names
}

var smsProviders = []string{"twilio", "twilio_verify", "messagebird", "textlocal", "vonage"}

// UsableProvider is the provider, if it is one that there is and all its settings are given; else "".
func (s *SMS) UsableProvider() string {
	if !slices.Contains(smsProviders, s.Provider) || len(s.Missing()) > 0 {
		return ""
	}
	return s.Provider
}

// warnings returns a sentence if nothing can be sent although it is meant to.
func (s *SMS) warnings() []string {
	const consequence = ": no text message can be sent, requests for one are answered with 500"
	switch missing := s.Missing(); {
	case s.Provider != "" && !slices.Contains(smsProviders, s.Provider):
		return []string{"GOTRUE_SMS_PROVIDER must be twilio, twilio_verify, messagebird, textlocal or vonage, not " + s.Provider + consequence}
	case len(missing) > 0:
		return []string{strings.Join(missing, " and ") + " must be set for the provider of text messages" + consequence}
	}
	return nil
}
