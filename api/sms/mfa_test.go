package sms_test

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/sms"
)

// Codes of second factors have a text of their own.
func TestTextOfSecondFactors(t *testing.T) {
	t.Parallel()
	there := newStandIn(t, says(201, `{"sid":"SM1","status":"queued"}`))
	s := newSender(t, there, append(twilio, "GOTRUE_MFA_PHONE_TEMPLATE=Second factor: {{ .Code }}")...)
	payload := []byte(`{"otp": "123456", "channel": "sms"}`)
	for _, kind := range []string{"mfa", "confirmation"} {
		if err := s.Deliver(t.Context(), []sms.Request{{Template: kind, To: "15551234567", Payload: payload}})[0]; err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"Body=Second+factor%3A+123456&", "Body=Your+code+is+123456&"} {
		if !strings.Contains(there.requests[i], want) {
			t.Errorf("message %d: %s", i, there.requests[i])
		}
	}
}
