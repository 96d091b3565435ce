package sql_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/sql"
)

// changed returns the lines of the catalog that a leftover makes different from the usual shape.
func changed(want, got []string) (missing, extra []string) {
	for _, line := range want {
		if !slices.Contains(got, line) {
			missing = append(missing, line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			extra = append(extra, line)
		}
	}
	return missing, extra
}

// What an application's own objects hold stays and is reported; all else arrives at the shape of spec/05
// (spec/09 section 6).
func TestLeftovers(t *testing.T) {
	t.Parallel()
	want := withoutStampTable(catalog(t, installed(t)))
	for _, test := range []struct {
		name      string
		milestone int
		before    []string
		missing   []string // substrings, one for each missing line
		extra     []string
		log       []string
	}{
		{
			name: "unique e-mail that nothing needs", milestone: 6,
			before: []string{"alter table auth.users add constraint users_email_key unique (email)"},
		},
		{
			name: "unique e-mail that a foreign key needs", milestone: 6,
			before: []string{
				"alter table auth.users add constraint users_email_key unique (email)",
				"create table public.contacts (email varchar references auth.users (email))",
			},
			extra: []string{"constraint users.users_email_key UNIQUE (email)", "CREATE UNIQUE INDEX users_email_key ON auth.users"},
			log:   []string{"users_email_key stays: contacts_email_fkey on public.contacts needs it"},
		},
		{
			name: "phone that a view reads", milestone: 5,
			before: []string{"create view public.phones as select phone from auth.users"},
			missing: []string{
				"column users.phone text null t default NULL::character varying",
				"column users.phone_change text null t default ''::character varying",
			},
			extra: []string{"column users.phone character varying(15)", "column users.phone_change character varying(15)"},
			log:   []string{"auth.users.phone stays character varying(15)", "auth.users.phone_change stays character varying(15)"},
		},
		{
			name: "b-trees under the names of the hash indexes", milestone: 12,
			before: []string{
				"drop index auth.one_time_tokens_token_hash_hash_idx, auth.one_time_tokens_relates_to_hash_idx",
				"create index one_time_tokens_token_hash_hash_idx on auth.one_time_tokens (token_hash)",
				"create index one_time_tokens_relates_to_hash_idx on auth.one_time_tokens (relates_to)",
			},
			missing: []string{"relates_to_hash_idx ON auth.one_time_tokens USING hash", "token_hash_hash_idx ON auth.one_time_tokens USING hash"},
			extra:   []string{"relates_to_hash_idx ON auth.one_time_tokens USING btree", "token_hash_hash_idx ON auth.one_time_tokens USING btree"},
		},
		{
			name: "indexes of the index worker", milestone: 12,
			before: []string{"create index idx_users_name on auth.users ((raw_user_meta_data ->> 'name'))"},
			extra:  []string{"CREATE INDEX idx_users_name"},
		},
		{
			name: "both names of the phone index", milestone: 11,
			before: []string{"create unique index unique_verified_phone_factor on auth.mfa_factors (user_id, phone)"},
		},
		{
			name: "an index of the right name and another definition", milestone: 12,
			before: []string{"drop index auth.sessions_not_after_idx", "create index sessions_not_after_idx on auth.sessions (not_after)"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn, _ := oldDatabase(t, milestones(t)[:test.milestone])
			exec(t, conn, test.before...)
			log := install(t, conn)
			missing, extra := changed(want, withoutStampTable(catalog(t, conn)))
			compareParts(t, "missing", test.missing, missing)
			compareParts(t, "extra", test.extra, extra)
			for _, part := range test.log {
				if !strings.Contains(log, part) {
					t.Errorf("the log should say %q; it is\n%s", part, log)
				}
			}
			if warnings := strings.Count(log, "level=WARN"); warnings != len(test.log) {
				t.Errorf("%d warnings, want %d:\n%s", warnings, len(test.log), log)
			}
			checkRows(t, conn, test.milestone)
		})
	}
}

func compareParts(t *testing.T, what string, parts, lines []string) {
	t.Helper()
	if len(parts) != len(lines) {
		t.Errorf("%s: %d lines, want %d:\n%s", what, len(lines), len(parts), strings.Join(lines, "\n"))
		return
	}
	for _, part := range parts {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, part) }) {
			t.Errorf("%s: no line has %q:\n%s", what, part, strings.Join(lines, "\n"))
		}
	}
}

func TestTwoUsersWithOneAddressAreNamed(t *testing.T) {
	t.Parallel()
	conn, _ := oldDatabase(t, milestones(t)[:1])
	exec(t, conn, `insert into auth.users (id, email) values
		(gen_random_uuid(), 'bob@example.com'), (gen_random_uuid(), 'Ann@example.com'), (gen_random_uuid(), 'ann@example.com')`)
	before := catalog(t, conn)
	err := sql.Install(t.Context(), conn, slog.New(slog.DiscardHandler))
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !strings.Contains(err.Error(), "several users have the same e-mail address: Ann@example.com, bob@example.com ") {
		t.Errorf("got %v", err)
	}
	if ok && pg.Hint == "" {
		t.Error("the error should have a hint")
	}
	diff(t, "catalog", before, catalog(t, conn))

	exec(t, conn, `update auth.users set email = id || '@example.com' where created_at is null`)
	install(t, conn)
}

// The peer, run again on a database that lost its stamps, drops the key of identities and stops. Data
// steps must not run there: joe unlinked the e-mail identity.
func TestLostStamps(t *testing.T) {
	t.Parallel()
	want := withoutStampTable(catalog(t, installed(t)))
	conn, _ := oldDatabase(t, milestones(t))
	install(t, conn)
	exec(t, conn,
		"drop schema postern, postern_internal cascade",
		"delete from auth.schema_migrations where version >= '2021'",
		"alter table auth.identities drop constraint identities_pkey",
		"alter table auth.mfa_factors add constraint mfa_factors_phone_key unique (phone)",
	)
	install(t, conn)
	diff(t, "catalog", want, withoutStampTable(catalog(t, conn)))
	checkRows(t, conn, 12)
	diff(t, "stamps", slices.Concat(fileLines(t, "stamps.txt")[:1], fileLines(t, "stamps.txt")[1:]),
		slices.DeleteFunc(stamps(t, conn), func(s string) bool { return slices.Contains(imageStamps, s) }))
}

// With stamps that this binary does not know it goes on as long as nothing is missing.
func TestStampsOfANewerVersion(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	exec(t, conn, "drop schema postern, postern_internal cascade",
		"insert into auth.schema_migrations values ('20991231000000')", "alter table auth.users add column new text")
	install(t, conn)
	exec(t, conn, "drop schema postern, postern_internal cascade", "alter table auth.users drop column deleted_at")
	err := sql.Install(t.Context(), conn, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "lacks what this Postern needs: users.deleted_at") {
		t.Errorf("got %v", err)
	}
}

// A database as the image makes it: schema auth is another role's, with all rights granted; the unique
// e-mail and the helper email() are there; the database's owner makes our schemas.
func TestImageDatabase(t *testing.T) {
	t.Parallel()
	want := withoutStampTable(catalog(t, installed(t)))
	conn, admin := oldDatabase(t, milestones(t)[:1])
	exec(t, admin,
		"alter schema auth owner to postgres",
		"grant all on schema auth to supabase_auth_admin",
		"alter table auth.users add constraint users_email_key unique (email)",
		`create function auth.email() returns text language sql stable
		as $$ select nullif(current_setting('request.jwt.claim.email', true), '')::text $$`,
		"alter function auth.email() owner to supabase_auth_admin",
		"insert into auth.schema_migrations values ('00')",
	)
	if log := install(t, conn); strings.Contains(log, "level=WARN") {
		t.Errorf("log: %s", log)
	}
	diff(t, "catalog", want, withoutStampTable(catalog(t, conn)))
	checkRows(t, conn, 1)
}

// Helpers that belong to another role are tried, and reported where they behave like old ones.
func TestHelpersOfAnotherRole(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		milestone int
		want      []string
	}{
		{"the first ones", 1, []string{"auth.uid()", "auth.role()"}},
		{"those that mishandle empty settings", 4, []string{"auth.uid()", "auth.role()", "auth.email()"}},
		{"today's", 5, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn, admin := oldDatabase(t, milestones(t)[:test.milestone])
			exec(t, admin, `do $$ declare v record; begin
				for v in select oid::regprocedure as f from pg_proc where pronamespace = 'auth'::regnamespace loop
				  execute format('alter function %s owner to postgres', v.f);
				end loop; end $$`)
			log := install(t, conn)
			for _, name := range test.want {
				if !strings.Contains(log, "function="+name) {
					t.Errorf("the log should name %s:\n%s", name, log)
				}
			}
			if got := strings.Count(log, "level=WARN"); got != len(test.want) {
				t.Errorf("%d warnings, want %d:\n%s", got, len(test.want), log)
			}
			if err := sql.Ready(t.Context(), conn); err != nil {
				t.Error(err)
			}
		})
	}
}

// In a cluster without any of the roles, a plain owner says which are missing; grants to them are made
// by the first run that finds them.
func TestMissingRoles(t *testing.T) {
	t.Parallel()
	admin := connect(t, bareCluster(t), "")
	exec(t, admin, "create role plain login", "create schema auth authorization plain",
		"do $$ begin execute format('grant create on database %I to plain', current_database()); end $$")
	conn := connect(t, admin.Config().ConnString(), "plain")
	log := install(t, conn)
	for _, role := range []string{"anon", "authenticated", "service_role", "postern_admin", "postern_support"} {
		if !strings.Contains(log, "role="+role+" ") {
			t.Errorf("the log should name %s:\n%s", role, log)
		}
	}
	exec(t, admin, "create role postern_support", "create role anon")
	log = install(t, conn)
	if got := strings.Count(log, "level=WARN"); got != 3 {
		t.Errorf("%d warnings, want 3:\n%s", got, log)
	}
	diff(t, "rights", []string{"true true"}, lines(t, conn, `select concat_ws(' ', has_schema_privilege('anon', 'auth', 'USAGE')::text,
		has_schema_privilege('postern_support', 'postern', 'USAGE')::text)`))

	// One who may create roles does.
	exec(t, admin, "alter role plain createrole")
	log = install(t, conn)
	if got := strings.Count(log, "level=WARN"); got != 1 || !strings.Contains(log, "role=service_role") {
		t.Errorf("service_role needs a superuser, and nothing else does:\n%s", log)
	}
}
