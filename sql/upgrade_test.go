package sql_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/sql"
)

func constraintOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.ConstraintName
	}
	return ""
}

// imageStamps are the rows of a hosted database that the peer does not know.
var imageStamps = []string{
	"20171026211738", "20171026211808", "20171026211834", "20180103212743", "20180108183307", "20180119214651", "20180125194653",
}

// milestone is a file of testdata/history: what one version of Supabase Auth after another made of the
// schema, and rows of that time.
type milestone struct{ path, stamp string }

func milestones(t testing.TB) []milestone {
	t.Helper()
	paths, err := filepath.Glob("testdata/history/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var all []milestone
	for _, path := range paths {
		_, stamp, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".sql"), "_")
		all = append(all, milestone{path, stamp})
	}
	return all
}

// oldDatabase makes a database as it was at the last of the given milestones and returns the
// connections of its owner and of a superuser.
func oldDatabase(t testing.TB, history []milestone) (owner, admin *pgx.Conn) {
	t.Helper()
	url := apitest.EmptyDatabase(t)
	admin = connect(t, url, "")
	exec(t, admin, "grant create on schema public to "+apitest.Owner)
	owner = connect(t, url, apitest.Owner)
	// Not the search path of the role: the fixtures take functions from anywhere.
	exec(t, owner, "set time zone 'UTC'")
	known := fileLines(t, "stamps.txt")
	for i, m := range history {
		text, err := os.ReadFile(m.path)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, owner, string(text))
		if i == 0 {
			exec(t, owner, "insert into auth.schema_migrations select unnest("+literal(imageStamps)+")")
			continue
		}
		past := slices.DeleteFunc(slices.Clone(known), func(s string) bool { return s > m.stamp })
		exec(t, owner, "insert into auth.schema_migrations select unnest("+literal(past)+") on conflict do nothing")
	}
	exec(t, owner, "reset time zone", "set search_path = auth")
	return owner, admin
}

func literal(values []string) string { return "'{" + strings.Join(values, ",") + "}'::text[]" }

// leftoverLines drops what may differ on a database that was not made from empty: the table of
// stamps, which the image or the user made.
func withoutStampTable(catalog []string) []string {
	return slices.DeleteFunc(slices.Clone(catalog), func(line string) bool {
		return strings.HasPrefix(line, "column schema_migrations.") || strings.Contains(line, "schema_migrations_version_idx")
	})
}

// From every milestone the installer arrives at the shape of a database made from empty, with the
// rows that the peer would have made of the old ones.
func TestUpgradeFromEveryMilestone(t *testing.T) {
	t.Parallel()
	want := withoutStampTable(catalog(t, installed(t)))
	all := milestones(t)
	if len(all) != 12 {
		t.Fatalf("%d milestones in testdata/history, want 12", len(all))
	}
	for n := 1; n <= len(all); n++ {
		t.Run(all[n-1].stamp, func(t *testing.T) {
			t.Parallel()
			conn, _ := oldDatabase(t, all[:n])
			install(t, conn)
			diff(t, "stamps", slices.Concat(fileLines(t, "stamps.txt")[:1], imageStamps, fileLines(t, "stamps.txt")[1:]), stamps(t, conn))
			checkRows(t, conn, n)
			diff(t, "catalog", want, withoutStampTable(catalog(t, conn)))
			if err := sql.Ready(t.Context(), conn); err != nil {
				t.Error(err)
			}
			if got := install(t, conn); got != "" {
				t.Errorf("a second run should do nothing, it said %s", got)
			}
		})
	}
}

// checkRows compares the rows of the fixtures with what spec/09 section 4 measured.
func checkRows(t *testing.T, conn *pgx.Conn, milestone int) {
	t.Helper()
	exec(t, conn, "set time zone 'UTC'")
	diff(t, "identities", wantIdentities(milestone), lines(t, conn, `
		select format('%s %s %s sub=%s email=%s column=%s in=%s created=%s updated=%s', right(user_id::text, 2), provider,
		  case when provider_id = user_id::text then 'own' else provider_id end,
		  case when identity_data ->> 'sub' = user_id::text then 'own' else identity_data ->> 'sub' end,
		  identity_data ->> 'email', email, last_sign_in_at::date, created_at::date, updated_at::date)
		from auth.identities order by user_id, provider`))
	diff(t, "ids of identities", []string{"true"}, lines(t, conn,
		`select (count(distinct id) = count(*))::text from auth.identities`))
	diff(t, "users", []string{
		"0a Ann@example.com email_confirmed=2018-02-03 confirmed=2018-02-03 token=tok-ann phone_change=",
		"0b bob@example.com email_confirmed= confirmed= token= phone_change=",
	}, lines(t, conn, `
		select format('%s %s email_confirmed=%s confirmed=%s token=%s phone_change=%s', right(id::text, 2), email,
		  email_confirmed_at::date, confirmed_at::date, email_change_token_new, phone_change)
		from auth.users where right(id::text, 2) in ('0a', '0b') and phone_change is not null order by id`))
	diff(t, "refresh tokens", []string{"token-of-ann-aaaaaaaaa f - -"}, lines(t, conn, `
		select concat_ws(' ', token, left(revoked::text, 1), coalesce(parent, '-'), coalesce(session_id::text, '-'))
		from auth.refresh_tokens where token like '%aaa'`))
	diff(t, "what applications made", []string{"own", "note_change", "1"}, lines(t, conn, `
		select polname::text from pg_policy where polrelid = 'public.notes'::regclass
		union all select tgname::text from pg_trigger where tgrelid = 'auth.users'::regclass and not tgisinternal
		union all select count(*)::text from public.notes`))
	if milestone >= 6 {
		diff(t, "ids of AMR claims", []string{"2"}, lines(t, conn, `select count(distinct id)::text from auth.mfa_amr_claims`))
	}
	wantClients := map[int][]string{11: {"1e client_secret_basic"}, 12: {"1e client_secret_basic", "2e none"}}[milestone]
	diff(t, "OAuth clients", wantClients, lines(t, conn,
		`select right(id::text, 2) || ' ' || token_endpoint_auth_method from auth.oauth_clients order by id`))
}

func wantIdentities(milestone int) []string {
	backfilled := func(user, email string, year2022 bool) string {
		in, date := "", "2023-01-25"
		if year2022 {
			in, date = "2022-11-25", "2022-11-25"
		}
		return fmt.Sprintf("%s email own sub=own email=%s column=%s in=%s created=%s updated=%[5]s",
			user, email, strings.ToLower(email), in, date)
	}
	ann, bob := backfilled("0a", "Ann@example.com", true), backfilled("0b", "bob@example.com", false)
	if milestone < 4 {
		return []string{ann, bob, backfilled("0f", "fay@example.com", true)}
	}
	return []string{
		ann, bob,
		backfilled("0f", "fay@example.com", false),
		"0f google g-fay sub=g-fay email= column= in=2021-12-01 created=2021-12-01 updated=2021-12-01",
		"10 google g-gil sub=g-gil email=Gil@Example.com column=gil@example.com in=2021-12-01 created=2021-12-01 updated=2021-12-01",
		"11 email own sub=own email=Hal@example.com column=hal@example.com in=2021-12-01 created=2021-12-01 updated=2022-11-25",
	}
}
