package sql_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/apitest"
)

const (
	caller        = "00000000-0000-4000-8000-00000000000a"
	callerSession = "00000000-0000-4000-8000-0000000000aa"
	callerClaims  = `{"role": "authenticated", "sub": "` + caller + `", "session_id": "` + callerSession + `"}`
)

// requests is a database with users, and a connection that may become any role, as that of PostgREST.
func requests(t testing.TB) *pgx.Conn {
	t.Helper()
	conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
	exec(t, conn, published, people, annSession)
	return conn
}

// within runs f in a transaction that is rolled back.
func within(t *testing.T, conn *pgx.Conn, f func(tx pgx.Tx)) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f(tx)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// become sets role and claims of the transaction.
func become(t *testing.T, tx pgx.Tx, role, claims string) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)", role, claims); err != nil {
		t.Fatal(err)
	}
}

var apiRoles = []string{"anon", "authenticated", "service_role"}

// Claims as policies read them. What is missing, empty or of a wrong type is null, never an error.
func TestClaimsForPolicies(t *testing.T) {
	t.Parallel()
	conn := requests(t)
	now, err := strconv.Atoi(lines(t, conn, "select floor(extract(epoch from now()))::text")[0])
	if err != nil {
		t.Fatal(err)
	}
	ago := func(seconds int) string { return strconv.Itoa(now - seconds) }
	const id = "00000000-0000-4000-8000-0000000000aa"
	for name, c := range map[string]struct{ claims, call, want string }{
		"aal":                           {`{"aal": "aal2"}`, "aal()", "aal2"},
		"no aal":                        {`{}`, "aal()", "null"},
		"no claims: aal":                {``, "aal()", "null"},
		"session":                       {`{"session_id": "` + id + `"}`, "session_id()", id},
		"session in capitals":           {`{"session_id": "` + strings.ToUpper(id) + `"}`, "session_id()", id},
		"no session":                    {`{}`, "session_id()", "null"},
		"an empty session":              {`{"session_id": ""}`, "session_id()", "null"},
		"the session that means none":   {`{"session_id": "00000000-0000-0000-0000-000000000000"}`, "session_id()", "null"},
		"a malformed session":           {`{"session_id": "x"}`, "session_id()", "null"},
		"a session of a wrong type":     {`{"session_id": [1]}`, "session_id()", "null"},
		"no claims: session":            {``, "session_id()", "null"},
		"anonymous":                     {`{"is_anonymous": true}`, "is_anonymous()", "true"},
		"a member":                      {`{"is_anonymous": false}`, "is_anonymous()", "false"},
		"not told":                      {`{}`, "is_anonymous()", "null"},
		"null":                          {`{"is_anonymous": null}`, "is_anonymous()", "null"},
		"a text":                        {`{"is_anonymous": "false"}`, "is_anonymous()", "null"},
		"no claims: anonymous":          {``, "is_anonymous()", "null"},
		"method":                        {`{"amr": [{"method": "totp", "timestamp": 2}, {"method": "password", "timestamp": 1}]}`, "has_amr('password')", "true"},
		"another method":                {`{"amr": [{"method": "otp", "timestamp": 1}]}`, "has_amr('password')", "false"},
		"no methods":                    {`{}`, "has_amr('password')", "false"},
		"methods of a wrong type":       {`{"amr": 7}`, "has_amr('password', '1 hour')", "false"},
		"plain names":                   {`{"amr": ["password"]}`, "has_amr('password')", "true"},
		"plain names have no time":      {`{"amr": ["password"]}`, "has_amr('password', '1 hour')", "false"},
		"lately":                        {`{"amr": [{"method": "password", "timestamp": ` + ago(3000) + `}]}`, "has_amr('password', '1 hour')", "true"},
		"long ago":                      {`{"amr": [{"method": "password", "timestamp": ` + ago(3601) + `}]}`, "has_amr('password', within => '1 hour')", "false"},
		"another method lately":         {`{"amr": [{"method": "otp", "timestamp": ` + ago(0) + `}, {"method": "password", "timestamp": ` + ago(7200) + `}]}`, "has_amr('password', '1 hour')", "false"},
		"a time of a wrong type":        {`{"amr": [{"method": "password", "timestamp": "` + ago(0) + `"}]}`, "has_amr('password', '1 hour')", "false"},
		"a method that is a path":       {`{"amr": [{"method": "password"}]}`, `has_amr('" || true || "')`, "false"},
		"null is no method":             {`{"amr": [{"timestamp": 1}]}`, "has_amr(null)", "false"},
		"no claims: method":             {``, "has_amr('password')", "null"},
		"no claims: not a method":       {``, "has_amr('password') is not false", "true"},
		"valid: nobody":                 {`{"role": "anon"}`, "session_is_valid()", "false"},
		"valid: without claims":         {``, "session_is_valid()", "false"},
		"valid: a stranger":             {`{"sub": "` + id + `"}`, "session_is_valid()", "false"},
		"valid: malformed":              {`{`, "session_is_valid()", "false"},
		"valid: an administrator's key": {`{"role": "service_role"}`, "session_is_valid()", "false"},
	} {
		for _, role := range apiRoles {
			within(t, conn, func(tx pgx.Tx) {
				become(t, tx, role, c.claims)
				if got := ask(t, tx, "select coalesce((postern."+c.call+")::text, 'null')"); got != "("+c.want+")" {
					t.Errorf("%s as %s: %s, want %s", name, role, got, c.want)
				}
			})
		}
	}
}

// Who is let through, and what others are told. The gates of a signed-in request over HTTP (authenticate) say the same
// where the column http is set.
func TestCheckRequest(t *testing.T) {
	t.Parallel()
	conn := requests(t)
	const (
		session = "'" + callerSession + "'"
		passes  = "()"
		noUser  = "PT403 user_not_found: User from sub claim in JWT does not exist"
		noEntry = "PT403 session_not_found: Session from session_id claim in JWT does not exist"
		banned  = "PT403 user_banned: User is banned"
		expired = "PT403 session_expired: Session is no longer valid"
		badJWT  = "PT403 bad_jwt: invalid claim"
		alone   = `{"role": "authenticated", "sub": "` + caller + `"}`
		ban     = "select postern.ban_user('" + caller + "')"
		remove  = "select postern.delete_user('" + caller + "')"
	)
	for name, c := range map[string]struct {
		change, claims, want string
		http                 bool
	}{
		"a session":                     {"", callerClaims, passes, true},
		"a user without a session":      {"", alone, passes, true},
		"signed out":                    {"select postern.sign_out('" + caller + "')", callerClaims, noEntry, true},
		"signed out, another session":   {"select postern.sign_out('" + caller + "', '00000000-0000-4000-8000-0000000000ab')", callerClaims, passes, true},
		"a new password":                {"select postern.set_password_hash('" + caller + "', '$2a$10$" + strings.Repeat("a", 53) + "')", callerClaims, noEntry, true},
		"banned":                        {ban, callerClaims, banned, true},
		"banned, without a session":     {ban, alone, banned, true},
		"banned and signed out":         {ban + ", postern.sign_out('" + caller + "')", callerClaims, noEntry, true},
		"no longer banned":              {"update auth.users set banned_until = now() - interval '1 s'", callerClaims, passes, true},
		"deleted":                       {remove, callerClaims, noUser, true},
		"deleted, without a session":    {remove, alone, noUser, true},
		"deleted softly":                {"select postern.delete_user('" + caller + "', soft => true)", alone, noUser, false},
		"of another instance":           {"update auth.users set instance_id = gen_random_uuid()", callerClaims, noUser, true},
		"made by hand, no instance":     {"update auth.users set instance_id = null, aud = null, role = null", callerClaims, passes, true},
		"somebody else's session":       {"update auth.sessions set user_id = '00000000-0000-4000-8000-00000000000b'", callerClaims, noEntry, true},
		"past its hard end":             {"update auth.sessions set not_after = now() - interval '1 s'", callerClaims, expired, false},
		"before its hard end":           {"update auth.sessions set not_after = now() + interval '1 s'", callerClaims, passes, true},
		"past its end and banned":       {"update auth.sessions set not_after = now() - interval '1 s'; " + ban, callerClaims, expired, false},
		"columns that are null":         {"update auth.sessions set created_at = null, updated_at = null, aal = null; update auth.users set banned_until = null", callerClaims, passes, true},
		"no claims":                     {"", ``, passes, false},
		"nobody":                        {"", `{"role": "anon"}`, passes, false},
		"a machine of one's own":        {"", `{"role": "worker", "session_id": "x"}`, passes, false},
		"an administrator's key":        {"", `{"role": "service_role"}`, passes, false},
		"an administrator, banned":      {ban, `{"role": "service_role", "sub": "` + caller + `"}`, passes, false},
		"a user, but who":               {"", `{"role": "authenticated"}`, badJWT + ": missing sub claim", false},
		"an empty sub":                  {"", `{"role": "authenticated", "sub": ""}`, badJWT + ": missing sub claim", false},
		"sub is null":                   {"", `{"role": "authenticated", "sub": null}`, badJWT + ": missing sub claim", false},
		"sub is no id":                  {"", `{"role": "authenticated", "sub": "x"}`, badJWT + ": sub claim must be a UUID", false},
		"sub is a number":               {"", `{"sub": 1}`, badJWT + ": sub claim must be a UUID", false},
		"sub is an object":              {"", `{"sub": {"a": 1}}`, badJWT + ": sub claim must be a UUID", false},
		"a role of one's own, banned":   {ban, `{"role": "worker", "sub": "` + caller + `"}`, banned, false},
		"anon with a sub, banned":       {ban, `{"role": "anon", "sub": "` + caller + `"}`, banned, false},
		"an empty session":              {"", `{"sub": "` + caller + `", "session_id": ""}`, passes, false},
		"session is null":               {"", `{"sub": "` + caller + `", "session_id": null}`, passes, false},
		"the session that means none":   {"", `{"sub": "` + caller + `", "session_id": "00000000-0000-0000-0000-000000000000"}`, passes, false},
		"session is no id":              {"", `{"sub": "` + caller + `", "session_id": "x"}`, badJWT + ": session_id claim must be a UUID", false},
		"session is a list":             {"", `{"sub": "` + caller + `", "session_id": []}`, badJWT + ": session_id claim must be a UUID", false},
		"no JSON":                       {"", `{"sub": `, badJWT + "s: not a JSON object", false},
		"a list":                        {"", `[]`, badJWT + "s: not a JSON object", false},
		"a text":                        {"", `"x"`, badJWT + "s: not a JSON object", false},
		"JSON null":                     {"", `null`, badJWT + "s: not a JSON object", false},
		"U+0000":                        {"", `{"sub": "\u0000"}`, badJWT + "s: not a JSON object", false},
		"nested too deeply":             {"", strings.Repeat("[", 100_000), badJWT + "s: not a JSON object", false},
		"in capitals":                   {"", strings.ToUpper(callerSession) + "|" + callerClaims, passes, false},
		"a session nobody has":          {"delete from auth.sessions", callerClaims, noEntry, true},
		"the user's name in another":    {"", `{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000b", "session_id": "` + callerSession + `"}`, noEntry, false},
		"settings of an old PostgREST":  {ban + ", set_config('request.jwt.claim.sub', '" + caller + "', true)", ``, banned, false},
		"an old one's session that was": {"select set_config('request.jwt.claim.sub', '" + caller + "', true), set_config('request.jwt.claim.session_id', '" + caller + "', true)", ``, noEntry, false},
	} {
		if upper, claims, ok := strings.Cut(c.claims, "|"); ok {
			c.claims = strings.Replace(claims, callerSession, upper, 1)
		}
		for _, role := range apiRoles {
			t.Run(name+" as "+role, func(t *testing.T) {
				within(t, conn, func(tx pgx.Tx) {
					if _, err := tx.Exec(t.Context(), c.change); err != nil {
						t.Fatal(err)
					}
					if c.http {
						who := "null"
						if c.claims == callerClaims {
							who = session
						}
						diff(t, "over HTTP", c.want, ask(t, tx, "select from postern_internal.authenticate('"+caller+"', "+who+")"))
					}
					become(t, tx, role, c.claims)
					if _, err := tx.Exec(t.Context(), "set transaction read only"); err != nil { // as on a replica
						t.Fatal(err)
					}
					diff(t, "check_request", c.want, strings.Replace(ask(t, tx, "select postern.check_request()"), `("")`, passes, 1))
					isValid := c.want == passes && strings.Contains(c.claims, caller) && !strings.Contains(c.claims, "service_role")
					diff(t, "session_is_valid", fmt.Sprintf("(%.1s)", strconv.FormatBool(isValid)), ask(t, tx, "select postern.session_is_valid()"))
				})
			})
		}
	}
}

// A change is in force for the very next query of a connection that has asked before, with statements that are prepared.
func TestNextQueryIsRefused(t *testing.T) {
	t.Parallel()
	url := apitest.AdminURL(t, apitest.Database(t))
	server, api := connect(t, url, ""), connect(t, url, "")
	exec(t, server, published, people)
	request := func() string {
		err := pgx.BeginTxFunc(t.Context(), api, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)", callerClaims); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), "select postern.check_request()")
			return err
		})
		var pg *pgconn.PgError
		if errors.As(err, &pg) {
			return pg.Code + " " + pg.Detail
		}
		if err != nil {
			t.Fatal(err)
		}
		return "passes"
	}
	exec(t, server, annSession)
	for range 10 { // beyond the executions after which PostgreSQL settles on a plan
		diff(t, "signed in", "passes", request())
	}
	for _, c := range []struct{ change, want string }{
		{"select postern.ban_user('ann@example.com', '1 day')", "PT403 user_banned"},
		{"select postern.unban_user('ann@example.com')", "passes"},
		{"select postern.sign_out('ann@example.com', '" + callerSession + "')", "PT403 session_not_found"},
		{"delete from auth.sessions; " + annSession, "passes"},
		{"select postern.set_password_hash('ann@example.com', '$2a$10$" + strings.Repeat("a", 53) + "')", "PT403 session_not_found"},
		{annSession, "passes"},
		{"select postern.delete_user('ann@example.com')", "PT403 user_not_found"},
	} {
		exec(t, server, c.change)
		diff(t, c.change, c.want, request())
	}
}

// One look-up by primary key per table, however many sessions the user has.
func TestCheckRequestProbesPrimaryKeys(t *testing.T) {
	t.Parallel()
	conn := requests(t)
	exec(t, conn, `insert into auth.users (instance_id, id, email) select postern_internal.nil_uuid(), gen_random_uuid(), n || '@example.com'
		from generate_series(1, 2000) as n`, "insert into auth.sessions (id, user_id) select gen_random_uuid(), id from auth.users",
		"analyze auth.users, auth.sessions") // now a plan by user_id looks as good
	exec(t, conn, "insert into auth.sessions (id, user_id, created_at) select gen_random_uuid(), '"+caller+"', '2020-01-01' from generate_series(1, 100)")
	count := func(tx pgx.Tx) (n [4]int) {
		for i, table := range []string{"users", "sessions"} {
			err := tx.QueryRow(t.Context(), `select seq_scan + idx_scan, idx_tup_fetch + seq_tup_read
				from pg_stat_xact_all_tables where schemaname = 'auth' and relname = $1`, table).Scan(&n[2*i], &n[2*i+1])
			if err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		within(t, conn, func(tx pgx.Tx) {
			become(t, tx, "authenticated", callerClaims)
			ask(t, tx, "select set_config('plan_cache_mode', '"+mode+"', true)")
			before := count(tx)
			if got := ask(t, tx, "select postern.check_request()"); got != `("")` {
				t.Fatal(got)
			}
			after := count(tx)
			for i := range after {
				after[i] -= before[i]
			}
			diff(t, mode+": scans and rows of users, of sessions", [4]int{1, 1, 1, 1}, after)
		})
	}
}

// What a request costs more with check_request(): go test ./sql -run '^$' -bench CheckRequest -benchtime 3s
func BenchmarkCheckRequest(b *testing.B) {
	conn := requests(b)
	exec(b, conn, `insert into auth.users (instance_id, id, email) select postern_internal.nil_uuid(), gen_random_uuid(), n || '@example.com'
		from generate_series(1, 100000) as n`, "insert into auth.sessions (id, user_id) select gen_random_uuid(), id from auth.users",
		"vacuum analyze auth.users, auth.sessions", "set role authenticated", "select set_config('request.jwt.claims', "+quote(callerClaims)+", false)")
	for _, query := range []string{"select 1", "select postern.check_request()", "select (select postern.session_is_valid())"} {
		b.Run(query, func(b *testing.B) {
			for range b.N {
				if _, err := conn.Exec(b.Context(), query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
