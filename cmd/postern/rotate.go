package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/seal"
)

func rotateEncryptionCommand() *cobra.Command {
	var batch int
	cmd := &cobra.Command{
		Use:   "rotate-encryption",
		Short: "Encrypt what is stored under the current key",
		Long: "Encrypt passwords, secrets of second factors, keys of refresh tokens and client secrets in the database anew:\n" +
			"those that are plain, and those under another key than GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY_ID. Servers\n" +
			"may run meanwhile, with the same keys. It can be stopped at any time; the next run does what is left.\n" +
			"docs/passwords.md has the steps of a change of keys.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(append(append([]string{}, unrelated...), os.Environ()...))
			if err != nil {
				return err
			}
			keys, err := seal.New(cfg.Encryption)
			if err != nil {
				return err
			}
			if !keys.Encrypts() {
				return errors.New("GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT is not true: there is no key to encrypt with")
			}
			if batch < 1 {
				return errors.New("--batch must be at least 1")
			}
			return withConnection(cmd, func(ctx context.Context, conn *pgx.Conn) error {
				return rotateAll(ctx, &rotation{conn, keys, batch, cmd.OutOrStdout(), cmd.ErrOrStderr()})
			})
		},
	}
	cmd.Flags().IntVar(&batch, "batch", 500, "rows that are changed, and locked, at once")
	return cmd
}

// sealedColumn is a column that holds encrypted values (spec/05 section 8). max is its length in bytes, 0 for any.
type sealedColumn struct {
	table, column string
	max           int
}

var sealedColumns = []sealedColumn{
	{"users", "encrypted_password", seal.MaxPassword},
	{"mfa_factors", "secret", 0},
	{"mfa_challenges", "otp_code", 0},
	{"sessions", "refresh_token_hmac_key", 0},
	{"custom_oauth_providers", "client_secret", 0},
}

// rotation is a run of the command.
type rotation struct {
	conn          *pgx.Conn
	keys          *seal.Keys
	batch         int
	out, progress io.Writer
}

// rotated counts the values of a column by what became of them.
type rotated struct{ read, renewed, changed, tooLong, unreadable int }

func (c rotated) String() string {
	text := fmt.Sprintf("%d read, %d encrypted anew", c.read, c.renewed)
	if c.changed > 0 {
		text += fmt.Sprintf(", %d changed by others meanwhile", c.changed)
	}
	if c.tooLong > 0 {
		text += fmt.Sprintf(", %d too long to be encrypted", c.tooLong)
	}
	if c.unreadable > 0 {
		text += fmt.Sprintf(", %d cannot be decrypted", c.unreadable)
	}
	return text
}

// rotateAll goes through all columns. It fails at the end when values are left that cannot be decrypted.
func rotateAll(ctx context.Context, r *rotation) error {
	unreadable := 0
	for _, column := range sealedColumns {
		count, err := r.rotateColumn(ctx, column)
		if err != nil {
			return fmt.Errorf("%s.%s (%s so far; run the command again to go on): %w", column.table, column.column, count, err)
		}
		fmt.Fprintf(r.out, "%s.%s: %s\n", column.table, column.column, count)
		unreadable += count.unreadable
	}
	if unreadable > 0 {
		return fmt.Errorf("%d values cannot be decrypted with GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS; they stay as they are", unreadable)
	}
	return nil
}

// rotateColumn goes through the rows in the order of their ids, so that every row that was there is met once.
func (r *rotation) rotateColumn(ctx context.Context, c sealedColumn) (count rotated, err error) {
	after, told := "00000000-0000-0000-0000-000000000000", time.Now()
	for {
		rows, err := r.read(ctx, c, after)
		if err != nil || len(rows) == 0 {
			return count, err
		}
		after = rows[len(rows)-1].ID
		if err := r.renew(ctx, c, rows, &count); err != nil {
			return count, err
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			fmt.Fprintf(r.progress, "%s.%s: %s, up to %s\n", c.table, c.column, count, after)
		}
	}
}

type storedValue struct{ ID, Value string }

func (r *rotation) read(ctx context.Context, c sealedColumn, after string) ([]storedValue, error) {
	rows, err := r.conn.Query(ctx, fmt.Sprintf(
		"select id::text, %[2]s::text from auth.%[1]s where id > $1::text::uuid and %[2]s <> '' order by id limit %[3]d",
		c.table, c.column, r.batch), after)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[storedValue])
}

// renew seals what needs it, and stores it where the value is still the one that was read: whoever changed it meanwhile
// has the last word.
func (r *rotation) renew(ctx context.Context, c sealedColumn, rows []storedValue, count *rotated) error {
	var ids, before, after []string
	for _, row := range rows {
		count.read++
		plain, isStale, err := r.keys.Open(row.ID, row.Value)
		if err != nil {
			count.unreadable++
			fmt.Fprintf(r.progress, "%s.%s of %s: %v\n", c.table, c.column, row.ID, err)
			continue
		}
		if !isStale {
			continue
		}
		sealed, err := r.keys.Seal(row.ID, plain)
		if err != nil {
			return err
		}
		if c.max > 0 && len(sealed) > c.max {
			count.tooLong++
			continue
		}
		ids, before, after = append(ids, row.ID), append(before, row.Value), append(after, sealed)
	}
	if len(ids) == 0 {
		return nil
	}
	tag, err := r.conn.Exec(ctx, fmt.Sprintf(replaceSealed, c.table, c.column), ids, before, after)
	if err != nil {
		return err
	}
	count.renewed += int(tag.RowsAffected())
	count.changed += len(ids) - int(tag.RowsAffected())
	return nil
}

// replaceSealed takes ids, values that were read, and new ones. It locks in the order of ids, as everybody does.
const replaceSealed = `
with change as (
  select c.id::uuid as id, c.before, c.after
  from unnest($1::text[], $2::text[], $3::text[]) as c (id, before, after)
),
locked as (
  select t.id, change.after
  from auth.%[1]s as t
  join change on change.id = t.id and change.before = t.%[2]s
  order by t.id
  for no key update of t
)
update auth.%[1]s as t set %[2]s = locked.after from locked where t.id = locked.id`
