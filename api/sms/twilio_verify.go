package sms

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/postern-auth/postern/api/config"
)

// twilioVerify lets Twilio make, send and check the codes.
type twilioVerify struct {
	poster
	account config.TwilioVerify
}

func (t twilioVerify) send(ctx context.Context, m message) (string, error) {
	status, answer, err := t.ask(ctx, "Verifications", url.Values{"To": {"+" + m.to}, "Channel": {m.channel}})
	switch {
	case err != nil:
		return "", err
	case !isSuccess(status):
		return "", refused("twilio_verify: %d %s (%d)", status, answer.Message, answer.Code)
	}
	return answer.SID, nil
}

// check is false for a wrong code, for one that was never sent, has expired or was used (404), and when too many wrong
// ones were tried (429).
func (t twilioVerify) check(ctx context.Context, phone, code string) (bool, error) {
	status, answer, err := t.ask(ctx, "VerificationCheck", url.Values{"To": {"+" + phone}, "Code": {code}})
	var later *laterError
	switch {
	case errors.As(err, &later) && later.status == http.StatusTooManyRequests:
		return false, nil
	case err != nil:
		return false, err
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return false, refused("twilio_verify: %d %s (%d)", status, answer.Message, answer.Code)
	}
	return isSuccess(status) && answer.Status == "approved" && answer.Valid, nil
}

func (t twilioVerify) ask(ctx context.Context, resource string, form url.Values) (status int, answer twilioAnswer, err error) {
	status, err = t.post(ctx, "https://verify.twilio.com/v2/Services/"+url.PathEscape(t.account.MessageServiceSID)+"/"+resource,
		basicAuth(t.account.AccountSID, t.account.AuthToken), form, &answer)
	return status, answer, err
}
