package sql

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Step is one thing that Install would do.
type Step struct {
	Kind   string // administrator, schema, role, migration, function, view or grants
	Name   string // a statement, a role, or the path of a file below sql/
	Detail string // why, in a few words; may be empty
}

// Plan lists what Install would do to the database behind conn, in order, and changes nothing. It is
// empty where there is nothing to do.
func Plan(ctx context.Context, conn *pgx.Conn) ([]Step, error) {
	src, err := readSource()
	if err != nil {
		return nil, err
	}
	now, err := readState(ctx, conn)
	switch {
	case hasCode(err, insufficientPrivilege):
		now = newState() // what is missing is one of the steps
	case err != nil:
		return nil, err
	}
	if now.version > src.version() {
		return nil, nil
	}
	steps, err := planPrerequisites(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, f := range src.migrations[now.version:] {
		steps = append(steps, Step{Kind: "migration", Name: f.path, Detail: f.summary()})
	}
	for _, f := range src.outdated(now) {
		steps = append(steps, Step{Kind: f.kind(), Name: f.path, Detail: now.change(f)})
	}
	if now.current[grantsPath] != src.grantsHash(now.roles) {
		steps = append(steps, Step{Kind: "grants", Name: grantsPath, Detail: now.change(src.grants)})
	}
	return steps, nil
}

func planPrerequisites(ctx context.Context, conn *pgx.Conn) ([]Step, error) {
	missing, err := readPrerequisites(ctx, conn)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, statement := range missing.statements {
		step := Step{Kind: "schema", Name: statement}
		if missing.blocked() {
			step = Step{Kind: "administrator", Name: statement, Detail: "role " + missing.role + " may not do it"}
		}
		steps = append(steps, step)
	}
	roles, err := readRoles(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, role := range knownRoles {
		if !roles[role.name] {
			steps = append(steps, Step{Kind: "role", Name: role.create(), Detail: role.purpose})
		}
	}
	return steps, nil
}

func (f file) kind() string {
	if strings.HasPrefix(f.path, "views/") {
		return "view"
	}
	return "function"
}

// summary is the first sentence of the comment that a file begins with.
func (f file) summary() string {
	var words []string
	for line := range strings.Lines(f.text) {
		comment, isComment := strings.CutPrefix(line, "--")
		if !isComment {
			break
		}
		words = append(words, strings.Fields(comment)...)
	}
	sentence, _, _ := strings.Cut(strings.Join(words, " ")+" ", ". ")
	return strings.TrimSuffix(strings.TrimSpace(sentence), ".")
}

// change says how a file stands to what is installed.
func (st *state) change(f file) string {
	if st.current[f.path] == "" {
		return "new"
	}
	return "changed"
}
