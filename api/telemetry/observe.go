package telemetry

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"

	"github.com/postern-auth/postern/api/config"
)

// figureTimeout limits a question to the database for a figure.
const figureTimeout = 2 * time.Second

// Observed are the parts of a server whose figures are looked up when somebody asks.
type Observed struct {
	Pool *pgxpool.Pool
	// PasswordQueue returns how many passwords wait to be hashed.
	PasswordQueue func() int
	// Outbox returns how many messages wait, and how long the oldest one is due.
	Outbox func(ctx context.Context) (depth int64, age time.Duration, err error)
}

// Observe registers the figures of a server.
func (t *Telemetry) Observe(o Observed) {
	pool := func(read func(*pgxpool.Stat) int64) func(context.Context) (int64, bool) {
		return func(context.Context) (int64, bool) { return read(o.Pool.Stat()), true }
	}
	outbox := func(read func(depth int64, age time.Duration) int64) func(context.Context) (int64, bool) {
		return func(ctx context.Context) (int64, bool) {
			ctx, cancel := context.WithTimeout(ctx, figureTimeout)
			defer cancel()
			depth, age, err := o.Outbox(ctx)
			return read(depth, age), err == nil
		}
	}
	err := t.recorded.observe(
		gauge{name: "db.sql.connection.max_open", what: "Most connections.", read: pool(func(s *pgxpool.Stat) int64 { return int64(s.MaxConns()) })},
		gauge{name: "db.sql.connection.open", what: "Connections.", read: pool(func(s *pgxpool.Stat) int64 { return int64(s.AcquiredConns()) }),
			attributes: []attribute.KeyValue{attribute.String("status", "inuse")}},
		gauge{name: "db.sql.connection.open", what: "Connections.", read: pool(func(s *pgxpool.Stat) int64 { return int64(s.IdleConns()) }),
			attributes: []attribute.KeyValue{attribute.String("status", "idle")}},
		gauge{name: "db.sql.connection.wait", isTotal: true, what: "Calls that had to wait for a connection.",
			read: pool(func(s *pgxpool.Stat) int64 { return s.EmptyAcquireCount() })},
		gauge{name: "db.sql.connection.wait_duration", isTotal: true, unit: "ms", what: "Time that calls waited for a connection.",
			read: pool(func(s *pgxpool.Stat) int64 { return s.EmptyAcquireWaitTime().Milliseconds() })},
		gauge{name: "postern_password_queue", what: "Passwords that wait to be hashed.",
			read: func(context.Context) (int64, bool) { return int64(o.PasswordQueue()), true }},
		gauge{name: "postern_outbox_depth", what: "Messages that wait for delivery.",
			read: outbox(func(depth int64, _ time.Duration) int64 { return depth })},
		gauge{name: "postern_outbox_age", unit: "s", what: "How long the oldest waiting message is due.",
			read: outbox(func(_ int64, age time.Duration) int64 { return int64(age.Seconds()) })},
	)
	if err != nil {
		t.log.Error("some metrics are missing", "error", err)
	}
}

// Advise warns in the log when calls wait for connections, until ctx is done (GOTRUE_DB_ADVISOR_*).
func Advise(ctx context.Context, c config.Database, pool *pgxpool.Pool, log *slog.Logger) {
	tick := time.NewTicker(c.AdvisorSampling)
	defer tick.Stop()
	observed := time.Now()
	before := pool.Stat()
	busy, samples := 0, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := pool.Stat()
		samples++
		if now.AcquiredConns() >= now.MaxConns() {
			busy++
		}
		if time.Since(observed) < c.AdvisorObserving {
			continue
		}
		if waits := now.EmptyAcquireCount() - before.EmptyAcquireCount(); busy > 0 && waits > 0 {
			log.Warn("calls wait for database connections: raise GOTRUE_DB_MAX_POOL_SIZE or GOTRUE_DB_CONN_PERCENTAGE, or start another server",
				"component", "advisor", "waits", waits, "waited", now.EmptyAcquireWaitTime()-before.EmptyAcquireWaitTime(),
				"busy_percent", 100*busy/samples, "max_connections", now.MaxConns())
		}
		observed, before, busy, samples = time.Now(), now, 0, 0
	}
}
