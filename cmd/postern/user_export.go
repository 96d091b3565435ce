package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/gen"
)

// exportPage is how many users one query returns.
const exportPage = 1000

func userExportCommand() *cobra.Command {
	var hasSecrets bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Export all users as NDJSON, which postern user import reads",
		Long: "Write all users to standard output, one JSON document on each line, as they are at one moment. Without --secrets\n" +
			"nobody can sign in with a password where the file is imported.",
		Example: "  postern user export --secrets > users.ndjson",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withConnection(cmd, func(ctx context.Context, conn *pgx.Conn) error {
				return exportUsers(ctx, cmd, conn, hasSecrets)
			})
		},
	}
	cmd.Flags().BoolVar(&hasSecrets, "secrets", false, "with password hashes and second factors")
	return cmd
}

// exportUsers reads page after page in one snapshot, so that a database of any size needs no memory.
func exportUsers(ctx context.Context, cmd *cobra.Command, conn *pgx.Conn, hasSecrets bool) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	out := bufio.NewWriter(cmd.OutOrStdout())
	shown := newProgress(cmd.ErrOrStderr(), "users", 0)
	defer shown.end()
	for after := ""; ; {
		page, err := gen.New(tx).SqlExportUsers(ctx, gen.SqlExportUsersParams{
			Secrets: strconv.FormatBool(hasSecrets), After: after, MaxRows: strconv.Itoa(exportPage),
		})
		if err != nil {
			return err
		}
		for _, document := range page {
			fmt.Fprintln(out, document)
		}
		shown.add(len(page))
		if len(page) < exportPage {
			return out.Flush()
		}
		var last struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal([]byte(page[len(page)-1]), &last); err != nil {
			return fmt.Errorf("reading the last user of a page: %w", err)
		}
		after = last.ID
	}
}
