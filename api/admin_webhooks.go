package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/postern-auth/postern/gen"
)

// webhookParams is the body of POST and PUT, as the database gets it. Members that are missing or null change nothing.
type webhookParams struct {
	URL         *string  `json:"url,omitzero"`
	EventTypes  []string `json:"event_types,omitzero"`
	Description *string  `json:"description,omitzero"`
	Enabled     *bool    `json:"enabled,omitzero"`
}

// webhookBody reads the body; what is wrong with it counts after what the database checks first.
func webhookBody(r *request) (document, refused json.RawMessage) {
	var p webhookParams
	err := r.decode(&p)
	if err != nil {
		p = webhookParams{}
	}
	document, _ = json.Marshal(p) // what was decoded: cannot fail
	return document, refusal(err)
}

// adminListWebhooks lists webhooks: GET /admin/webhooks (docs/webhooks.md, as all of these).
func (s *Server) adminListWebhooks(ctx context.Context, _ *request) (reply, error) {
	webhooks, err := s.db.ListWebhooks(ctx)
	if err != nil {
		return nil, err
	}
	return jsonReply(map[string]json.RawMessage{"webhooks": webhooks}, nil)
}

// adminCreateWebhook adds a webhook and shows its secret, once: POST /admin/webhooks. The database asks this server to look
// up the address and to encrypt the secret.
func (s *Server) adminCreateWebhook(ctx context.Context, r *request) (reply, error) {
	defer s.outbox.Wake()
	body, refused := webhookBody(r)
	created, err := answeringCall(ctx, r, true, func(db *gen.Queries, c json.RawMessage) ([]byte, error) {
		return db.CreateWebhook(ctx, gen.CreateWebhookParams{Webhook: body, Refusal: refused, Context: c})
	})
	if err != nil {
		return nil, err
	}
	return plainReply(func(w http.ResponseWriter) { writeJSON(w, http.StatusCreated, created) }), nil
}

// adminGetWebhook shows a webhook: GET /admin/webhooks/{id}.
func (s *Server) adminGetWebhook(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("webhook_id")
	if err != nil {
		return nil, err
	}
	found, err := s.db.GetWebhook(ctx, id)
	if err != nil {
		return nil, err
	}
	return document(found), nil
}

// adminUpdateWebhook changes a webhook: PUT /admin/webhooks/{id}.
func (s *Server) adminUpdateWebhook(ctx context.Context, r *request) (reply, error) {
	defer s.outbox.Wake()
	id, err := r.pathUUID("webhook_id")
	if err != nil {
		return nil, err
	}
	body, refused := webhookBody(r)
	updated, err := answeringCall(ctx, r, true, func(db *gen.Queries, c json.RawMessage) ([]byte, error) {
		return db.UpdateWebhook(ctx, gen.UpdateWebhookParams{ID: id, Changes: body, Refusal: refused, Context: c})
	})
	if err != nil {
		return nil, err
	}
	return document(updated), nil
}

// adminDeleteWebhook removes a webhook: DELETE /admin/webhooks/{id}.
func (s *Server) adminDeleteWebhook(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("webhook_id")
	if err != nil {
		return nil, err
	}
	if err := s.db.DeleteWebhook(ctx, id, r.context()); err != nil {
		return nil, err
	}
	return noContent{}, nil
}

// adminRotateWebhookSecret gives a webhook a new secret and shows it, once: POST /admin/webhooks/{id}/rotate-secret.
func (s *Server) adminRotateWebhookSecret(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("webhook_id")
	if err != nil {
		return nil, err
	}
	var p struct {
		KeepSeconds *float64 `json:"keep_old_seconds"`
	}
	body, refused := r.readBody()
	if refused == nil && len(body) > 0 {
		refused = r.decode(&p)
	}
	rotated, err := answeringCall(ctx, r, true, func(db *gen.Queries, c json.RawMessage) ([]byte, error) {
		return db.RotateWebhookSecret(ctx, gen.RotateWebhookSecretParams{
			ID: id, KeepSeconds: p.KeepSeconds, Refusal: refusal(refused), Context: c,
		})
	})
	if err != nil {
		return nil, err
	}
	return document(rotated), nil
}

// adminReplayEvents sends a webhook events of the past: POST /admin/webhooks/{id}/replay.
func (s *Server) adminReplayEvents(ctx context.Context, r *request) (reply, error) {
	defer s.outbox.Wake()
	id, err := r.pathUUID("webhook_id")
	if err != nil {
		return nil, err
	}
	var p struct {
		From *int64 `json:"from_event_id"`
		To   *int64 `json:"to_event_id"`
	}
	refused := refusal(r.decode(&p))
	outcome, err := s.db.ReplayEvents(ctx, gen.ReplayEventsParams{ID: id, FromID: p.From, ToID: p.To, Refusal: refused})
	if err != nil {
		return nil, err
	}
	return document(outcome), nil
}
