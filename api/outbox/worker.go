// Package outbox delivers the messages that SQL queued in postern.outbox (DESIGN section 7): at least once, by any
// number of processes side by side, without holding a database connection while it talks to a mail server.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/gen"
)

const (
	deliverers   = 4                    // mails are sent by so many connections of one process
	batchSize    = 25                   // mails claimed at once
	linger       = 5 * time.Millisecond // after a wake-up, so that mails of a moment share a batch
	pollInterval = 2 * time.Second      // finds retries that are due, and mails of a process that died
	sendLimit    = 30 * time.Second     // for a batch; what is not sent by then goes back
	lease        = 45 * time.Second     // longer than sendLimit and the ten seconds that one mail may take after it
	cleanEvery   = time.Hour
	pause        = time.Second // after the database failed
)

// Worker delivers messages until its context ends.
type Worker struct {
	pool   *pgxpool.Pool
	db     *gen.Queries
	mailer *mail.Mailer
	log    *slog.Logger
	wake   chan struct{}
}

// New makes a worker; Run starts it.
func New(pool *pgxpool.Pool, mailer *mail.Mailer, log *slog.Logger) *Worker {
	return &Worker{pool: pool, db: gen.New(pool), mailer: mailer, log: log, wake: make(chan struct{}, 1)}
}

// Wake makes the worker look for messages now. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default: // somebody is being woken already
	}
}

// Run delivers until ctx is done, finishes the mails that are on the wire, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	var group errgroup.Group
	for range deliverers {
		group.Go(func() error { w.deliverLoop(ctx); return nil })
	}
	group.Go(func() error { w.listenLoop(ctx); return nil })
	group.Go(func() error { w.cleanLoop(ctx); return nil })
	return group.Wait()
}

func (w *Worker) deliverLoop(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := w.deliver(ctx)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				w.log.Error("delivering mail", "error", err)
			}
			sleep(ctx, pause)
		case n == batchSize:
			w.Wake() // there may be more: let another one help
		default:
			w.rest(ctx)
		}
	}
}

// rest waits until there may be something to do.
func (w *Worker) rest(ctx context.Context) {
	poll := time.NewTimer(pollInterval)
	defer poll.Stop()
	select {
	case <-ctx.Done():
	case <-poll.C:
	case <-w.wake:
		sleep(ctx, linger)
	}
}

// deliver claims a batch, sends it and records what became of each message. It returns how many it claimed.
func (w *Worker) deliver(ctx context.Context) (int, error) {
	batch, err := w.db.ClaimOutbox(ctx, gen.ClaimOutboxParams{Kind: "mail", MaxRows: batchSize, Lease: lease})
	if err != nil || len(batch) == 0 {
		return 0, err
	}
	sending, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	result := w.send(sending, batch)

	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease-sendLimit)
	defer cancel()
	_, err = w.db.FinishOutbox(recording, result)
	return len(batch), err
}

// send renders and sends a batch.
func (w *Worker) send(ctx context.Context, batch []gen.ClaimOutboxRow) gen.FinishOutboxParams {
	errs := make([]error, len(batch))
	var messages []mail.Message
	var index []int // of each message in the batch
	for i, row := range batch {
		message, err := w.mailer.Render(ctx, mail.Request{
			ID:       strconv.FormatInt(row.ID, 10) + "." + strconv.FormatInt(row.CreatedAt.UnixMicro(), 36),
			Template: row.Template, To: row.Recipient, Payload: row.Payload,
		})
		if errs[i] = err; err == nil {
			messages, index = append(messages, message), append(index, i)
		}
	}
	for j, err := range w.mailer.Send(ctx, messages) {
		errs[index[j]] = err
	}

	var result gen.FinishOutboxParams
	for i, row := range batch {
		outcome, text := classify(errs[i])
		if text != "" {
			w.log.Warn("a mail was not delivered", "id", row.ID, "mail", row.Template, "attempt", row.Attempts, "error", text)
		}
		result.Ids = append(result.Ids, row.ID)
		result.Attempts = append(result.Attempts, row.Attempts)
		result.Outcomes = append(result.Outcomes, outcome)
		result.Errors = append(result.Errors, text)
	}
	return result
}

// classify returns the outcome that postern_internal.finish_outbox() knows, and the text of the error.
func classify(err error) (outcome, text string) {
	var permanent *mail.PermanentError
	switch {
	case err == nil:
		return "sent", ""
	case errors.Is(err, mail.ErrNotTried):
		return "returned", ""
	case errors.As(err, &permanent):
		return "refused", err.Error()
	}
	return "retry", err.Error()
}

// listenLoop wakes the worker for messages that SQL callers queue. Where LISTEN is not possible, behind a pooler,
// polling finds them.
func (w *Worker) listenLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.listen(ctx); err != nil && ctx.Err() == nil {
			w.log.Debug("listening for queued mail", "error", err)
		}
		sleep(ctx, 5*pause)
	}
}

func (w *Worker) listen(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, w.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen postern_outbox"); err != nil {
		return err
	}
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
		w.Wake()
	}
}

// cleanLoop deletes old delivered messages.
func (w *Worker) cleanLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := w.db.CleanOutbox(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("cleaning the outbox", "error", err)
		}
		sleep(ctx, cleanEvery)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
