package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/api/webhook"
	"github.com/postern-auth/postern/gen"
)

const (
	webhookSenders = 32 // calls of webhooks at a time
	perWebhook     = 4  // of them to one webhook: a slow receiver leaves the rest to others
)

// underWay counts the calls to each webhook.
type underWay struct {
	mu    sync.Mutex
	calls map[uuid.UUID]int
}

func (u *underWay) begin(id uuid.UUID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls[id]++
}

// end reports whether the webhook was busy until now.
func (u *underWay) end(id uuid.UUID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.calls[id]--; u.calls[id] == 0 {
		delete(u.calls, id)
	}
	return u.calls[id] == perWebhook-1
}

// busy returns the webhooks that get no further call for now; not nil.
func (u *underWay) busy() []uuid.UUID {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := []uuid.UUID{}
	for id, n := range u.calls {
		if n >= perWebhook {
			list = append(list, id)
		}
	}
	return list
}

// takeWebhook claims one message to a webhook. Each is a task of its own: receivers differ in speed, and one result does
// not wait for another.
func (c Carriers) takeWebhook() taker {
	calls := &underWay{calls: map[uuid.UUID]int{}}
	return func(ctx context.Context, w *Worker, wake chan<- struct{}) (task func(), isMore bool) {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		claimed := time.Now()
		rows, err := w.queries.ClaimWebhookMessage(call, calls.busy(), w.options.Lease)
		if err != nil {
			w.log.Warn("the messages to webhooks could not be read, trying again", "error", err)
		}
		if len(rows) == 0 {
			return nil, false
		}
		calls.begin(rows[0].WebhookID)
		return func() {
			w.callWebhook(ctx, c.Webhook, rows[0], claimed.Add(w.options.Lease))
			if calls.end(rows[0].WebhookID) {
				wakeUp(wake)
			}
		}, true
	}
}

// callWebhook delivers a message and records the result. The call is finished when ctx ends meanwhile.
func (w *Worker) callWebhook(
	ctx context.Context, send func(context.Context, gen.ClaimWebhookMessageRow) error, row gen.ClaimWebhookMessageRow,
	leaseEnd time.Time,
) {
	err := errNotTried
	if ctx.Err() == nil {
		err = send(context.WithoutCancel(ctx), row)
	}
	outcome, text := webhookOutcome(err)
	if w.options.Observe != nil && outcome != "returned" {
		w.options.Observe("webhook", row.EventType, err)
	}
	if text != "" {
		w.log.Warn("a webhook was not told of an event", "webhook", row.WebhookID, "event", row.EventID, "type", row.EventType,
			"attempt", row.Attempts, "outcome", outcome, "error", text)
	}
	result := gen.FinishWebhookMessageParams{
		ID: row.ID, Attempts: row.Attempts, Outcome: outcome, ErrorText: text,
		RetryAfterSeconds: webhook.RetryAfter(err).Seconds(),
	}
	w.persist(ctx, leaseEnd, []int64{row.ID}, func(call context.Context) error {
		isDisabled, err := w.queries.FinishWebhookMessage(call, result)
		if isDisabled {
			w.log.Warn("a webhook was disabled, because its receiver wants no more messages", "webhook", row.WebhookID)
		}
		return err
	})
}

// errNotTried is a message that goes back to the queue.
var errNotTried = errors.New("not tried")

// webhookOutcome translates the result of a call to what finish_webhook_message() calls it.
func webhookOutcome(err error) (outcome, text string) {
	switch {
	case err == nil:
		return "sent", ""
	case errors.Is(err, errNotTried):
		return "returned", ""
	case webhook.IsGone(err):
		outcome = "gone"
	case webhook.IsRefused(err):
		outcome = "refused"
	default:
		outcome = "retry"
	}
	return outcome, storable(err)
}
