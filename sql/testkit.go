package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// InstallTestKit makes or renews schema postern_test in the database behind conn, which Install has brought to the schema of
// this binary before. Nothing else installs it; dropping the schema removes it.
//
// Errors: a *PrerequisiteError where the role may not create the schema, else what PostgreSQL said.
func InstallTestKit(ctx context.Context, conn *pgx.Conn) error {
	src, err := readSource()
	if err != nil {
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	lock := fmt.Sprintf("select pg_catalog.pg_advisory_xact_lock(%d);", installLock)
	if _, err := conn.Exec(ctx, lock+settings); err != nil {
		return fmt.Errorf("wait for other installers: %w", err)
	}
	if err := makeTestSchema(ctx, conn); err != nil {
		return err
	}
	for _, f := range src.testKit {
		if _, err := conn.Exec(ctx, f.text); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func makeTestSchema(ctx context.Context, conn *pgx.Conn) error {
	var exists, mayCreate bool
	var role string
	err := conn.QueryRow(ctx, `select to_regnamespace('postern_test') is not null,
		has_database_privilege(current_database(), 'CREATE'), quote_ident(current_user)`).Scan(&exists, &mayCreate, &role)
	switch {
	case err != nil:
		return fmt.Errorf("look for schema postern_test: %w", err)
	case exists:
		return nil
	case !mayCreate:
		return &PrerequisiteError{Role: role, Statements: []string{"create schema postern_test authorization " + role}}
	}
	if _, err := conn.Exec(ctx, "create schema postern_test"); err != nil {
		return fmt.Errorf("create schema postern_test: %w", err)
	}
	return nil
}
