// Package outbox delivers the messages that transactions leave in table postern.outbox.
//
// Any number of workers, in any number of processes, share the table: a worker claims messages for
// the time of a lease, sends them without holding a database connection, and records what became of
// them. A worker that dies, or loses the database, leaves its messages to others when the lease has
// passed. So each message is delivered at least once, and once in the normal case. The rules are in
// sql/functions/outbox.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/api/sms"
	"github.com/postern-auth/postern/gen"
)

const (
	callTimeout = 5 * time.Second // of one statement
	retryPause  = time.Second     // after a statement failed
	listenPause = 30 * time.Second
)

// Options adjusts a worker. Zero values mean the defaults.
type Options struct {
	Senders int           // batches of one kind in delivery at a time, but for webhooks; default 8
	Batch   int           // messages claimed at a time, mails are sent over one connection; default 20
	Lease   time.Duration // how long a claim holds, far above the time one message may take (10 s); default 1m
	Poll    time.Duration // how often to look without being woken; default 2s
	Pace    time.Duration // least time between two claims unless there is a backlog; default 50ms
	// Observe is told about every attempt to deliver a message; default nobody.
	Observe func(kind, template string, err error)
}

// Worker delivers messages while its Run does.
type Worker struct {
	db      *pgxpool.Pool
	queries *gen.Queries
	current atomic.Pointer[crew]
	options Options
	log     *slog.Logger
}

// crew are the carriers of one configuration.
type crew struct {
	carriers   []carrier
	background func(context.Context)
	replaced   chan struct{} // closed when others take over
}

// New makes a worker that takes messages from db and delivers them through the carriers.
func New(db *pgxpool.Pool, c Carriers, o Options, log *slog.Logger) *Worker {
	o.Senders = cmp.Or(o.Senders, 8)
	o.Batch = cmp.Or(o.Batch, 20)
	o.Lease = cmp.Or(o.Lease, time.Minute)
	o.Poll = cmp.Or(o.Poll, 2*time.Second)
	o.Pace = cmp.Or(o.Pace, 50*time.Millisecond)
	w := &Worker{db: db, queries: gen.New(db), options: o, log: log}
	w.SetCarriers(c)
	return w
}

// SetCarriers has other carriers deliver from now on, after a reload. What is on the wire is finished.
func (w *Worker) SetCarriers(c Carriers) {
	before := w.current.Swap(&crew{carriers: c.list(w.options.Senders), background: c.Background, replaced: make(chan struct{})})
	if before != nil {
		close(before.replaced)
	}
}

// Wake makes the worker look for messages now. Call it after a request that may have queued one; it
// never blocks and costs next to nothing.
func (w *Worker) Wake() {
	for _, c := range w.current.Load().carriers {
		wakeUp(c.wake)
	}
}

func wakeUp(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// Run delivers messages until ctx ends. Then the messages on the wire are finished (10 s at most), the
// other claimed ones go back to the queue, and Run returns. It outlives failures of the database, of
// the mail server and of the provider of text messages.
func (w *Worker) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { w.listen(ctx) })
	for ctx.Err() == nil {
		now := w.current.Load()
		shift, end := context.WithCancel(ctx)
		for _, c := range now.carriers {
			running.Go(func() { w.carry(shift, c) })
		}
		if now.background != nil {
			running.Go(func() { now.background(shift) })
		}
		select {
		case <-now.replaced:
		case <-ctx.Done():
		}
		end()
	}
}

// carry delivers the messages of one kind. Each kind has its own senders, so that a slow provider of
// one holds up nothing else.
func (w *Worker) carry(ctx context.Context, c carrier) {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, c.senders)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		task, isMore := c.take(ctx, w, c.wake)
		if task == nil {
			<-slots
		} else {
			running.Go(func() {
				defer func() { <-slots }()
				task()
			})
		}
		if !isMore && !w.await(ctx, c.wake) {
			return
		}
	}
}

// takeBatch claims due messages of one kind, the word in column postern.outbox.kind.
func takeBatch(kind string, send sender) taker {
	return func(ctx context.Context, w *Worker, _ chan<- struct{}) (task func(), isMore bool) {
		claimed := time.Now()
		batch := w.claim(ctx, kind)
		if len(batch) == 0 {
			return nil, false
		}
		return func() { w.deliver(ctx, kind, send, batch, claimed.Add(w.options.Lease)) }, len(batch) == w.options.Batch
	}
}

// await waits until there may be messages: woken, but not sooner than the pace allows, so that under
// load messages gather to batches; or by the clock. It reports false when ctx ended.
func (w *Worker) await(ctx context.Context, wake <-chan struct{}) bool {
	if !pause(ctx, w.options.Pace) {
		return false
	}
	poll := time.NewTimer(w.options.Poll)
	defer poll.Stop()
	select {
	case <-wake:
	case <-poll.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// claim takes due messages. It does not stop halfway when ctx ends: a claim that the database has
// made and nobody knows of would hold its messages up until the lease has passed.
func (w *Worker) claim(ctx context.Context, kind string) []gen.ClaimOutboxRow {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	batch, err := w.queries.ClaimOutbox(call, gen.ClaimOutboxParams{
		Kind: kind, MaxRows: int32(w.options.Batch), Lease: w.options.Lease,
	})
	if err != nil {
		w.log.Warn("the outbox could not be read, trying again", "error", err)
		return nil
	}
	return batch
}

// deliver sends a batch and records the results. It stops sending at half time of the lease, so that
// a slow server cannot make it outlive its claim.
func (w *Worker) deliver(ctx context.Context, kind string, send sender, batch []gen.ClaimOutboxRow, leaseEnd time.Time) {
	sending, cancel := context.WithDeadline(ctx, leaseEnd.Add(-w.options.Lease/2))
	defer cancel()
	var results gen.FinishOutboxParams
	for i, err := range send(sending, batch) {
		row := batch[i]
		outcome, text := outcomeOf(err)
		if w.options.Observe != nil && outcome != "returned" {
			w.options.Observe(kind, row.Template, err)
		}
		if text != "" {
			w.log.Warn("a message was not delivered", "kind", kind, "id", row.ID, "template", row.Template,
				"attempt", row.Attempts, "outcome", outcome, "error", text)
		}
		results.Ids = append(results.Ids, row.ID)
		results.Attempts = append(results.Attempts, row.Attempts)
		results.Outcomes = append(results.Outcomes, outcome)
		results.Errors = append(results.Errors, text)
	}
	w.persist(ctx, leaseEnd, results.Ids, func(call context.Context) error {
		_, err := w.queries.FinishOutbox(call, results)
		return err
	})
}

// outcomeOf translates the result of a delivery to what finish_outbox() calls it.
func outcomeOf(err error) (outcome, text string) {
	var permanent *mail.PermanentError
	var refused *sms.RefusedError
	switch {
	case err == nil:
		return "sent", ""
	case errors.Is(err, mail.ErrNotTried), errors.Is(err, sms.ErrNotTried):
		return "returned", ""
	case errors.As(err, &permanent), errors.As(err, &refused):
		outcome = "refused"
	default:
		outcome = "retry"
	}
	return outcome, storable(err)
}

// storable is the message of an error as text that PostgreSQL can store, whatever the other side said.
func storable(err error) string {
	return strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "?")
}

// persist tells the database what became of messages. It tries until the lease has passed; then they are others'
// business. When ctx has ended it tries once.
func (w *Worker) persist(ctx context.Context, leaseEnd time.Time, ids []int64, record func(call context.Context) error) {
	for {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		err := record(call)
		cancel()
		if err == nil {
			return
		}
		w.log.Warn("the results of deliveries could not be recorded", "ids", ids, "error", err)
		if time.Now().After(leaseEnd) || !pause(ctx, retryPause) {
			return
		}
	}
}

// listen wakes the worker when a transaction outside the servers has queued a message. It needs a
// connection of its own; behind a pooler in transaction mode it hears nothing, and polling has to do.
func (w *Worker) listen(ctx context.Context) {
	for {
		err := w.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		w.log.Debug("not listening for messages, polling only", "error", err)
		if !pause(ctx, listenPause) {
			return
		}
	}
}

func (w *Worker) listenOnce(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, w.db.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "listen postern_outbox"); err != nil {
		return err
	}
	for {
		w.Wake() // also at the beginning: something may have come before
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

// pause waits for d and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
