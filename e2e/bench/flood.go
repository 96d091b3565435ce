package main

import (
	"context"
	"time"
)

const (
	flooders   = 64
	refreshers = 2
	floodBound = 3.0 // p99 of refresh under the flood, as a multiple of the idle one
)

// flood tells how refresh fares while everybody signs in with a password.
type flood struct {
	Idle    load    `json:"refresh_idle"`
	Flooded load    `json:"refresh_flooded"`
	SignIns load    `json:"sign_ins"`
	Ratio   float64 `json:"p99_ratio"`
}

func measureFlood(ctx context.Context, s *stack, d time.Duration) (*flood, error) {
	sources, err := prepareRefresh(ctx, s, refreshers)
	if err != nil {
		return nil, err
	}
	refresh, done, err := connect(s.address, sources)
	defer done()
	if err != nil {
		return nil, err
	}
	f := &flood{}
	drive(ctx, refresh, d/10) // to warm up
	f.Idle = drive(ctx, refresh, d)

	if sources, err = preparePassword(ctx, s, flooders); err != nil {
		return nil, err
	}
	signIn, done, err := connect(s.address, sources)
	defer done()
	if err != nil {
		return nil, err
	}
	finished := make(chan load)
	go func() { finished <- drive(ctx, signIn, d+d/2) }()
	drive(ctx, refresh, d/4) // until the flood is in full swing
	f.Flooded = drive(ctx, refresh, d)
	f.SignIns = <-finished
	if f.Idle.P99 > 0 {
		f.Ratio = float64(f.Flooded.P99) / float64(f.Idle.P99)
	}
	return f, ctx.Err()
}
