package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// versionTable is where tern keeps the number of the last migration.
const versionTable = "postern.schema_version"

// querier is a connection, a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// state is what a database says about itself.
type state struct {
	version int                        // 0: never migrated
	current map[string]string          // path: hash of the installed file
	history map[string]map[string]bool // path: every hash that was installed and not rolled back
	roles   map[string]bool
}

func newState() *state {
	return &state{current: map[string]string{}, history: map[string]map[string]bool{}, roles: map[string]bool{}}
}

// role is one that Postern grants something to.
type role struct {
	name    string
	options string
	purpose string
}

func (r role) create() string { return "create role " + r.name + " " + r.options }

var knownRoles = []role{
	{"anon", "nologin noinherit", "requests without a session"},
	{"authenticated", "nologin noinherit", "requests with a session"},
	{"service_role", "nologin noinherit bypassrls", "requests with the service key"},
	{"postgres", "nologin", "dashboards read the auth tables as this role"},
	{"postern_admin", "nologin", "may call the SQL administration API"},
	{"postern_support", "nologin", "may call the reading part of the SQL administration API"},
}

func roleNames() []string {
	names := make([]string, len(knownRoles))
	for i, r := range knownRoles {
		names[i] = r.name
	}
	return names
}

// readState reads the bookkeeping, and finds an empty state where there is none yet.
func readState(ctx context.Context, db querier) (*state, error) {
	st := newState()
	var roles, paths, hashes []string
	err := db.QueryRow(ctx, `
		select v.version,
		  array(select rolname::text from pg_catalog.pg_roles where rolname = any ($1)),
		  array(select path from postern.installed_files order by id),
		  array(select hash from postern.installed_files order by id)
		from `+versionTable+` v`, roleNames()).Scan(&st.version, &roles, &paths, &hashes)
	if hasCode(err, undefinedTable, invalidSchema) || err == pgx.ErrNoRows {
		return st, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", versionTable, err)
	}
	for _, name := range roles {
		st.roles[name] = true
	}
	for i, path := range paths {
		if st.history[path] == nil {
			st.history[path] = map[string]bool{}
		}
		st.current[path] = hashes[i]
		st.history[path][hashes[i]] = true
	}
	return st, nil
}

func readRoles(ctx context.Context, db querier) (map[string]bool, error) {
	rows, err := db.Query(ctx, "select rolname::text from pg_catalog.pg_roles where rolname = any ($1)", roleNames())
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	present := map[string]bool{}
	for _, name := range names {
		present[name] = true
	}
	return present, nil
}

// prerequisites is what has to be done before the first migration.
type prerequisites struct {
	role       string
	canCreate  bool     // schemas, in this database
	statements []string // all that is missing, without semicolons
	foreign    bool     // a schema exists, but belongs to somebody else
}

// blocked is true where the connecting role cannot run the statements itself.
func (p *prerequisites) blocked() bool {
	return p.foreign || len(p.statements) > 0 && !p.canCreate
}

// readPrerequisites compares the three schemas with what Install needs: to own postern and
// postern_internal, and to create in auth, which belongs to another role on a hosted database.
func readPrerequisites(ctx context.Context, db querier) (*prerequisites, error) {
	p := &prerequisites{}
	err := db.QueryRow(ctx, `select quote_ident(current_user),
		has_database_privilege(current_database(), 'CREATE')`).Scan(&p.role, &p.canCreate)
	if err != nil {
		return nil, fmt.Errorf("read rights: %w", err)
	}
	rows, err := db.Query(ctx, `
		select w.name, n.oid is not null,
		  coalesce(pg_has_role(n.nspowner, 'USAGE'), false)
		    or w.name = 'auth' and coalesce(has_schema_privilege(n.oid, 'CREATE')
		      and has_schema_privilege(n.oid, 'USAGE'), false)
		from unnest(array['auth', 'postern', 'postern_internal']) with ordinality w (name, place)
		left join pg_catalog.pg_namespace n on n.nspname = w.name
		order by w.place`)
	if err != nil {
		return nil, fmt.Errorf("read schemas: %w", err)
	}
	var name string
	var exists, usable bool
	_, err = pgx.ForEachRow(rows, []any{&name, &exists, &usable}, func() error {
		switch {
		case !exists:
			p.statements = append(p.statements, fmt.Sprintf("create schema %s authorization %s", name, p.role))
		case !usable && name == "auth":
			p.foreign = true
			p.statements = append(p.statements, fmt.Sprintf("grant all on schema auth to %s", p.role))
		case !usable:
			p.foreign = true
			p.statements = append(p.statements, fmt.Sprintf("alter schema %s owner to %s", name, p.role))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read schemas: %w", err)
	}
	return p, nil
}
