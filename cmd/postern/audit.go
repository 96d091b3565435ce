package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api/audit"
)

// auditCommand reads the audit log from the command line; no server has to run.
func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Export the audit log",
		Long: "Read the audit log of the database in DATABASE_URL, as its owner or as a member of postern_admin.\n" +
			"docs/audit.md lists the actions and the members of an entry.",
	}
	cmd.AddCommand(auditExportCommand())
	return cmd
}

func auditExportCommand() *cobra.Command {
	var filter audit.Filter
	var since, until string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print entries as NDJSON, oldest first",
		Example: "  postern audit export --since 24h > yesterday.ndjson\n" +
			"  postern audit export --since 2026-01-01 --until 2026-02-01 --user ann@example.com",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			now := time.Now()
			if filter.Since, err = parseMoment(since, now); err != nil {
				return fmt.Errorf("--since: %w", err)
			}
			if filter.Until, err = parseMoment(until, now); err != nil {
				return fmt.Errorf("--until: %w", err)
			}
			return exportAudit(cmd, filter)
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "from this time on: 2026-01-31, 2026-01-31T12:00:00Z, or how long ago, such as 24h")
	cmd.Flags().StringVar(&until, "until", "", "before this time, in the same forms")
	cmd.Flags().StringVar(&filter.Action, "action", "", "only this action, such as login")
	cmd.Flags().StringVar(&filter.User, "user", "", "only what concerns this user: an id or an e-mail address")
	return cmd
}

// exportAudit streams entries to the output; nothing is kept in memory.
func exportAudit(cmd *cobra.Command, filter audit.Filter) error {
	ctx := cmd.Context()
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		return errors.New("DATABASE_URL is not set; it says which database holds the audit log")
	}
	conn, err := connectForMigration(ctx, url)
	if err != nil {
		return fmt.Errorf("connecting to DATABASE_URL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := audit.Start(ctx, conn, filter)
	if err != nil {
		return explain(err)
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	_, err = rows.Write(out, out.Flush)
	return explain(err)
}

// parseMoment reads a day, a time, or a duration that counts back from now; "" is no time.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no day such as 2026-01-31, no time such as 2026-01-31T12:00:00Z and no duration such as 24h", text)
}
