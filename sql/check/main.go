// Check type-checks the body of every PL/pgSQL function against the catalog, with the extension plpgsql_check, as other
// languages do before they run. Without the extension it says so and succeeds.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/dev"
	"github.com/postern-auth/postern/sql"
)

const findings = `
	select n.nspname || '.' || p.proname || ': ' || c
	from pg_proc as p
	join pg_namespace as n on n.oid = p.pronamespace
	join pg_language as l on l.oid = p.prolang
	left join pg_trigger as t on t.tgfoid = p.oid and t.tgparentid = 0
	cross join lateral plpgsql_check_function(
	  p.oid, relid => coalesce(t.tgrelid, 0), fatal_errors => false, extra_warnings => false) as c
	where n.nspname in ('postern', 'postern_internal', 'postern_test') and l.lanname = 'plpgsql'`

func main() {
	log.SetFlags(0)
	found, err := check(context.Background())
	if err != nil {
		log.Fatalf("check: %v", err)
	}
	for _, line := range found {
		fmt.Println(line)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

func check(ctx context.Context) ([]string, error) {
	cluster, err := dev.Start(ctx, dev.Options{})
	if err != nil {
		return nil, err
	}
	defer cluster.Stop()
	conn, err := pgx.Connect(ctx, cluster.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if err := sql.Install(ctx, conn, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	if err := sql.InstallTestKit(ctx, conn); err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "create extension plpgsql_check"); err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) {
			fmt.Println("check: skipped, the extension plpgsql_check is not installed (Debian: postgresql-15-plpgsql-check)")
			return nil, nil
		}
		return nil, err
	}
	rows, err := conn.Query(ctx, findings)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
