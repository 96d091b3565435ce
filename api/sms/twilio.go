package sms

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"

	"github.com/postern-auth/postern/api/config"
)

const whatsApp = "whatsapp"

// twilio sends through Twilio's Programmable Messaging.
type twilio struct {
	poster
	account config.Twilio
}

// twilioAnswer is what both APIs of Twilio answer, as far as it counts.
type twilioAnswer struct {
	SID          string `json:"sid"`
	Status       string `json:"status"`
	Valid        bool   `json:"valid"`
	Code         int    `json:"code"`          // of a refused request
	Message      string `json:"message"`       // the same in words
	ErrorCode    any    `json:"error_code"`    // of a message that failed
	ErrorMessage string `json:"error_message"` // the same in words
}

// number is a sender that is a phone number, and not the id of a messaging service.
var number = regexp.MustCompile(`^\+?[1-9][0-9]{1,14}$`)

func (t twilio) send(ctx context.Context, m message) (string, error) {
	to, from := "+"+m.to, t.account.MessageServiceSID
	form := url.Values{"Channel": {m.channel}}
	switch {
	case m.channel != whatsApp:
		form.Set("Body", m.text)
	case t.account.ContentSID != "":
		form.Set("ContentSid", t.account.ContentSID)
		code, _ := json.Marshal(m.code) // digits: cannot fail
		form.Set("ContentVariables", `{"1": `+string(code)+`}`)
	default:
		form.Set("Body", m.text)
	}
	if m.channel == whatsApp {
		to = whatsApp + ":" + to
		if number.MatchString(from) {
			from = whatsApp + ":" + from
		}
	}
	form.Set("To", to)
	form.Set("From", from)

	var answer twilioAnswer
	status, err := t.post(ctx, "https://api.twilio.com/2010-04-01/Accounts/"+url.PathEscape(t.account.AccountSID)+"/Messages.json",
		basicAuth(t.account.AccountSID, t.account.AuthToken), form, &answer)
	switch {
	case err != nil:
		return "", err
	case !isSuccess(status):
		return "", refused("twilio: %d %s (%d)", status, answer.Message, answer.Code)
	case answer.Status == "failed" || answer.Status == "undelivered":
		return "", refused("twilio: %s: %s (%v)", answer.Status, cmp.Or(answer.ErrorMessage, answer.Message), answer.ErrorCode)
	}
	return answer.SID, nil
}

func basicAuth(user string, password config.Secret) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, string(password)) }
}
