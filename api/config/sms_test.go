package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSMSProvider(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings []string
		usable   string
		warning  string // part of it; "" for none
	}{
		"none": {nil, "", ""},
		"twilio": {[]string{"GOTRUE_SMS_PROVIDER=twilio", "GOTRUE_SMS_TWILIO_ACCOUNT_SID=a", "GOTRUE_SMS_TWILIO_AUTH_TOKEN=b",
			"GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID=c"}, "twilio", ""},
		"twilio without a token": {[]string{"GOTRUE_SMS_PROVIDER=twilio", "GOTRUE_SMS_TWILIO_ACCOUNT_SID=a", "GOTRUE_SMS_TWILIO_CONTENT_SID=d"}, "",
			"GOTRUE_SMS_TWILIO_AUTH_TOKEN and GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID must be set for the provider of text messages"},
		"twilio_verify": {[]string{"GOTRUE_SMS_PROVIDER=twilio_verify", "GOTRUE_SMS_TWILIO_VERIFY_ACCOUNT_SID=a", "GOTRUE_SMS_TWILIO_VERIFY_AUTH_TOKEN=b",
			"GOTRUE_SMS_TWILIO_VERIFY_MESSAGE_SERVICE_SID=c"}, "twilio_verify", ""},
		"twilio_verify with twilio's": {[]string{"GOTRUE_SMS_PROVIDER=twilio_verify", "GOTRUE_SMS_TWILIO_ACCOUNT_SID=a", "GOTRUE_SMS_TWILIO_AUTH_TOKEN=b",
			"GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID=c"}, "", "GOTRUE_SMS_TWILIO_VERIFY_ACCOUNT_SID and"},
		"messagebird":               {[]string{"GOTRUE_SMS_PROVIDER=messagebird", "GOTRUE_SMS_MESSAGEBIRD_ACCESS_KEY=a", "GOTRUE_SMS_MESSAGEBIRD_ORIGINATOR=b"}, "messagebird", ""},
		"messagebird without a key": {[]string{"GOTRUE_SMS_PROVIDER=messagebird", "GOTRUE_SMS_MESSAGEBIRD_ORIGINATOR=b"}, "", "GOTRUE_SMS_MESSAGEBIRD_ACCESS_KEY must"},
		"textlocal":                 {[]string{"GOTRUE_SMS_PROVIDER=textlocal", "GOTRUE_SMS_TEXTLOCAL_API_KEY=a", "GOTRUE_SMS_TEXTLOCAL_SENDER=b"}, "textlocal", ""},
		"textlocal without":         {[]string{"GOTRUE_SMS_PROVIDER=textlocal"}, "", "GOTRUE_SMS_TEXTLOCAL_API_KEY and GOTRUE_SMS_TEXTLOCAL_SENDER"},
		"vonage":                    {[]string{"GOTRUE_SMS_PROVIDER=vonage", "GOTRUE_SMS_VONAGE_API_KEY=a", "GOTRUE_SMS_VONAGE_API_SECRET=b", "GOTRUE_SMS_VONAGE_FROM=c"}, "vonage", ""},
		"vonage without a sender":   {[]string{"GOTRUE_SMS_PROVIDER=vonage", "GOTRUE_SMS_VONAGE_API_KEY=a", "GOTRUE_SMS_VONAGE_API_SECRET=b"}, "", "GOTRUE_SMS_VONAGE_FROM must"},
		"another":                   {[]string{"GOTRUE_SMS_PROVIDER=pigeon"}, "", "GOTRUE_SMS_PROVIDER must be twilio, twilio_verify, messagebird, textlocal or vonage, not pigeon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := load(t, c.settings...).SMS
			if got := s.UsableProvider(); got != c.usable {
				t.Errorf("usable: %q, want %q", got, c.usable)
			}
			warnings := strings.Join(s.warnings(), "\n")
			if (warnings == "") != (c.warning == "") || !strings.Contains(warnings, c.warning) {
				t.Errorf("warnings %q, want %q", warnings, c.warning)
			}
		})
	}
}

// A template that cannot work stops the start, once messages are sent at all (spec/06 section 8).
func TestSMSTemplate(t *testing.T) {
	t.Parallel()
	for template, isGood := range map[string]bool{
		"{{ .Code }} is your code": true, "code": true, "": true, "{{ .Code": false, "{{ .Token }}": false, "{{ template \"x\" }}": false,
	} {
		setting := "GOTRUE_SMS_TEMPLATE=" + template
		if _, err := Load(append([]string{setting, "GOTRUE_SMS_PROVIDER=twilio"}, required...)); (err == nil) != isGood {
			t.Errorf("%q: %v", template, err)
		} else if err != nil && !strings.Contains(err.Error(), "GOTRUE_SMS_TEMPLATE is") {
			t.Errorf("%q: %v", template, err)
		}
		load(t, setting) // without a provider
	}
	if got := load(t, "GOTRUE_SMS_TEMPLATE=").SMS.Template; got != "Your code is {{ .Code }}" {
		t.Errorf("empty: %q", got)
	}
}

func TestSMSDefaults(t *testing.T) {
	t.Parallel()
	c := load(t)
	got := []any{c.SMS.MaxFrequency, c.SMS.OTPExp, c.SMS.OTPLength, c.SMS.Template, c.SMS.Autoconfirm, c.API.InternalHTTPTimeout}
	if d := cmp.Diff([]any{time.Minute, uint(60), 6, "Your code is {{ .Code }}", false, 10 * time.Second}, got); d != "" {
		t.Error(d)
	}
}
