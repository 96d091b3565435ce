package outbox

import (
	"context"
	"fmt"

	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/api/sms"
	"github.com/postern-auth/postern/gen"
)

// Carriers deliver the messages of each kind. Messages without a carrier stay in the table.
type Carriers struct {
	Mail *mail.Mailer
	SMS  *sms.Sender
	// Background is what the carriers need besides, such as fresh templates: it runs as long as they do.
	Background func(ctx context.Context)
	// Hook calls a hook over HTTP, by name, for messages of SQL callers (sql/functions/outbox/queue_hook.sql).
	Hook func(ctx context.Context, name string, payload []byte) error
	// Webhook makes one call of a webhook; errors are as package webhook reads them.
	Webhook func(ctx context.Context, row gen.ClaimWebhookMessageRow) error
}

// carrier delivers the messages of one kind.
type carrier struct {
	wake    chan struct{}
	senders int // tasks at a time
	take    taker
}

// taker claims due messages and returns the task of delivering them, nil if there are none, and whether there may be more.
type taker func(ctx context.Context, w *Worker, wake chan<- struct{}) (task func(), isMore bool)

// sender delivers a batch and returns an error or nil for each message.
type sender func(ctx context.Context, batch []gen.ClaimOutboxRow) []error

// list returns the carriers; senders is how many batches of one kind are delivered at a time.
func (c Carriers) list(senders int) []carrier {
	var list []carrier
	add := func(senders int, take taker) {
		list = append(list, carrier{make(chan struct{}, 1), senders, take})
	}
	if c.Mail != nil {
		add(senders, takeBatch("mail", c.sendMails))
	}
	if c.SMS != nil {
		add(senders, takeBatch("sms", c.sendTexts))
	}
	if c.Hook != nil {
		add(senders, takeBatch("hook", c.callHooks))
	}
	if c.Webhook != nil {
		add(webhookSenders, c.takeWebhook())
	}
	return list
}

func (c Carriers) sendMails(ctx context.Context, batch []gen.ClaimOutboxRow) []error {
	requests := make([]mail.Request, len(batch))
	for i, row := range batch {
		requests[i] = mail.Request{
			ID:       fmt.Sprintf("%d of %s", row.ID, row.CreatedAt.UTC()),
			Template: row.Template, To: row.Recipient, Payload: row.Payload,
		}
	}
	return c.Mail.Deliver(ctx, requests)
}

func (c Carriers) sendTexts(ctx context.Context, batch []gen.ClaimOutboxRow) []error {
	requests := make([]sms.Request, len(batch))
	for i, row := range batch {
		requests[i] = sms.Request{Template: row.Template, To: row.Recipient, Payload: row.Payload}
	}
	return c.SMS.Deliver(ctx, requests)
}

func (c Carriers) callHooks(ctx context.Context, batch []gen.ClaimOutboxRow) []error {
	errs := make([]error, len(batch))
	for i, row := range batch {
		if ctx.Err() != nil {
			errs[i] = mail.ErrNotTried
			continue
		}
		errs[i] = c.Hook(ctx, row.Template, row.Payload)
	}
	return errs
}
