package dev

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// roles of a Supabase project that Postern works with, and their attributes there.
var roles = []struct{ name, attributes string }{
	{"anon", "nologin noinherit"},
	{"authenticated", "nologin noinherit"},
	{"service_role", "nologin noinherit bypassrls"},
	{"supabase_admin", "login createrole createdb replication bypassrls"},
	{"supabase_auth_admin", "login noinherit createrole noreplication"},
	{"postgres", "superuser login"},
}

// CreateRoles makes the roles of a Supabase project where they are missing, as superuser. The
// owner of schema auth gets ownerPassword, which must not hold a quote.
func CreateRoles(ctx context.Context, conn *pgx.Conn, ownerPassword string) error {
	var b strings.Builder
	for _, r := range roles {
		fmt.Fprintf(&b, `
			do $$ begin
			  if not exists (select from pg_catalog.pg_roles where rolname = '%[1]s') then create role %[1]s %[2]s; end if;
			end $$;`, r.name, r.attributes)
	}
	fmt.Fprintf(&b, "alter role supabase_auth_admin login password '%s';", ownerPassword)
	if _, err := conn.Exec(ctx, b.String()); err != nil {
		return fmt.Errorf("creating roles: %w", err)
	}
	return nil
}

// CreateAuthSchema makes the empty schema auth, owned by supabase_auth_admin, and lets the owner
// add Postern's schemas beside it, as superuser. It may be called again.
func CreateAuthSchema(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		create schema if not exists auth authorization supabase_auth_admin;
		grant usage on schema auth to anon, authenticated, service_role;
		do $$ begin
		  execute format('grant create on database %I to supabase_auth_admin', current_database());
		  execute format('alter role supabase_auth_admin in database %I set search_path = auth', current_database());
		end $$;`)
	if err != nil {
		return fmt.Errorf("creating schema auth: %w", err)
	}
	return nil
}
