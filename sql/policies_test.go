package sql_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The policies of docs/rls.md, run as they stand there, with the claims that the server puts into tokens.
func TestPoliciesOfTheGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/rls.md")
	if err != nil {
		t.Fatal(err)
	}
	conn := requests(t)
	var last string
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllSubmatch(guide, -1) {
		last = string(block[1])
		exec(t, conn, last)
	}
	diff(t, "policies that go with schema postern", []string{"fresh proof", "live session", "members write", "second factor"},
		lines(t, conn, "select policy::text from ("+strings.TrimSuffix(last, ";\n")+") as p order by 1"))
	diff(t, "what the linter says", []string(nil), lines(t, conn,
		"select concat_ws(' ', severity, object, what) from postern.lint() where object ~ 'notes|handbook|payments|comments|before_request'"))
	const (
		ann, bob = "'" + caller + "'", "'00000000-0000-4000-8000-00000000000b'"
		session  = "'" + callerSession + "'"
		amr      = "insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) values (gen_random_uuid(), " + session + ", now(), now() - interval '"
		password = amr + "1 minute', 'password');"
		factor   = amr + "1 hour', 'totp');"
		pay      = "insert into payments (amount) values (1)"
		remove   = "delete from payments"
		denied   = `42501 : new row violates row-level security policy`
		comment  = "insert into comments (body) values ('x')"
	)
	exec(t, conn, "insert into notes (owner, body) values ("+ann+", 'of ann'), ("+bob+", 'of bob')",
		"insert into payments values ("+ann+", 5), ("+bob+", 7)", "insert into comments values ("+bob+", 'hello')",
		"insert into handbook values ('example.com', 'ours'), ('ample.com', 'theirs'), ('', 'of nobody')")
	for name, c := range map[string]struct{ before, after, role, query, want string }{
		"owner reads":                    {"", "", "", "select body from notes", "(\"of ann\")"},
		"owner writes":                   {"", "", "", "insert into notes (body) values ('x') returning owner", "(" + caller + ")"},
		"in another's name":              {"", "", "", "insert into notes (owner, body) values (" + bob + ", 'x') returning 1", denied + ` for table "notes"`},
		"given away":                     {"", "", "", "update notes set owner = " + bob + " returning 1", denied + ` for table "notes"`},
		"another's is not there":         {"", "", "", "delete from notes where body = 'of bob' returning 1", ""},
		"a stranger has no notes":        {"", "", "anon", "select body from notes", `42501 : permission denied for table notes`},
		"colleagues":                     {"", "", "", "select page from handbook", "(ours)"},
		"an address in capitals":         {"update auth.users set email = 'ANN@EXAMPLE.COM' where id = " + ann, "", "", "select page from handbook", "(ours)"},
		"one factor":                     {password, "", "", "select amount from payments", ""},
		"two factors":                    {password + factor, "", "", "select amount from payments", "(5)"},
		"one factor writes":              {password, "", "", pay + " returning 1", denied + ` "second factor" for table "payments"`},
		"two factors write":              {password + factor, "", "", pay + " returning 1", "(1)"},
		"a ban, the token knows not":     {password + factor, "select postern.ban_user(" + ann + ")", "", "select amount from payments", ""},
		"a sign-out":                     {password + factor, "select postern.sign_out(" + ann + ")", "", "select amount from payments", ""},
		"another's sign-out":             {password + factor, "select postern.sign_out(" + bob + ")", "", "select amount from payments", "(5)"},
		"a token past its session's end": {password + factor, "update auth.sessions set not_after = now() - interval '1 s'", "", "select amount from payments", ""},
		"a fresh password":               {password + factor, "", "", remove + " returning amount", "(5)"},
		"a stale one":                    {amr + "16 minutes', 'password');" + factor, "", "", remove + " returning amount", ""},
		"a fresh code":                   {amr + "2 days', 'password');" + amr + "1 minute', 'totp');", "", "", remove + " returning amount", "(5)"},
		"everybody reads":                {"", "", "anon", "select body from comments", "(hello)"},
		"a member comments":              {"", "", "", comment + " returning 1", "(1)"},
		"an anonymous user does not":     {"update auth.users set is_anonymous = true where id = " + ann, "", "", comment + " returning 1", denied + ` "members write" for table "comments"`},
		"before_request refuses":         {"", "select postern.ban_user(" + ann + ")", "", "select public.before_request()", "PT403 user_banned: User is banned"},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, conn, func(tx pgx.Tx) {
				run := func(statements string) {
					if _, err := tx.Exec(t.Context(), statements); err != nil {
						t.Fatal(err)
					}
				}
				run(c.before)
				var claims string // of the token, issued before what happens next
				err := tx.QueryRow(t.Context(), `select postern_internal.access_token_claims(u, s)::text
					from auth.sessions as s join auth.users as u on u.id = s.user_id where s.id = `+session).Scan(&claims)
				if err != nil {
					t.Fatal(err)
				}
				run(c.after)
				role := "authenticated"
				if c.role != "" {
					role, claims = c.role, `{"role": "anon"}`
				}
				become(t, tx, role, claims)
				run("set local search_path = public")
				diff(t, c.query, c.want, rows(t, tx, c.query))
			})
		})
	}
}

// rows is ask for statements that cannot stand in a sub-select: those that write.
func rows(t *testing.T, tx pgx.Tx, query string) string {
	t.Helper()
	if strings.HasPrefix(query, "select") {
		return ask(t, tx, query)
	}
	nested, err := tx.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nested.Rollback(t.Context()) }()
	var text string
	err = nested.QueryRow(t.Context(), "with t as ("+query+") select coalesce(string_agg(t::text, E'\\n'), '') from t").Scan(&text)
	if err != nil {
		var pg *pgconn.PgError
		if !errors.As(err, &pg) {
			t.Fatal(err)
		}
		return pg.Code + " " + pg.Detail + ": " + pg.Message
	}
	return text
}
