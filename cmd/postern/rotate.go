package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/seal"
	"github.com/postern-auth/postern/gen"
)

// rotateEncryptionCommand seals everything that is stored encrypted, or should be, under the current key.
func rotateEncryptionCommand() *cobra.Command {
	var batch int
	var isJSON bool
	cmd := &cobra.Command{
		Use:   "rotate-encryption",
		Short: "Encrypt all stored secrets with the current key",
		Long: "Encrypt password hashes, secrets of second factors, keys of refresh tokens and client secrets in the database\n" +
			"in DATABASE_URL with the current key of GOTRUE_SECURITY_DB_ENCRYPTION_*, where they are plain or under another key.\n" +
			"Servers may run; they need the new key among their decryption keys first. Stop it at any time and start it again:\n" +
			"what is done is skipped. When all is done without unreadable values, the old key can go.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if batch < 1 {
				return errors.New("--batch must be 1 or more")
			}
			settings, err := config.LoadEncryption(os.Environ())
			if err != nil {
				return err
			}
			keys, err := seal.New(settings)
			if err != nil {
				return err
			}
			if !keys.Encrypts() {
				return errors.New("GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT is not true: there is no current key to encrypt with")
			}
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				return rotateEncryption(ctx, cmd, db, keys, batch, isJSON)
			})
		},
	}
	cmd.Flags().IntVar(&batch, "batch", 500, "rows to read and write at a time")
	cmd.Flags().BoolVar(&isJSON, "json", false, "print JSON")
	return cmd
}

func rotateEncryption(ctx context.Context, cmd *cobra.Command, db *gen.Queries, keys *seal.Keys, batch int, isJSON bool) error {
	unreadable := 0
	var report []seal.Rotation
	for _, column := range seal.Columns {
		done, err := keys.Rotate(ctx, db, column, batch, func(id string, err error) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s of %s: %v\n", column, id, err)
		})
		if err != nil {
			return err
		}
		report = append(report, done)
		unreadable += done.Unreadable
		if !isJSON {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d checked, %d encrypted anew, %d unreadable\n", column, done.Checked, done.Sealed, done.Unreadable)
		}
	}
	if isJSON {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(report); err != nil {
			return err
		}
	}
	if unreadable > 0 {
		return fmt.Errorf("%d values cannot be read with the keys in GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS and stay as they were", unreadable)
	}
	return nil
}
