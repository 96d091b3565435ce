package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/cmd/postern/importer"
	"github.com/postern-auth/postern/gen"
)

// importChunk is how many users go into one transaction.
const importChunk = 1000

// importFlags are the flags of `postern user import`.
type importFlags struct {
	format, hashConfig, passwords, refused string
	isDry, isUpdating, isSilent            bool
	options                                importer.Options
}

// importTotals is what `postern user import --json` prints.
type importTotals struct {
	Created int64 `json:"created"`
	Updated int64 `json:"updated"`
	Skipped int64 `json:"skipped"`
	Refused int64 `json:"refused"`
	IsDry   bool  `json:"dry_run"`
}

func userImportCommand() *cobra.Command {
	var f importFlags
	var formats []string
	for _, format := range importer.Formats() {
		formats = append(formats, fmt.Sprintf("  %-9s %s", format.Name, format.Help))
	}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import users, with their password hashes, from this or another system",
		Long: "Import the users of a file, - for standard input. Nobody is mailed. Users who exist are skipped, so the command may\n" +
			"be repeated. Users who are refused are listed with their line and the reason, and end the command with an error\n" +
			"after all others are imported. See docs/moving.md. Formats:\n\n" + strings.Join(formats, "\n"),
		Example: "  postern user import users.ndjson --dry-run\n" +
			"  postern user import users.json --format firebase --firebase-hash-config parameters.txt",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error { return importFile(cmd, files[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "postern", "what the file is, see above")
	flags.BoolVar(&f.isDry, "dry-run", false, "do everything, report, and take it back")
	flags.BoolVar(&f.isUpdating, "update", false, "bring users who exist up to the file; a password hash that differs replaces theirs")
	flags.BoolVar(&f.isSilent, "silent", false, "record no events, so that webhooks do not hear of it")
	flags.BoolVar(&f.options.Confirmed, "confirmed", false, "addresses are confirmed, for formats that do not say (django, devise)")
	flags.StringVar(&f.hashConfig, "firebase-hash-config", "", "file with the hash parameters that Firebase's console shows")
	flags.StringVar(&f.passwords, "auth0-passwords", "", "file with the export of password hashes from Auth0's support")
	flags.StringVar(&f.refused, "refused", "", "file for the users who are refused (default: standard error)")
	return cmd
}

// importFile opens what the flags name and imports the users.
func importFile(cmd *cobra.Command, name string, f importFlags) error {
	format, err := importFormat(f.format)
	if err != nil {
		return err
	}
	if f.hashConfig != "" {
		text, err := os.ReadFile(f.hashConfig)
		if err != nil {
			return fmt.Errorf("hash parameters: %w", err)
		}
		f.options.HashConfig = string(text)
	}
	if f.passwords != "" {
		file, err := os.Open(f.passwords)
		if err != nil {
			return fmt.Errorf("password hashes: %w", err)
		}
		defer file.Close()
		f.options.Passwords = file
	}
	in, size := cmd.InOrStdin(), int64(0)
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("users: %w", err)
		}
		defer file.Close()
		if info, err := file.Stat(); err == nil {
			size = info.Size()
		}
		in = file
	}
	refused := cmd.ErrOrStderr()
	if f.refused != "" {
		file, err := os.OpenFile(f.refused, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("refused users: %w", err)
		}
		defer file.Close()
		refused = file
	}
	return withConnection(cmd, func(ctx context.Context, conn *pgx.Conn) error {
		shown := newProgress(cmd.ErrOrStderr(), "users", size)
		i := &importRun{importFlags: f, conn: conn, batch: newBatch(), refused: refused, progress: shown}
		err := i.run(ctx, format, shown.reading(in))
		shown.end()
		if err != nil {
			return err
		}
		return i.tell(cmd)
	})
}

func newBatch() string { return "postern user import " + rand.Text() }

func importFormat(name string) (importer.Format, error) {
	var names []string
	for _, format := range importer.Formats() {
		if format.Name == name {
			return format, nil
		}
		names = append(names, format.Name)
	}
	return importer.Format{}, fmt.Errorf("there is no format %q; there are %s", name, strings.Join(names, ", "))
}

// importRun is an import under way.
type importRun struct {
	importFlags
	conn     *pgx.Conn
	batch    string // another one for each chunk: no scan meets the rows of those before, which are dead and, in a dry run, still there
	refused  io.Writer
	progress *progress
	totals   importTotals
	last     int // line that is imported
}

// run imports chunk by chunk. A dry run is one transaction that is rolled back, so that users who meet across chunks are seen.
func (i *importRun) run(ctx context.Context, format importer.Format, in io.Reader) error {
	i.totals.IsDry = i.isDry
	var begin func(context.Context) (pgx.Tx, error) = i.conn.Begin
	if i.isDry {
		all, err := i.conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = all.Rollback(context.WithoutCancel(ctx)) }()
		begin = all.Begin
	}
	var chunk [][]any
	for row, err := range format.Read(in, i.options) {
		if err != nil {
			return errors.Join(i.flush(ctx, begin, chunk), fmt.Errorf("after line %d: %w", i.last, err))
		}
		i.last = row.Line
		if row.Document == nil {
			i.refuse(int64(row.Line), "validation_failed", row.Problem)
			continue
		}
		chunk = append(chunk, []any{i.batch, int64(row.Line), row.Document})
		if len(chunk) == importChunk {
			if err := i.flush(ctx, begin, chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	return i.flush(ctx, begin, chunk)
}

// flush imports a chunk, rows of postern.user_imports, in a transaction of its own.
func (i *importRun) flush(ctx context.Context, begin func(context.Context) (pgx.Tx, error), chunk [][]any) error {
	if len(chunk) == 0 {
		return nil
	}
	fail := func(err error) error {
		return fmt.Errorf("from line %d on nobody is imported; the command can be repeated: %w", chunk[0][1], explain(err))
	}
	tx, err := begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing to do after the commit
	columns := []string{"batch", "line", "document"}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"postern", "user_imports"}, columns, pgx.CopyFromRows(chunk)); err != nil {
		return fail(err)
	}
	db := gen.New(tx)
	done, err := db.SqlImportUsers(ctx, gen.SqlImportUsersParams{
		Batch: i.batch, UpdateExisting: strconv.FormatBool(i.isUpdating), Silent: strconv.FormatBool(i.isSilent),
	})
	if err != nil {
		return fail(err)
	}
	refused, err := db.TakeRefusedUsers(ctx, i.batch)
	if err != nil {
		return fail(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(err)
	}
	for _, r := range refused {
		i.refuse(r.Line, r.Code, r.Message)
	}
	i.totals.Created += done.Created
	i.totals.Updated += done.Updated
	i.totals.Skipped += done.Skipped
	i.progress.add(len(chunk))
	i.batch = newBatch()
	return nil
}

func (i *importRun) refuse(line int64, code, reason string) {
	i.totals.Refused++
	i.progress.clear()
	fmt.Fprintf(i.refused, "line %d: %s: %s\n", line, code, reason)
}

// tell prints the totals, and ends the command with an error when somebody was refused.
func (i *importRun) tell(cmd *cobra.Command) error {
	t, would := i.totals, ""
	if t.IsDry {
		would = "dry run, nothing is changed: "
	}
	err := tell(cmd, t, "%s%d created, %d updated, %d skipped, %d refused", would, t.Created, t.Updated, t.Skipped, t.Refused)
	if err == nil && t.Refused > 0 {
		err = fmt.Errorf("%d users were refused", t.Refused)
	}
	return err
}
