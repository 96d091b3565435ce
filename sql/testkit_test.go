package sql_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/sql"
)

const exampleOfTests = "../examples/testing"

// testKit is a database with schema postern_test, and the superuser's connection to it.
func testKit(t *testing.T) *pgx.Conn {
	t.Helper()
	dsn := apitest.Database(t)
	if err := sql.InstallTestKit(t.Context(), connect(t, dsn, "")); err != nil {
		t.Fatal(err)
	}
	return connect(t, apitest.AdminURL(t, dsn), "")
}

// withExample adds the application of examples/testing, which it returns the tests of, by file name.
func withExample(t *testing.T, conn *pgx.Conn) map[string]string {
	t.Helper()
	schema, err := os.ReadFile(filepath.Join(exampleOfTests, "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	exec(t, conn, string(schema))
	files, err := filepath.Glob(filepath.Join(exampleOfTests, "tests", "*.sql"))
	if err != nil || len(files) < 3 {
		t.Fatalf("tests of the example: %v, %v", files, err)
	}
	tests := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests[filepath.Base(file)] = string(text)
	}
	return tests
}

// tap runs a test file as psql does, and returns its lines of TAP.
func tap(t *testing.T, conn *pgx.Conn, file string) (got []string, err error) {
	t.Helper()
	results, err := conn.PgConn().Exec(t.Context(), file).ReadAll()
	for _, result := range results {
		for _, row := range result.Rows {
			line := string(row[0])
			if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "not ok ") || strings.HasPrefix(line, "1..") {
				got = append(got, line)
			}
		}
	}
	if err != nil {
		exec(t, conn, "rollback")
	}
	return got, err
}

// The sample suite passes, with pgTAP (where this machine has it) and without, and the linter has nothing to say.
func TestExampleSuite(t *testing.T) {
	t.Parallel()
	conn := testKit(t)
	tests := withExample(t, conn)
	diff(t, "lint", []string(nil), lines(t, conn, "select concat_ws(' ', severity, object, what) from postern.lint()"))
	suite := func(how string) {
		for name, file := range tests {
			got, err := tap(t, conn, file)
			if err != nil || len(got) < 5 || got[0] != fmt.Sprintf("1..%d", len(got)-1) {
				t.Errorf("%s, %s: %v\n%s", name, how, err, strings.Join(got, "\n"))
				continue
			}
			for i, line := range got[1:] {
				if !strings.HasPrefix(line, fmt.Sprintf("ok %d - ", i+1)) {
					t.Errorf("%s, %s: %s", name, how, line)
				}
			}
		}
	}
	suite("without pgTAP")
	if lines(t, conn, "select exists (select from pg_available_extensions where name = 'pgtap')::text")[0] == "true" {
		exec(t, conn, "create extension pgtap")
		suite("with pgTAP")
	}
	diff(t, "users left behind", []string{"0"}, lines(t, conn, "select count(*)::text from auth.users"))
}

// A suite that cannot fail proves nothing.
func TestExampleSuiteFindsMistakes(t *testing.T) {
	t.Parallel()
	conn := testKit(t)
	tests := withExample(t, conn)
	for name, c := range map[string]struct{ mistake, file string }{
		"no row level security":   {"alter table public.notes disable row level security", "notes.sql"},
		"everybody reads":         {"create policy x on public.notes for select to authenticated using (true)", "notes.sql"},
		"nobody changes":          {"revoke update on public.notes from authenticated", "notes.sql"},
		"anybody writes":          {"create policy x on public.notes for insert to authenticated with check (true)", "notes.sql"},
		"anon writes":             {"grant insert on public.notes to anon; alter table public.notes disable row level security", "notes.sql"},
		"captains of one's own":   {`drop policy "captains invite" on public.members; create policy x on public.members for insert to authenticated with check (true)`, "teams.sql"},
		"one factor is enough":    {`drop policy "second factor" on public.payments`, "payments.sql"},
		"the session may be gone": {`drop policy "live session" on public.payments`, "payments.sql"},
	} {
		exec(t, conn, "begin")
		exec(t, conn, c.mistake)
		file := strings.NewReplacer("begin;", "", "rollback;", "").Replace(tests[c.file])
		if got, err := tap(t, conn, file); err == nil || !strings.Contains(err.Error(), "not ok: ") {
			t.Errorf("%s: %v\n%s", name, err, strings.Join(got, "\n"))
		}
		exec(t, conn, "rollback")
	}
}

func TestTestKit(t *testing.T) {
	t.Parallel()
	conn := testKit(t)
	exec(t, conn, published, people)
	const whoAmI = "select concat_ws(' ', current_user, auth.uid(), postern.aal(), auth.role())"
	for name, c := range map[string]struct{ statements, query, want string }{
		"a user":         {"postern_test.authenticate_as('ann@example.com')", whoAmI, "authenticated " + caller + " aal1 authenticated"},
		"two factors":    {"postern_test.authenticate_as('ann@example.com', 'aal2')", whoAmI, "authenticated " + caller + " aal2 authenticated"},
		"one by another": {"postern_test.authenticate_as('bob@example.com'); select postern_test.authenticate_as('+15550001')", "select auth.uid()::text", "00000000-0000-4000-8000-00000000000c"},
		"methods": {"postern_test.authenticate_as('ann@example.com', 'aal2', 'otp', 'totp')",
			"select jsonb_path_query_array(auth.jwt(), '$.amr[*].method')::text", `["totp", "otp"]`},
		"the session is one": {"postern_test.authenticate_as('ann@example.com')", "select postern.session_is_valid()::text", "true"},
		"requests pass":      {"postern_test.authenticate_as('ann@example.com')", "select coalesce(postern.check_request()::text, '')", ""},
		"anon":               {"postern_test.as_anon()", whoAmI, "anon anon"},
		"service":            {"postern_test.as_service()", whoAmI, "service_role service_role"},
		"clear":              {"postern_test.authenticate_as('ann@example.com'); select postern_test.clear()", "select concat(current_user = session_user, auth.jwt())", "t"},
		"id of another":      {"postern_test.as_anon()", "select postern_test.get_uid('ann@example.com')::text", caller},
		"a new user":         {"postern_test.create_user('new@example.com', role => 'anon')", "select concat_ws(' ', u.role, u.email_confirmed_at is not null) from auth.users as u where u.email = 'new@example.com'", "anon t"},
		"a mail":             {"postern.send_magic_link('ann@example.com')", "select concat_ws(' ', template, length(code), link like 'https://api/verify?%', token_hash <> '') from postern_test.last_mail('ANN@example.com')", "magic_link 6 t t"},
		"no mail":            {"1", "select coalesce(template, 'none') from postern_test.last_mail('bob@example.com')", "none"},
		"another time":       {"postern_test.freeze_time('2030-01-01 12:00+02')", "select postern.get_claims('ann@example.com') ->> 'iat'", "1893492000"},
		"the ban is over":    {"postern_test.freeze_time(now() + interval '2 days'), postern_test.authenticate_as('dan@example.com')", "select auth.email()", "dan@example.com"},
		"time again":         {"postern_test.freeze_time('2030-01-01'); select postern_test.unfreeze()", "select (postern_internal.clock() = now())::text", "true"},
		"a hook": {`set_config('x.x', '', true); create function public.add_plan(event jsonb) returns jsonb language sql as $$ select jsonb_set(event, '{claims,plan}', '"gold"') $$;
			update postern.settings set value = value || '{"jwt_exp": 60, "hooks": {"customize-access-token": {"function": ["public", "add_plan"], "uri": "x"}}}';
			select postern_test.authenticate_as('ann@example.com')`, "select concat_ws(' ', auth.jwt() ->> 'plan', (auth.jwt() ->> 'exp')::int - (auth.jwt() ->> 'iat')::int)", "gold 60"},
	} {
		exec(t, conn, "begin")
		exec(t, conn, "select "+c.statements)
		diff(t, name, []string{c.want}, lines(t, conn, c.query))
		exec(t, conn, "rollback")
	}
	for name, c := range map[string]struct{ statement, want string }{
		"the banned":          {"select postern_test.authenticate_as('dan@example.com')", "PT403 user_banned"},
		"a level without":     {"select postern_test.authenticate_as('ann@example.com', 'aal2', 'password')", "PT400 validation_failed"},
		"a method too many":   {"select postern_test.authenticate_as('ann@example.com', 'aal1', 'totp')", "PT400 validation_failed"},
		"another error":       {"select postern_test.cannot_insert('insert into auth.users (id) values (''" + caller + "'')')", "23505"},
		"fewer than planned":  {"select postern_test.plan(2), postern_test.ok(true, 'x'); select * from postern_test.finish()", "P0001 : planned 2 assertions, but ran 1"},
		"a table that is not": {"select postern_test.rls_is_enabled('nowhere')", "P0001"},
	} {
		exec(t, conn, "begin")
		if got := refusal(t, conn, c.statement); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		exec(t, conn, "rollback")
	}
}

// Any role reaches the functions; those with rights look at who connected, so that a request through PostgREST gets nothing.
func TestTestKitIsForAdministrators(t *testing.T) {
	t.Parallel()
	conn := testKit(t)
	exec(t, conn, published, people)
	url := conn.Config().ConnString()
	stranger := connectAs(t, url, newRole(t, url, "authenticator", "login in role authenticated, anon, service_role"))
	for _, call := range []string{"create_user('x@example.com')", "get_uid('ann@example.com')", "authenticate_as('ann@example.com')",
		"last_mail('ann@example.com')"} {
		for _, role := range apiRoles {
			exec(t, stranger, "begin")
			if got := refusal(t, stranger, "set local role "+role, "select postern_test."+call); !strings.HasPrefix(got, "PT403 not_admin") {
				t.Errorf("%s as %s: %s", call, role, got)
			}
			exec(t, stranger, "rollback")
		}
	}
	diff(t, "functions with the owner's rights that do not ask", []string(nil), lines(t, conn, `
		select oid::regprocedure::text from pg_proc
		where pronamespace = 'postern_test'::regnamespace and prosecdef and prosrc not like '%postern_test.check_caller()%'`))
}

// It is there for whoever asks for it, and gone with its schema.
func TestTestKitIsNotThereByDefault(t *testing.T) {
	t.Parallel()
	conn := installed(t)
	const is = "select coalesce(to_regnamespace('postern_test')::text, 'none')"
	diff(t, "by default", []string{"none"}, lines(t, conn, is))
	for range 2 {
		if err := sql.InstallTestKit(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
	diff(t, "functions without a comment or an example", []string(nil), lines(t, conn, `
		select proname::text from pg_proc where pronamespace = 'postern_test'::regnamespace
		  and proname not in ('check_caller', 'open_session', 'pgtap_schema', 'set_request', 'try')
		  and coalesce(obj_description(oid, 'pg_proc'), '') not like '%Example: select %'`))
	exec(t, conn, "drop schema postern_test cascade")
	url := conn.Config().ConnString()
	role := newRole(t, url, "guest", "login")
	var missing *sql.PrerequisiteError
	if err := sql.InstallTestKit(t.Context(), connectAs(t, url, role)); !errors.As(err, &missing) {
		t.Errorf("a role that may not create schemas: %v", err)
	} else {
		diff(t, "what it asks for", []string{"create schema postern_test authorization " + role}, missing.Statements)
	}
	diff(t, "without it", []string{"none"}, lines(t, conn, is))
}
