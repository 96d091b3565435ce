package sql_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/apitest"
)

// behind runs one statement in a transaction, a query that has to wait for it in another one, ends the first (commit or
// rollback) and returns what the query found then, or its error.
func behind(t *testing.T, url, first, query, end string) []string {
	t.Helper()
	holder, waiter, watcher := connect(t, url, ""), connect(t, url, ""), connect(t, apitest.AdminURL(t, url), "")
	exec(t, holder, "begin", first)
	type outcome struct {
		rows []string
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		rows, err := waiter.Query(t.Context(), query)
		if err != nil {
			done <- outcome{err: err}
			return
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		done <- outcome{found, err}
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(20 * time.Second); ; <-tick.C {
		if lines(t, watcher, "select (cardinality(pg_blocking_pids($1)) > 0)::text", waiter.PgConn().PID())[0] == "true" {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("%s does not wait for %s", query, first)
		}
	}
	exec(t, holder, end)
	got := <-done
	var pg *pgconn.PgError
	if errors.As(got.err, &pg) {
		return []string{pg.Code + " " + pg.Detail}
	}
	if got.err != nil {
		t.Fatal(got.err)
	}
	return got.rows
}

// A sign-in that waits for the order of an administrator obeys it, as one that comes later.
func TestOrdersReachSignInsOnTheirWay(t *testing.T) {
	t.Parallel()
	const signIn = `select coalesce(failure ->> 'code', 'a session') from postern_internal.sign_in_with_password(` + annID + `,
		(select encrypted_password from auth.users where id = ` + annID + `), 'email', postern_internal.context(), null)`
	for call, want := range map[string]string{
		"select postern.lock_user('ann@example.com', 'stolen phone')": "user_banned",
		"select postern.require_password_change('ann@example.com')":   "password_change_required",
		"select postern.ban_user('ann@example.com')":                  "user_banned",
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			url := apitest.Database(t)
			exec(t, connect(t, url, ""), published, people)
			diff(t, call, []string{want}, behind(t, url, call, signIn, "commit"))
			exec(t, connect(t, url, ""), "delete from postern.locked_users", "delete from postern.password_demands", "update auth.users set banned_until = null")
			diff(t, call+", rolled back", []string{"a session"}, behind(t, url, call, signIn, "rollback"))
		})
	}
}

// A lock ends the session of a sign-in that was before it and had not committed.
func TestLockEndsSessionsOnTheirWay(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	conn := connect(t, url, "")
	exec(t, conn, published, people)
	behind(t, url, "select postern_internal.issue_session("+annID+", 'password', postern_internal.context())",
		"select postern.lock_user('ann@example.com', 'stolen phone')::text", "commit")
	diff(t, "sessions", []string{"0 1"}, lines(t, conn, "select (select count(*) from auth.sessions) || ' ' || (select count(*) from postern.session_ends where reason = 'ban')"))
}

// Two seeds at the same time make one user, and both get the id; where the first one gives up, the second makes the user.
func TestEnsureUserTwice(t *testing.T) {
	t.Parallel()
	const ensure = "select postern.ensure_user('Eve@example.com', '{\"team\": \"blue\"}', email_confirm => true)::text"
	for _, end := range []string{"commit", "rollback"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			url := apitest.Database(t)
			conn := connect(t, url, "")
			exec(t, conn, published)
			got := behind(t, url, ensure, ensure, end)
			diff(t, "the user", got, lines(t, conn, "select id::text from auth.users"))
			diff(t, "again", got, lines(t, conn, ensure))
			diff(t, "made once", []string{"1 1 1 1"}, lines(t, conn, `select (select count(*) from auth.users) || ' ' || (select count(*) from auth.identities)
				|| ' ' || (select count(*) from postern.events where type = 'user.created') || ' ' || (select count(*) from auth.audit_log_entries)`))
		})
	}
}

// An identity that is linked to two users at the same time ends at the first.
func TestLinkIdentityTwice(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	conn := connect(t, url, "")
	exec(t, conn, published, people)
	const ann, bob = "select postern.link_identity('ann@example.com', 'github', '7')", "select postern.link_identity('bob@example.com', 'github', '7')::text"
	const owner = "select u.email from auth.identities as i join auth.users as u on u.id = i.user_id where i.provider = 'github'"
	behind(t, url, ann, bob, "rollback")
	diff(t, "where the first one gives up", []string{"bob@example.com"}, lines(t, conn, owner))
	exec(t, conn, "delete from auth.identities where provider = 'github'")
	diff(t, "the second", []string{"PT422 identity_already_exists"}, behind(t, url, ann, bob, "commit"))
	diff(t, "where the first one commits", []string{"ann@example.com"}, lines(t, conn, owner))
}
