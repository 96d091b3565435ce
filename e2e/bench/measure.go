package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// counted is how many requests the counting run makes, after as many to warm up.
const counted = 25

// result is one row of the report.
type result struct {
	Name    string    `json:"name"`
	Floor   string    `json:"floor"`
	Traffic traffic   `json:"per_request"`
	Runs    []measure `json:"runs"` // by number of workers

	op operation
}

// measure is one timed run. Costs are per successful operation.
type measure struct {
	load
	Server   time.Duration `json:"server_cpu_ns"`
	Postgres time.Duration `json:"postgres_cpu_ns"`
	WAL      int64         `json:"wal_bytes"`
}

// measureOperation times an operation at every level and counts its round trips in a run of its own.
func measureOperation(ctx context.Context, s *stack, op operation, d time.Duration) (result, error) {
	r := result{Name: op.name, Floor: op.floor, op: op}
	for _, workers := range levels {
		if op.countOnly {
			break
		}
		m, err := timed(ctx, s, op, workers, d)
		if err != nil {
			return r, err
		}
		r.Runs = append(r.Runs, m)
	}
	var err error
	r.Traffic, err = count(ctx, s, op)
	return r, err
}

// timed runs workers against the server and reads before and after what that cost.
func timed(ctx context.Context, s *stack, op operation, workers int, d time.Duration) (m measure, err error) {
	sources, err := op.prepare(ctx, s, workers)
	if err != nil {
		return m, err
	}
	steps, done, err := connect(s.address, sources)
	defer done()
	if err != nil {
		return m, err
	}
	if warm := drive(ctx, steps, d/10); warm.firstErr != nil {
		return m, warm.firstErr
	}
	before, err := s.usage(ctx)
	if err != nil {
		return m, err
	}
	m.load = drive(ctx, steps, d)
	if err := s.settle(ctx); err != nil { // mails are part of the cost
		return m, err
	}
	after, err := s.usage(ctx)
	if err != nil {
		return m, err
	}
	if m.firstErr != nil {
		progress("%s at %d workers: %d errors, the first: %v", op.name, workers, m.Errors, m.firstErr)
	}
	if m.Done > 0 {
		n := time.Duration(m.Done)
		m.Server, m.Postgres = (after.server-before.server)/n, (after.postgres-before.postgres)/n
		m.WAL = (after.wal - before.wal) / int64(m.Done)
	}
	return m, ctx.Err()
}

// count sends requests one by one to a server behind the proxy. Half of them warm up: statements are prepared once.
func count(ctx context.Context, s *stack, op operation) (t traffic, err error) {
	p, err := startProxy(s.databaseAddress())
	if err != nil {
		return t, err
	}
	defer p.listener.Close()
	server, address, err := s.startServer(ctx, p.address())
	if server != nil {
		defer func() { err = errors.Join(err, stopServer(server)) }()
	}
	if err != nil {
		return t, err
	}
	sources, err := op.prepare(ctx, s, 1)
	if err != nil {
		return t, err
	}
	steps, done, err := connect(address, sources)
	defer done()
	if err != nil {
		return t, err
	}
	for i := range 2 * counted {
		if i == counted {
			p.take()
		}
		if err := steps[0](); err != nil {
			return t, fmt.Errorf("counting round trips: %w", err)
		}
	}
	t = p.take()
	t.Statements /= counted
	t.RoundTrips /= counted
	return t, s.settle(ctx)
}
