package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/sql"
)

const (
	minVersion   = 140000          // of PostgreSQL
	maxSkew      = 2 * time.Second // between two clocks: beyond, tokens seem to come from the future
	maxSkewError = time.Minute
)

// database reports on the database: that it answers, what it is, and what postern.doctor() finds in it.
// cfg is nil where the settings are bad.
func (r *report) database(ctx context.Context, url string, cfg *config.Config, o Options) {
	if url == "" {
		return // a bad setting, and reported
	}
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	cc, err := pgx.ParseConfig(url)
	if err != nil {
		r.add(Error, "database", "DATABASE_URL is not a connection string", "DATABASE_URL=postgres://user:password@host:5432/name?sslmode=require")
		return
	}
	cc.DefaultQueryExecMode = pgx.QueryExecModeExec // also works through a pooler in transaction mode
	cc.ConnectTimeout = min(max(cc.ConnectTimeout, time.Second), 10*time.Second)
	cc.RuntimeParams["application_name"] = "postern doctor"
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		r.add(Error, "database", fmt.Sprintf("the database does not answer: %v", err),
			"Check DATABASE_URL, that PostgreSQL runs, and that its pg_hba.conf lets this machine in; the database is not examined")
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if cc.TLSConfig == nil && !strings.HasPrefix(cc.Host, "/") && !isLocal(cc.Host) {
		r.add(Warning, "database", "the connection to "+cc.Host+" is not encrypted", "Add sslmode=require, or better verify-full, to DATABASE_URL")
	}
	for _, part := range []func(context.Context, *pgx.Conn) error{
		func(ctx context.Context, conn *pgx.Conn) error { return r.server(ctx, conn, cfg, o) },
		r.rights,
		r.schema,
	} {
		if err := part(ctx, conn); err != nil {
			r.add(Error, "database", fmt.Sprintf("the database cannot be examined: %v", err), "Mend what the message says, and run postern doctor again")
			return
		}
	}
}

// server reports on version, clock and connections.
func (r *report) server(ctx context.Context, conn *pgx.Conn, cfg *config.Config, o Options) error {
	var version, limit, roleLimit int
	var now time.Time
	before := o.Clock()
	err := conn.QueryRow(ctx, `select clock_timestamp(), current_setting('server_version_num')::int,
		current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
		(select rolconnlimit from pg_roles where rolname = current_user)`).Scan(&now, &version, &limit, &roleLimit)
	if err != nil {
		return err
	}
	after := o.Clock()
	if version < minVersion {
		r.add(Error, "database", fmt.Sprintf("this is PostgreSQL %d: too old", version/10000), "Use PostgreSQL 14 or later")
	}
	if skew := now.Sub(before.Add(after.Sub(before) / 2)); skew.Abs() > maxSkew {
		severity := Warning
		if skew.Abs() > maxSkewError {
			severity = Error
		}
		r.add(severity, "database", fmt.Sprintf("the clocks of this machine and the database differ by %s: tokens and codes expire too early or too late", skew.Abs().Round(time.Second)),
			"Let both keep time by NTP: timedatectl set-ntp true")
	}
	if cfg == nil {
		return nil
	}
	pool, available := cfg.DB.MaxConns(limit), limit
	if roleLimit >= 0 {
		available = min(available, roleLimit)
	}
	if pool+1 > available {
		r.add(Error, "database", fmt.Sprintf("one server may open %d connections, and the database allows %d in all", pool+1, available),
			fmt.Sprintf("GOTRUE_DB_MAX_POOL_SIZE=%d, or raise max_connections", max(available/2, 1)))
	} else if 2*pool > available {
		r.add(Note, "database", fmt.Sprintf("one server may open %d of the %d connections of the database: a second one has to wait during a roll-out", pool+1, available),
			fmt.Sprintf("GOTRUE_DB_MAX_POOL_SIZE=%d, or raise max_connections", max(available/3, 1)))
	}
	return nil
}

// rights reports what the connecting role may not do. It asks the catalog, because a role without rights cannot call
// functions of ours.
func (r *report) rights(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		select format('role %I may not %s auth.%I', current_user, lower(string_agg(p, ', ' order by p)), c.relname),
		  format('grant %s on auth.%I to %I;', lower(string_agg(p, ', ' order by p)), c.relname, current_user)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as p
		where n.nspname = 'auth' and c.relkind in ('r', 'p') and c.relname <> 'schema_migrations' and not has_table_privilege(c.oid, p)
		group by c.relname
		union all
		select format('role %I sees no rows of auth.%I: it is not the owner, and row level security is on', current_user, c.relname),
		  format('Connect as %I, or: alter role %I bypassrls;', pg_get_userbyid(c.relowner), current_user)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'auth' and c.relname = 'users' and c.relrowsecurity and not pg_has_role(c.relowner, 'USAGE')
		  and not (select rolsuper or rolbypassrls from pg_roles where rolname = current_user)
		union all
		select format('role %I may not use schema %I', current_user, nspname), format('grant usage on schema %I to %I;', nspname, current_user)
		from pg_namespace where nspname in ('auth', 'postern', 'postern_internal') and not has_schema_privilege(oid, 'USAGE')
		union all
		select format('role %I may not call %s functions of schema %I', current_user, count(*), n.nspname),
		  format('grant execute on all functions in schema %I to %I;', n.nspname, current_user)
		from pg_proc p join pg_namespace n on n.oid = p.pronamespace
		where n.nspname in ('postern', 'postern_internal') and not has_function_privilege(p.oid, 'EXECUTE')
		group by n.nspname
		order by 1`)
	if err != nil {
		return err
	}
	var what, fix string
	_, err = pgx.ForEachRow(rows, []any{&what, &fix}, func() error { r.add(Error, "rights", what, fix); return nil })
	return err
}

// schema reports pending migrations and what postern.doctor() finds.
func (r *report) schema(ctx context.Context, conn *pgx.Conn) error {
	if err := sql.Ready(ctx, conn); err != nil {
		r.add(Error, "schema", err.Error(), "postern migrate")
		return nil
	}
	steps, err := sql.Plan(ctx, conn)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if step.Kind == "administrator" {
			r.add(Warning, "schema", fmt.Sprintf("an administrator has to run a statement: %s", step.Detail), step.Name+";")
		}
	}
	var mayCall bool
	err = conn.QueryRow(ctx, "select has_schema_privilege('postern', 'USAGE') and has_function_privilege('postern.doctor()', 'EXECUTE')").Scan(&mayCall)
	if err != nil || !mayCall {
		return err // rights have been reported
	}
	rows, err := conn.Query(ctx, "select severity, area, what, fix from postern.doctor()")
	if err != nil {
		return err
	}
	var f Finding
	_, err = pgx.ForEachRow(rows, []any{&f.Severity, &f.Area, &f.What, &f.Fix}, func() error {
		r.findings = append(r.findings, f)
		return nil
	})
	return err
}
