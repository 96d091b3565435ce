package sql

import (
	"context"
	"fmt"
)

// A TooOldError says that a database lacks something that this binary calls.
type TooOldError struct {
	Version int    // of the database; 0: never migrated
	Need    int    // of this binary
	Path    string // the first file of this binary that is not installed, where the version is enough
}

func (e *TooOldError) Error() string {
	switch {
	case e.Version == 0:
		return "this database has no Postern schema yet; run: postern migrate"
	case e.Version < e.Need:
		return fmt.Sprintf("the database is at schema version %d and this Postern needs %d; run: postern migrate", e.Version, e.Need)
	}
	return fmt.Sprintf("the database lacks this Postern's version of sql/%s; run: postern migrate", e.Path)
}

// Ready is nil when the database is at least what this binary needs: the same, or what a newer Postern
// made of it. Otherwise it returns a *TooOldError, or the reason why the database could not be asked.
// It takes one statement.
func Ready(ctx context.Context, db querier) error {
	src, err := readSource()
	if err != nil {
		return err
	}
	return src.ready(ctx, db)
}

func (s *source) ready(ctx context.Context, db querier) error {
	now, err := readState(ctx, db)
	if err != nil {
		return err
	}
	if now.version < s.version() {
		return &TooOldError{Version: now.version, Need: s.version()}
	}
	for _, f := range s.routines {
		if !now.history[f.path][f.hash] {
			return &TooOldError{Version: now.version, Need: s.version(), Path: f.path}
		}
	}
	return nil
}
