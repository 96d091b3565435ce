// Package maintenance deletes what has expired, in the background, a little at a time. The rules are in
// sql/functions/maintenance. Any number of processes may run it on one database: one of them does a pass, and an advisory
// lock keeps two from working at the same time.
package maintenance

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-auth/postern/gen"
)

// batchTimeout bounds one batch; the largest take milliseconds, unless a table without an index is huge.
const batchTimeout = time.Minute

// Options adjusts a worker. Zero values mean the defaults.
type Options struct {
	Interval time.Duration                 // between two passes, of all processes together; default 1h
	Observe  func(rule string, rows int64) // is told about every batch that changed rows; default nobody
}

// Worker does passes while its Run does.
type Worker struct {
	queries *gen.Queries
	options Options
	log     *slog.Logger
}

// New makes a worker that uses connections of db, one at a time, for one short transaction after the other.
func New(db *pgxpool.Pool, o Options, log *slog.Logger) *Worker {
	o.Interval = cmp.Or(o.Interval, time.Hour)
	if o.Observe == nil {
		o.Observe = func(string, int64) {}
	}
	return &Worker{queries: gen.New(db), options: o, log: log}
}

// Run does a pass soon after its start and then one per interval, until ctx ends. It outlives failures of the database.
// The times are drawn by lot, so that processes that started together do not ask together.
func (w *Worker) Run(ctx context.Context) {
	wait := rand.N(min(time.Minute, w.options.Interval))
	for pause(ctx, wait) {
		if err := w.Pass(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("maintenance could not begin, trying again", "error", err)
		}
		wait = w.options.Interval + rand.N(w.options.Interval/10)
	}
}

// Pass runs every rule until nothing is left of it, unless another process has begun a pass within the interval. It takes
// half the interval at most. The error says why it could not begin; a rule that fails is logged and left to the next pass.
func (w *Worker) Pass(ctx context.Context) error {
	isOurs, err := w.queries.BeginMaintenance(ctx, w.options.Interval)
	if err != nil || !isOurs {
		return err
	}
	rules, err := w.queries.MaintenanceRules(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, w.options.Interval/2)
	defer cancel()
	start, total := time.Now(), int64(0)
	for len(rules) > 0 && ctx.Err() == nil {
		var open []string
		for _, rule := range rules { // in turn, so that a large one does not keep the others waiting
			rows, isDone := w.batch(ctx, rule)
			total += rows
			if !isDone {
				open = append(open, rule)
			}
		}
		rules = open
	}
	w.log.Info("maintenance", "rows", total, "took", time.Since(start).Round(time.Millisecond), "unfinished", rules)
	return nil
}

// batch runs one transaction of a rule, and rests for as long as it took.
func (w *Worker) batch(ctx context.Context, rule string) (rows int64, isDone bool) {
	if ctx.Err() != nil {
		return 0, false
	}
	start := time.Now()
	call, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	row, err := w.queries.Maintain(call, rule)
	if err != nil {
		w.failed(ctx, rule, err)
		return 0, true
	}
	if row.Rows > 0 {
		w.options.Observe(rule, row.Rows)
		pause(ctx, time.Since(start))
	}
	return max(row.Rows, 0), row.IsDone
}

// failed logs the failure of a rule and notes it in the database, unless the server is being stopped.
func (w *Worker) failed(ctx context.Context, rule string, failure error) {
	if ctx.Err() != nil {
		return
	}
	w.log.Warn("a rule of maintenance failed, trying again at the next pass", "rule", rule, "error", failure)
	call, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	if err := w.queries.NoteMaintenanceFailure(call, rule, failure.Error()); err != nil {
		w.log.Debug("the failure could not be noted", "error", err)
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
