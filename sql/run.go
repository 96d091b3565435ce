package sql

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

// migrations runs the numbered files that this database has not seen, through tern. They run in the
// transaction of the whole installation, so tern is told not to begin one.
func (in *installation) migrations(ctx context.Context) error {
	m, err := migrate.NewMigratorEx(ctx, in.conn, versionTable, &migrate.MigratorOptions{DisableTx: true})
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	for i, f := range in.src.migrations {
		m.Migrations = append(m.Migrations, &migrate.Migration{
			Sequence:      int32(i + 1),
			Name:          f.path,
			UpFunc:        in.migration(f),
			DisableFuncTx: true,
		})
	}
	version, err := m.GetCurrentVersion(ctx)
	if err != nil {
		return fmt.Errorf("read %s: %w", versionTable, err)
	}
	if int(version) > in.src.version() {
		return nil // files() says so
	}
	if err := m.Migrate(ctx); err != nil {
		return err
	}
	// tern resets the settings after each migration.
	if _, err := in.conn.Exec(ctx, settings); err != nil {
		return fmt.Errorf("restore settings: %w", err)
	}
	return nil
}

// migration gives tern the file as a function, so that no template engine sees its braces.
func (in *installation) migration(f file) migrate.MigrationFunc {
	return func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, settings); err != nil {
			return fmt.Errorf("%s: settings: %w", f.path, err)
		}
		if _, err := conn.Exec(ctx, f.text); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		in.migrated++
		return nil
	}
}

// files installs the functions and views that changed, and then the grants. Functions whose file is
// gone stay: replicas of the previous version still call them while a new one is rolled out.
func (in *installation) files(ctx context.Context) error {
	now, err := readState(ctx, in.conn)
	if err != nil {
		return err
	}
	if now.version > in.src.version() {
		in.log.Warn("a newer Postern has migrated this database; it is left as it is",
			"version", now.version, "known", in.src.version())
		return nil
	}
	outdated := in.src.outdated(now)
	grants := in.src.grants
	grants.hash = in.src.grantsHash(now.roles)
	if len(outdated) == 0 && now.current[grantsPath] == grants.hash {
		return nil
	}
	if err := in.routines(ctx, outdated); err != nil {
		return err
	}
	if _, err := in.conn.Exec(ctx, grants.text); err != nil {
		return fmt.Errorf("%s: %w", grantsPath, err)
	}
	return in.record(ctx, append(outdated, grants))
}

// routines installs files in any order: one that needs what another file makes (a view that calls a
// function, a function that returns a view's rows, a default that calls one) is tried again after it.
func (in *installation) routines(ctx context.Context, files []file) error {
	for len(files) > 0 {
		var later []file
		var because error
		for _, f := range files {
			err := in.routine(ctx, f)
			switch {
			case err == nil:
				in.installed++
			case hasCode(err, undefinedFunction, undefinedTable, undefinedColumn, undefinedObject):
				later, because = append(later, f), err
			default:
				return err
			}
		}
		if len(later) == len(files) {
			return because
		}
		files = later
	}
	return nil
}

// dropHint finds the signature in the hint of 42P13, such as "Use DROP FUNCTION postern.f(text) first."
var dropHint = regexp.MustCompile(`DROP (FUNCTION|PROCEDURE) (\S.*\))`)

// routine installs one file. Where a function returns other rows or names its parameters in another
// way than before, exactly that function is dropped first, never what depends on it.
func (in *installation) routine(ctx context.Context, f file) error {
	isFrozen := strings.HasPrefix(f.path, "functions/rls/")
	for dropped := map[string]bool{}; ; {
		err := in.inSavepoint(ctx, f.text)
		if err == nil {
			return nil
		}
		if isFrozen && hasCode(err, insufficientPrivilege) {
			return in.checkFrozen(ctx, f)
		}
		err = fmt.Errorf("%s: %w", f.path, err)
		hint := dropHint.FindString(hintOf(err))
		if isFrozen || !hasCode(err, invalidFunctionDefinition) || hint == "" || dropped[hint] {
			return err
		}
		dropped[hint] = true
		if dropErr := in.inSavepoint(ctx, hint); dropErr != nil {
			return fmt.Errorf("%s: %s: %w", f.path, hint, dropErr)
		}
	}
}

// record notes what is installed. Going back to an earlier text forgets the later ones, so that the
// binaries which need those find the database too old.
func (in *installation) record(ctx context.Context, files []file) error {
	var paths, hashes []string
	for _, f := range files {
		paths, hashes = append(paths, f.path), append(hashes, f.hash)
	}
	_, err := in.conn.Exec(ctx, `
		delete from postern.installed_files f
		using unnest($1::text[], $2::text[]) as n (path, hash)
		join postern.installed_files earlier using (path, hash)
		where f.path = n.path and f.id >= earlier.id`, paths, hashes)
	if err != nil {
		return fmt.Errorf("record installed files: %w", err)
	}
	_, err = in.conn.Exec(ctx, `insert into postern.installed_files (path, hash)
		select * from unnest($1::text[], $2::text[])`, paths, hashes)
	if err != nil {
		return fmt.Errorf("record installed files: %w", err)
	}
	return nil
}
