package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// boundLevel is the number of workers at which shares of a floor are judged.
const boundLevel = 8

// report is all that was measured.
type report struct {
	Users      int      `json:"users"`
	Floors     []floor  `json:"floors"`
	Operations []result `json:"operations"`
	Flood      *flood   `json:"flood,omitempty"`
	Missed     []string `json:"missed"` // bounds
}

// share is a rate as a part of the floor's at the same number of workers; 0 without a floor.
func (r *report) share(floorName string, m measure) float64 {
	for _, f := range r.Floors {
		i := slices.IndexFunc(f.Runs, func(l load) bool { return l.Workers == m.Workers })
		if f.Name == floorName && i >= 0 && f.Runs[i].Rate > 0 {
			return m.Rate / f.Runs[i].Rate
		}
	}
	return 0
}

// judge fills Missed.
func (r *report) judge() {
	miss := func(format string, args ...any) { r.Missed = append(r.Missed, fmt.Sprintf(format, args...)) }
	for _, o := range r.Operations {
		if o.op.trips > 0 && o.Traffic.RoundTrips != o.op.trips {
			miss("%s takes %.2f round trips, not %g", o.Name, o.Traffic.RoundTrips, o.op.trips)
		}
		for _, m := range o.Runs {
			if m.Errors > 0 {
				miss("%s fails %d times at %d workers: %v", o.Name, m.Errors, m.Workers, m.firstErr)
			}
			if share := r.share(o.Floor, m); m.Workers == boundLevel && share < o.op.bound {
				miss("%s reaches %.1f %% of %s, not %.0f %%", o.Name, 100*share, o.Floor, 100*o.op.bound)
			}
		}
	}
	if r.Flood == nil {
		return
	}
	for _, l := range []load{r.Flood.Idle, r.Flood.Flooded, r.Flood.SignIns} {
		if l.Errors > 0 {
			miss("%d errors around the login flood: %v", l.Errors, l.firstErr)
		}
	}
	if r.Flood.Ratio > floodBound {
		miss("refresh under a login flood has %.1f times its idle p99, not %.0f", r.Flood.Ratio, floodBound)
	}
}

// print writes the report as text.
func (r *report) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "floor\tworkers\tper second\tp50 ms\tp95 ms\tp99 ms\tpgbench\t")
	for _, f := range r.Floors {
		for _, l := range f.Runs {
			fmt.Fprintf(t, "%s\t%d\t%.0f\t%s\t%s\t\n", f.Name, l.Workers, l.Rate, l.times(), f.Pgbench[l.Workers])
		}
	}
	fmt.Fprintln(t, "\t")
	fmt.Fprintln(t, "operation\tworkers\tper second\tp50 ms\tp95 ms\tp99 ms\terrors\tof floor\tserver CPU ms\tPostgreSQL CPU ms\tWAL bytes\tstatements\tround trips\t")
	for _, o := range r.Operations {
		counts := fmt.Sprintf("%g\t%g\t", o.Traffic.Statements, o.Traffic.RoundTrips)
		for _, m := range o.Runs {
			fmt.Fprintf(t, "%s\t%d\t%.0f\t%s\t%d\t%.1f %% of %s\t%s\t%s\t%d\t%s\n", o.Name, m.Workers, m.Rate, m.times(),
				m.Errors+m.Busy, 100*r.share(o.Floor, m), o.Floor, ms(m.Server), ms(m.Postgres), m.WAL, counts)
		}
		if len(o.Runs) == 0 {
			fmt.Fprintf(t, "%s\t\t\t\t\t\t\t\t\t\t\t%s\n", o.Name, counts)
		}
	}
	t.Flush()
	if f := r.Flood; f != nil {
		fmt.Fprintf(w, "\nlogin flood: refresh p99 %s ms idle, %s ms while %d workers sign in (%.1f times); "+
			"refresh %.0f/s idle, %.0f/s flooded; %.0f sign-ins/s, %d refused as busy\n", ms(f.Idle.P99), ms(f.Flooded.P99),
			flooders, f.Ratio, f.Idle.Rate, f.Flooded.Rate, f.SignIns.Rate, f.SignIns.Busy)
	}
	for _, missed := range r.Missed {
		fmt.Fprintln(w, "MISSED:", missed)
	}
}

func (l load) times() string { return ms(l.P50) + "\t" + ms(l.P95) + "\t" + ms(l.P99) }

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }
