package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
)

// functionCost is what one SQL function of ours costs a request, as PostgreSQL counts it. Functions that are inlined are
// part of their callers, so one in language sql that is listed here is planned at every call.
type functionCost struct {
	Name  string        `json:"name"`
	Calls float64       `json:"calls"`   // per request
	Self  time.Duration `json:"self_ns"` // per request, without the functions it calls
	Lang  string        `json:"language"`
}

// measureFunctions prints the costs of the functions, operation by operation.
func measureFunctions(ctx context.Context, s *stack, operations []operation, d time.Duration) error {
	for _, op := range operations {
		progress("functions of %s", op.name)
		costs, err := s.functionCosts(ctx, op, d)
		if err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		printFunctions(os.Stdout, op.name, costs)
	}
	return nil
}

// functionCosts drives an operation once more, with the clock on every function: that costs time itself, so the run counts
// for nothing else.
func (s *stack) functionCosts(ctx context.Context, op operation, d time.Duration) ([]functionCost, error) {
	if err := s.trackFunctions(ctx, "all"); err != nil {
		return nil, err
	}
	if _, err := s.admin.Exec(ctx, "select pg_stat_reset()"); err != nil {
		return nil, err
	}
	m, err := timed(ctx, s, op, boundLevel, d)
	if err != nil {
		return nil, err
	}
	if err := s.trackFunctions(ctx, "none"); err != nil {
		return nil, err
	}
	if _, err := s.admin.Exec(ctx, "select pg_sleep(1.5)"); err != nil { // idle backends report within a second
		return nil, err
	}
	rows, err := s.admin.Query(ctx, `
		select f.funcname, f.calls / $1::float8, (1e6 * f.self_time / $1::float8)::bigint, l.lanname
		from pg_stat_user_functions as f join pg_proc as p on p.oid = f.funcid join pg_language as l on l.oid = p.prolang
		where f.schemaname in ('postern', 'postern_internal')
		order by f.self_time desc`, m.Done)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[functionCost])
}

func (s *stack) trackFunctions(ctx context.Context, which string) error {
	for _, statement := range []string{"alter system set track_functions = '" + which + "'", "select pg_reload_conf()"} {
		if _, err := s.admin.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// printFunctions writes what the functions of an operation cost.
func printFunctions(w io.Writer, operation string, costs []functionCost) {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s: function\tlanguage\tcalls\tself µs\t\n", operation)
	for _, c := range costs {
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.1f\t\n", c.Name, c.Lang, c.Calls, float64(c.Self)/1e3)
	}
	t.Flush()
}
