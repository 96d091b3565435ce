package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// step does one operation and returns its error. errSpent ends the worker: what was prepared is used up.
type step func() error

var (
	errSpent = errors.New("nothing prepared is left")
	errBusy  = errors.New("refused as busy") // 503: not a fault under a flood, but no success either
)

// load is what closed-loop workers saw.
type load struct {
	Workers  int           `json:"workers"`
	Rate     float64       `json:"per_second"` // successful operations
	P50      time.Duration `json:"p50_ns"`
	P95      time.Duration `json:"p95_ns"`
	P99      time.Duration `json:"p99_ns"`
	Done     int           `json:"done"`
	Busy     int           `json:"busy"`
	Errors   int           `json:"errors"`
	firstErr error
}

// tally is what one worker counts.
type tally struct {
	took         []time.Duration
	busy, errors int
	err          error // the first
}

// drive lets each step run again and again until the time is over.
func drive(ctx context.Context, steps []step, d time.Duration) load {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	tallies := make([]tally, len(steps))
	start := time.Now()
	var group sync.WaitGroup
	for i, s := range steps {
		group.Go(func() { tallies[i].run(ctx, s) })
	}
	group.Wait()
	return merge(tallies, time.Since(start))
}

func (t *tally) run(ctx context.Context, s step) {
	for ctx.Err() == nil {
		start := time.Now()
		switch err := s(); {
		case err == nil:
			t.took = append(t.took, time.Since(start))
		case errors.Is(err, errSpent):
			return
		case errors.Is(err, errBusy):
			t.busy++
		default:
			t.errors++
			if t.err == nil {
				t.err = err
			}
		}
	}
}

func merge(tallies []tally, elapsed time.Duration) load {
	l := load{Workers: len(tallies)}
	var took []time.Duration
	for _, t := range tallies {
		took = append(took, t.took...)
		l.Busy += t.busy
		l.Errors += t.errors
		if l.firstErr == nil {
			l.firstErr = t.err
		}
	}
	slices.Sort(took)
	l.Done = len(took)
	l.Rate = float64(len(took)) / elapsed.Seconds()
	l.P50, l.P95, l.P99 = quantile(took, 0.50), quantile(took, 0.95), quantile(took, 0.99)
	return l
}

// quantile of sorted durations; 0 when there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
