package sms

import (
	"context"
	"net/http"
	"net/url"

	"github.com/postern-auth/postern/api/config"
)

// messageBird sends through MessageBird's SMS API.
type messageBird struct {
	poster
	account config.MessageBird
}

func (b messageBird) send(ctx context.Context, m message) (string, error) {
	var answer struct {
		ID         string
		Recipients struct{ TotalSentCount int }
		Errors     []struct {
			Code        int
			Description string
		}
	}
	status, err := b.post(ctx, "https://rest.messagebird.com/messages",
		func(r *http.Request) { r.Header.Set("Authorization", "AccessKey "+string(b.account.AccessKey)) },
		url.Values{
			"originator": {b.account.Originator}, "body": {m.text}, "recipients": {m.to},
			"type": {"sms"}, "datacoding": {"unicode"},
		}, &answer)
	switch {
	case err != nil:
		return "", err
	case len(answer.Errors) > 0:
		return "", refused("messagebird: %s (%d)", answer.Errors[0].Description, answer.Errors[0].Code)
	case !isSuccess(status):
		return "", refused("messagebird: status %d", status)
	case answer.Recipients.TotalSentCount == 0:
		return "", refused("messagebird: sent to nobody")
	}
	return answer.ID, nil
}
