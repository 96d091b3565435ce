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
}

// carrier delivers the messages of one kind, the word in column postern.outbox.kind.
type carrier struct {
	kind    string
	wake    chan struct{}
	deliver func(ctx context.Context, batch []gen.ClaimOutboxRow) []error
}

func (c Carriers) list() []carrier {
	var list []carrier
	if c.Mail != nil {
		list = append(list, carrier{"mail", make(chan struct{}, 1), c.sendMails})
	}
	if c.SMS != nil {
		list = append(list, carrier{"sms", make(chan struct{}, 1), c.sendTexts})
	}
	if c.Hook != nil {
		list = append(list, carrier{"webhook", make(chan struct{}, 1), c.callHooks})
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
