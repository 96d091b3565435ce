package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/postern-auth/postern/api/webhook"
	"github.com/postern-auth/postern/gen"
)

// webhookTimeout limits one call of a webhook; a worker that ends waits that long.
const webhookTimeout = 10 * time.Second

// callWebhook delivers a message of the outbox. Errors: those of package webhook, and secrets that cannot be opened.
func (s *Server) callWebhook(ctx context.Context, row gen.ClaimWebhookMessageRow) error {
	var stored []struct{ ID, Stored string }
	if err := json.Unmarshal(row.Secrets, &stored); err != nil {
		return fmt.Errorf("decoding the secrets of a webhook: %w", err)
	}
	m := webhook.Message{ID: webhook.MessageID(row.WebhookID, row.EventID), URL: row.Url, Body: row.Payload}
	for _, secret := range stored {
		plain, err := s.openSecret(ctx, "webhook_secrets.secret", secret.ID, secret.Stored)
		if err != nil {
			return fmt.Errorf("decrypting a secret of the webhook: %w", err)
		}
		m.Secrets = append(m.Secrets, plain)
	}
	return s.webhooks.Send(ctx, m)
}

// answerWebhook answers the questions of sql/functions/webhooks.
func (s *Server) answerWebhook(ctx context.Context, what string, payload json.RawMessage) (json.RawMessage, error) {
	var q struct {
		URLs  []string `json:"urls"`
		ID    string   `json:"id"`
		Plain string   `json:"plain"`
	}
	if err := json.Unmarshal(payload, &q); err != nil {
		return nil, fmt.Errorf("decoding a question about a webhook: %w", err)
	}
	var answer struct {
		Refusal string `json:"refusal,omitempty"`
		Stored  string `json:"stored,omitempty"`
	}
	var err error
	switch what {
	case "urls":
		answer.Refusal, err = s.refuseURLs(ctx, q.URLs)
	case "seal":
		answer.Stored, err = s.seals.Seal(q.ID, q.Plain)
	default:
		err = fmt.Errorf("the database asks for %q of a webhook, which this server does not know", what)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}
