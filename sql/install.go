// Package sql holds the whole database side of Postern as embedded files, and the installer that
// brings a database to it: numbered migrations for what keeps data (tables, types, indexes), and
// files that are installed anew whenever they change (functions, views, grants).
package sql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// installLock is the key of the advisory lock that lets one Install per database run at a time.
const installLock = int64(0x706f737465726e) // "postern"

// deadlocks is how often a deadlock may end an installation before it is given up.
const deadlocks = 5

// settings of every transaction of the installer. Names are looked up in pg_catalog only, because
// the role of a Supabase database has a search path of its own; times are UTC because data steps
// write dates; bodies of functions are not checked because files come in any order.
const settings = `
	set local search_path = pg_catalog, pg_temp;
	set local time zone 'UTC';
	set local check_function_bodies = off;
	set local client_min_messages = warning;
	set local statement_timeout = 0;
	set local standard_conforming_strings = on;`

// Install brings the database behind conn to the schema of this binary: schemas, roles, migrations,
// functions, views and grants, in one transaction. Any number of processes may call it at once. It
// changes nothing, in one statement, where everything is in place, and leaves a database alone that
// a newer Postern has migrated. The connection's role must own what is in schema auth already;
// superuser is not needed. Roles that cannot be created are reported through log and left out. Settings
// that were made on conn with SET are reset.
//
// Errors: a *PrerequisiteError when an administrator has to do something first, else what
// PostgreSQL said, wrapped with the file it said it about.
func Install(ctx context.Context, conn *pgx.Conn, log *slog.Logger) error {
	src, err := readSource()
	if err != nil {
		return err
	}
	return src.install(ctx, conn, log)
}

func (s *source) install(ctx context.Context, conn *pgx.Conn, log *slog.Logger) error {
	now, err := readState(ctx, conn)
	switch {
	case hasCode(err, insufficientPrivilege): // what is missing is said below
	case err != nil:
		return err
	case s.isInstalled(now):
		return nil
	}
	// On a database in use, the locks of a migration can meet those of requests.
	for range deadlocks {
		if err = s.installOnce(ctx, conn, log); !hasCode(err, deadlockDetected) {
			break
		}
	}
	return err
}

func (s *source) installOnce(ctx context.Context, conn *pgx.Conn, log *slog.Logger) error {
	start := time.Now()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	run := &installation{conn: conn, log: log, src: s}
	if err := run.everything(ctx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	log.Info("database is up to date", "version", s.version(), "migrations", run.migrated,
		"files", run.installed, "took", time.Since(start).Round(time.Millisecond))
	return nil
}

// installation is one run of Install inside its transaction.
type installation struct {
	conn      *pgx.Conn
	log       *slog.Logger
	src       *source
	migrated  int
	installed int
}

func (in *installation) everything(ctx context.Context) error {
	lock := fmt.Sprintf("select pg_catalog.pg_advisory_xact_lock(%d);", installLock)
	if _, err := in.conn.Exec(ctx, lock+settings); err != nil {
		return fmt.Errorf("wait for other installers: %w", err)
	}
	if err := in.schemas(ctx); err != nil {
		return err
	}
	if err := in.roles(ctx); err != nil {
		return err
	}
	if err := in.migrations(ctx); err != nil {
		return err
	}
	if err := in.files(ctx); err != nil {
		return err
	}
	return in.reportLeftovers(ctx)
}

// schemas creates what has to exist before the first migration.
func (in *installation) schemas(ctx context.Context) error {
	missing, err := readPrerequisites(ctx, in.conn)
	if err != nil {
		return err
	}
	if missing.blocked() {
		return &PrerequisiteError{Role: missing.role, Statements: missing.statements}
	}
	for _, statement := range missing.statements {
		if _, err := in.conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	// Every hash that a path ever had: the last row of a path is what is installed now, the earlier
	// ones say that binaries of those versions find all they need (see Ready).
	_, err = in.conn.Exec(ctx, `
		create table if not exists postern.installed_files (
		  id bigint generated always as identity primary key,
		  path text not null,
		  hash text not null,
		  installed_at timestamptz not null default now(),
		  unique (path, hash)
		);`)
	if err != nil {
		return fmt.Errorf("create postern.installed_files: %w", err)
	}
	return nil
}

// roles creates the missing roles. One that this role may not create is reported, not fatal: the
// grants to it are left out, and made by the first Install that finds it.
func (in *installation) roles(ctx context.Context) error {
	present, err := readRoles(ctx, in.conn)
	if err != nil {
		return err
	}
	for _, role := range knownRoles {
		if present[role.name] {
			continue
		}
		err := in.inSavepoint(ctx, role.create())
		switch {
		case err == nil || hasCode(err, duplicateObject, uniqueViolation): // made by another database's installer
		case hasCode(err, insufficientPrivilege):
			in.log.Warn("role is missing and this role may not create it; grants to it are left out",
				"role", role.name, "purpose", role.purpose, "statement", role.create())
		default:
			return fmt.Errorf("create role %s: %w", role.name, err)
		}
	}
	return nil
}

// inSavepoint runs statements, in one round trip, so that their failure does not end the transaction.
func (in *installation) inSavepoint(ctx context.Context, statements string) error {
	_, err := in.conn.Exec(ctx, "savepoint step;\n"+statements+"\n;release savepoint step")
	if err == nil {
		return nil
	}
	if _, undo := in.conn.Exec(ctx, "rollback to savepoint step"); undo != nil {
		return errors.Join(err, undo)
	}
	return err
}

// A PrerequisiteError says that the role lacks rights which only an administrator can give.
type PrerequisiteError struct {
	Role       string   // the connecting role
	Statements []string // what the administrator has to run once in this database
}

func (e *PrerequisiteError) Error() string {
	return fmt.Sprintf("role %s may not create what is missing in this database; "+
		"an administrator has to run once:\n\n    %s;\n\nand then run migrate again",
		e.Role, strings.Join(e.Statements, ";\n    "))
}

// SQLSTATE codes that the installer tells apart.
const (
	invalidText               = "22P02"
	insufficientPrivilege     = "42501"
	deadlockDetected          = "40P01"
	duplicateObject           = "42710"
	uniqueViolation           = "23505"
	undefinedTable            = "42P01"
	undefinedColumn           = "42703"
	undefinedFunction         = "42883"
	undefinedObject           = "42704"
	invalidSchema             = "3F000"
	invalidFunctionDefinition = "42P13"
)

// hasCode is true for an error of PostgreSQL with one of the SQLSTATEs.
func hasCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, code := range codes {
		if pg.Code == code {
			return true
		}
	}
	return false
}

// hintOf is the HINT of an error of PostgreSQL.
func hintOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Hint
	}
	return ""
}
