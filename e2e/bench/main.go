// Command bench measures the real server on a durable PostgreSQL cluster of its own, over HTTP on loopback, beside
// what the machine itself gives: the floors. docs/performance.md says how to read it. It exits with 1 when a bound
// of that page is missed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	duration  time.Duration
	only      string
	json      bool
	users     int
	repo      string
	functions bool
}

// levels are the numbers of closed-loop workers.
var levels = [...]int{1, 8, 32}

func main() {
	var o options
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "length of each measurement")
	flag.StringVar(&o.only, "only", "", "regular expression: only the operations it matches, and flood")
	flag.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	flag.IntVar(&o.users, "users", 100_000, "users in the database")
	flag.StringVar(&o.repo, "repo", ".", "root of the repository")
	flag.BoolVar(&o.functions, "functions", false, "print what each SQL function costs, instead of the rest")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// errBounds says that the report names what is too slow.
var errBounds = errors.New("a bound is missed")

// bench runs everything and prints the report.
func bench(ctx context.Context, o options) (err error) {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	s, err := startStack(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	operations := slices.DeleteFunc(operations(), func(op operation) bool { return !only.MatchString(op.name) })
	if o.functions {
		return measureFunctions(ctx, s, operations, o.duration)
	}
	r := &report{Users: o.users}
	if r.Floors, err = measureFloors(ctx, s, o.duration); err != nil {
		return err
	}
	for _, op := range operations {
		progress("%s", op.name)
		row, err := measureOperation(ctx, s, op, o.duration)
		if err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		r.Operations = append(r.Operations, row)
	}
	if only.MatchString("flood") {
		progress("login flood")
		if r.Flood, err = measureFlood(ctx, s, 2*o.duration); err != nil {
			return fmt.Errorf("login flood: %w", err)
		}
	}
	r.judge()
	if o.json {
		err = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		r.print(os.Stdout)
	}
	if err == nil && len(r.Missed) > 0 {
		err = errBounds
	}
	return err
}

// progress tells a waiting person what is going on.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "... "+format+"\n", args...) }
