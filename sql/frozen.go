package sql

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
)

// checkFrozen is called for an RLS helper that belongs to another role and so cannot be replaced. That
// is fine as long as it does the right thing already, and worth a warning otherwise: to an old one,
// a request whose claims come in the one JSON setting is nobody's.
func (in *installation) checkFrozen(ctx context.Context, f file) error {
	name := strings.TrimSuffix(path.Base(f.path), ".sql")
	if _, err := in.conn.Exec(ctx, "savepoint probe"); err != nil {
		return err
	}
	isRight, err := in.probeFrozen(ctx, name)
	if _, undo := in.conn.Exec(ctx, "rollback to savepoint probe"); undo != nil {
		return errors.Join(err, undo)
	}
	if err != nil && !hasCode(err, invalidText) { // an old one casts an empty setting
		return fmt.Errorf("%s: try the installed function: %w", f.path, err)
	}
	if !isRight {
		in.log.Warn("function belongs to another role and behaves like an old version; its owner has to replace it",
			"function", "auth."+name+"()", "statement", f.text)
	}
	return nil
}

// probeFrozen is true where the helper reads its claim as spec/09 section 5 says of the newest version:
// from its own setting, else from the JSON of all claims, taking an empty setting for a missing one.
func (in *installation) probeFrozen(ctx context.Context, name string) (bool, error) {
	const own, shared = "6f1d8c1e-0000-4000-8000-000000000001", "6f1d8c1e-0000-4000-8000-000000000002"
	setting, value := "request.jwt.claim."+name, "auth."+name+"()::text"
	object := func(sub string) string { return sub }
	switch name {
	case "uid":
		setting = "request.jwt.claim.sub"
	case "jwt":
		setting, value = "request.jwt.claim", "auth.jwt() ->> 'sub'"
		object = func(sub string) string { return `{"sub": "` + sub + `"}` }
	}
	claims := `{"sub": "` + shared + `", "role": "` + shared + `", "email": "` + shared + `"}`
	for _, probe := range []struct {
		own, claims string
		want        *string
	}{
		{object(own), claims, new(own)},
		{"", claims, new(shared)},
		{"", "", nil},
	} {
		var got *string
		err := in.conn.QueryRow(ctx, `with s as materialized (
				select set_config($1, $2, true) as a, set_config('request.jwt.claims', $3, true) as b
			)
			select case when a is not null and b is not null then `+value+` end from s`,
			setting, probe.own, probe.claims).Scan(&got)
		if err != nil {
			return false, err
		}
		if (got == nil) != (probe.want == nil) || got != nil && *got != *probe.want {
			return false, nil
		}
	}
	return true, nil
}
