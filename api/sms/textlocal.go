package sms

import (
	"context"
	"net/url"

	"github.com/postern-auth/postern/api/config"
)

// textlocal sends through Textlocal, which gives no ids.
type textlocal struct {
	poster
	account config.Textlocal
}

func (t textlocal) send(ctx context.Context, m message) (string, error) {
	var answer struct {
		Status string
		Errors []struct {
			Code    int
			Message string
		}
	}
	status, err := t.post(ctx, "https://api.textlocal.in/send", nil, url.Values{
		"sender": {t.account.Sender}, "apikey": {string(t.account.APIKey)}, "message": {m.text}, "numbers": {m.to},
	}, &answer)
	switch {
	case err != nil:
		return "", err
	case len(answer.Errors) > 0:
		return "", refused("textlocal: %s (%d)", answer.Errors[0].Message, answer.Errors[0].Code)
	case !isSuccess(status) || answer.Status != "success":
		return "", refused("textlocal: status %d %s", status, answer.Status)
	}
	return "", nil
}
