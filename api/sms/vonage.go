package sms

import (
	"context"
	"errors"
	"net/url"
	"unicode"

	"github.com/postern-auth/postern/api/config"
)

// vonage sends through Vonage's SMS API, formerly Nexmo. It answers 200 whatever happens.
type vonage struct {
	poster
	account config.Vonage
}

// The codes of Vonage for what may pass.
const vonageThrottled, vonageInternalError = "1", "5"

func (v vonage) send(ctx context.Context, m message) (string, error) {
	form := url.Values{
		"from": {v.account.From}, "to": {m.to}, "text": {m.text},
		"api_key": {v.account.APIKey}, "api_secret": {string(v.account.APISecret)},
	}
	for _, r := range m.text {
		if r > unicode.MaxASCII {
			form.Set("type", "unicode")
			break
		}
	}
	var answer struct {
		Messages []struct {
			ID        string `json:"message-id"`
			Status    string `json:"status"`
			ErrorText string `json:"error-text"`
		}
	}
	status, err := v.post(ctx, "https://rest.nexmo.com/sms/json", nil, form, &answer)
	switch {
	case err != nil:
		return "", err
	case !isSuccess(status):
		return "", refused("vonage: status %d", status)
	case len(answer.Messages) == 0:
		return "", errors.New("vonage: the answer is about no message")
	}
	switch first := answer.Messages[0]; first.Status {
	case "0":
		return first.ID, nil
	case vonageThrottled, vonageInternalError:
		return "", errors.New("vonage: " + first.ErrorText + " (" + first.Status + ")")
	default:
		return "", refused("vonage: %s (%s)", first.ErrorText, first.Status)
	}
}
