package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/sql"
)

func migrateCommand() *cobra.Command {
	var isPlan, hasTestKit bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to the schema of this version",
		Long: "Bring the database in DATABASE_URL to the schema of this version: from empty, or from a Supabase Auth\n" +
			"database of any age. Safe to run again, and from many processes at once.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if isPlan {
				return withMigrationConnection(cmd, func(conn *pgx.Conn) error {
					return printPlan(cmd.Context(), cmd.OutOrStdout(), conn)
				})
			}
			if err := migrate(cmd); err != nil || !hasTestKit {
				return err
			}
			return withMigrationConnection(cmd, func(conn *pgx.Conn) error {
				return sql.InstallTestKit(cmd.Context(), conn)
			})
		},
	}
	cmd.Flags().BoolVar(&isPlan, "plan", false, "print what would run and change nothing")
	cmd.Flags().BoolVar(&hasTestKit, "test-kit", false,
		"install schema postern_test as well, for databases of developers; drop schema postern_test cascade removes it")
	cmd.MarkFlagsMutuallyExclusive("plan", "test-kit")
	return cmd
}

// migrate brings the database of the settings to the schema of this version.
func migrate(cmd *cobra.Command) error {
	return withMigrationConnection(cmd, func(conn *pgx.Conn) error {
		return sql.Install(cmd.Context(), conn, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
	})
}

func withMigrationConnection(cmd *cobra.Command, f func(*pgx.Conn) error) error {
	url := databaseURL()
	if url == "" {
		return errors.New("DATABASE_URL is not set; it says which database to migrate, for example " +
			"postgres://supabase_auth_admin:secret@localhost:5432/postgres")
	}
	conn, err := connectForMigration(cmd.Context(), url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(cmd.Context()))
	return f(conn)
}

// databaseURL is the setting of that name, by either of its names.
func databaseURL() string {
	return cmp.Or(os.Getenv("GOTRUE_DB_DATABASE_URL"), os.Getenv("DATABASE_URL"))
}

// connectForMigration opens one connection that prepares no statements, which also works through a
// pooler in transaction mode.
func connectForMigration(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "postern migrate"
	}
	return pgx.ConnectConfig(ctx, config)
}

// printPlan writes one line per step of sql.Install.
func printPlan(ctx context.Context, out io.Writer, conn *pgx.Conn) error {
	steps, err := sql.Plan(ctx, conn)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		_, err := fmt.Fprintln(out, "nothing to do: the database is up to date")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, step := range steps {
		fmt.Fprintf(table, "%s\t%s\t%s\n", step.Kind, step.Name, step.Detail)
	}
	return table.Flush()
}
