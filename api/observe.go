package api

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"

	"github.com/postern-auth/postern/api/maintenance"
	"github.com/postern-auth/postern/api/outbox"
	"github.com/postern-auth/postern/api/telemetry"
)

// observe tells the metrics where their figures are.
func (s *Server) observe() {
	if s.telemetry == nil {
		return
	}
	s.passwords.Observe(s.telemetry.Hashing)
	s.telemetry.Observe(telemetry.Observed{Pool: s.pool, PasswordQueue: s.passwords.Queued, Outbox: s.outboxBacklog})
}

// outboxBacklog returns how many messages wait, and how long the oldest one that should have gone is due. Those to webhooks
// are left out: their receivers are not the operator's to mend.
func (s *Server) outboxBacklog(ctx context.Context) (depth int64, age time.Duration, err error) {
	err = s.pool.QueryRow(ctx, `select count(*), coalesce(greatest(max(postern_internal.clock() - o.next_attempt_at), '0'), '0')
		from postern.outbox as o where o.state in ('queued', 'sending') and o.kind <> 'webhook'`).Scan(&depth, &age)
	return depth, age, err
}

func (s *Server) outboxOptions() outbox.Options {
	if s.telemetry == nil {
		return outbox.Options{}
	}
	return outbox.Options{Observe: func(kind, template string, err error) {
		if kind == "mail" {
			s.telemetry.MailDelivered(template, err)
		}
	}}
}

func (s *Server) maintenanceOptions() maintenance.Options {
	o := maintenance.Options{Interval: s.cfg.Maintenance.Interval}
	if s.telemetry != nil {
		o.Observe = s.telemetry.Cleaned
	}
	return o
}

// expose answers Prometheus and pprof on ports of their own, and watches the connections, as far as that is on, until ctx
// is done.
func (s *Server) expose(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.telemetry.Run(ctx) })
	running.Go(func() { telemetry.Profile(ctx, s.cfg.Profiler, s.log) })
	if s.cfg.Metrics.Enabled && s.cfg.DB.AdvisorEnabled {
		running.Go(func() { telemetry.Advise(ctx, s.cfg.DB, s.pool, s.log) })
	}
}

// queryTracer joins those who want to know of statements; nil if nobody does.
func queryTracer(statements pgx.QueryTracer, t *telemetry.Telemetry) pgx.QueryTracer {
	switch {
	case t == nil:
		return statements
	case statements == nil:
		return t.QueryTracer()
	}
	return multitracer.New(statements, t.QueryTracer())
}

// measured is how a request ended, for metrics; e is nil unless it failed.
func (e *Error) measured(out *recorder) telemetry.Answer {
	a := telemetry.Answer{Status: out.code(), Sent: out.bytes}
	if e != nil {
		a.ErrorCode = e.Code
	}
	return a
}
