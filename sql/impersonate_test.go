package sql_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/apitest"
)

const asAnn = "select postern.impersonate('ann@example.com', 'ticket 4711')"

// helpdesk is a database with users, the superuser's connection to it, and that of somebody who administers without any
// right of their own.
func helpdesk(t *testing.T) (super, helper *pgx.Conn) {
	t.Helper()
	url := apitest.AdminURL(t, apitest.Database(t))
	super = connect(t, url, "")
	exec(t, super, published, people, annSession, "delete from postern.events", "delete from auth.audit_log_entries")
	helper = connectAs(t, url, newRole(t, url, "helper", "login in role postern_admin, authenticated"))
	return super, helper
}

// refusal runs statements, the last of which has to fail, and returns SQLSTATE, code and message.
func refusal(t *testing.T, conn *pgx.Conn, statements ...string) string {
	t.Helper()
	exec(t, conn, statements[:len(statements)-1]...)
	_, err := conn.Exec(t.Context(), statements[len(statements)-1])
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Fatalf("%s: got %v", statements[len(statements)-1], err)
	}
	return pg.Code + " " + pg.Detail + ": " + pg.Message
}

// The role and claims of the user hold until the transaction ends, by whatever means.
func TestImpersonate(t *testing.T) {
	t.Parallel()
	super, helper := helpdesk(t)
	me := lines(t, helper, "select current_user::text")[0]
	const whoAmI = "select concat_ws(' ', current_user, auth.uid(), auth.jwt() ->> 'session_id', postern.session_is_valid())"
	const ann = "authenticated " + caller + " " + callerSession + " t"
	for _, end := range []string{"rollback", "commit"} {
		exec(t, helper, "begin", asAnn)
		diff(t, "within, before "+end, []string{ann}, lines(t, helper, whoAmI))
		exec(t, helper, end)
		diff(t, "after "+end, []string{me + "  "}, lines(t, helper, "select concat_ws(' ', current_user, coalesce(current_setting('request.jwt.claims', true), ''), coalesce(current_setting('postern.impersonated', true), ''))"))
	}
	diff(t, "what is left of both", []string{me + " " + caller + ` {"reason": "ticket 4711"}`},
		lines(t, super, "select concat_ws(' ', actor, user_id, data) from postern.events where type = 'user.impersonated'"))
	diff(t, "audit", []string{me + " user_impersonated ticket 4711"}, lines(t, super,
		"select concat_ws(' ', payload ->> 'actor_username', payload ->> 'action', payload #>> '{traits,reason}') from auth.audit_log_entries"))

	exec(t, helper, "begin", "select postern.set_actor('alice', 'shift')", "savepoint before", asAnn, "rollback to before",
		"select postern.impersonate('+15550001', 'another')")
	diff(t, "after a savepoint, without a session", []string{"00000000-0000-4000-8000-00000000000c f"},
		lines(t, helper, "select concat_ws(' ', auth.uid(), postern.session_is_valid())"))
	exec(t, helper, "commit")
	diff(t, "the actor who was said", []string{"alice another"},
		lines(t, super, "select concat_ws(' ', actor, data ->> 'reason') from postern.events order by id desc limit 1"))
}

func TestImpersonationIsRefused(t *testing.T) {
	t.Parallel()
	super, helper := helpdesk(t)
	exec(t, super, "select postern.set_role('bob@example.com', 'service_role')",
		"select postern.create_user('admin@example.com', app_metadata => '{\"roles\": [\"service_role\"]}')",
		"select postern.create_user('nowhere@example.com', role => 'nowhere')",
		"select postern.create_user('anon@example.com', role => 'anon')",
		"select postern.create_user('support@example.com', role => 'postern_support')",
		"select postern.create_user('gone@example.com', id => '00000000-0000-4000-8000-0000000000ff')",
		"select postern.delete_user('gone@example.com', soft => true)", "delete from postern.events")
	who := func(name string) string { return "select postern.impersonate('" + name + "', 'x')" }
	for name, c := range map[string]struct {
		statement, want string
	}{
		"no reason":               {"select postern.impersonate('ann@example.com', ' ')", "PT400 validation_failed"},
		"null is no reason":       {"select postern.impersonate('ann@example.com', null)", "PT400 validation_failed"},
		"a stranger":              {who("nobody@example.com"), "PT404 user_not_found"},
		"the banned":              {who("dan@example.com"), "PT403 user_banned"},
		"the deleted":             {who("00000000-0000-4000-8000-0000000000ff"), "PT403 user_not_found"},
		"role of administrators":  {who("bob@example.com"), "PT403 impersonation_refused: The user is an administrator"},
		"by app metadata":         {who("admin@example.com"), "PT403 impersonation_refused: The user is an administrator"},
		"a role of support":       {who("support@example.com"), "PT403 impersonation_refused: The user is an administrator"},
		"a role that is none":     {who("nowhere@example.com"), "PT403 impersonation_refused: There is no database role"},
		"a role of others":        {who("anon@example.com"), "PT403 impersonation_refused: " + helper.Config().User + " may not become"},
		"several users":           {"select postern.impersonate(x, 'x') from unnest(array['ann@example.com', '+15550001']) as x", "42501"},
		"the part with all right": {"select postern_internal.begin_impersonation('ann@example.com', 'x')", "42501"},
	} {
		exec(t, helper, "begin")
		if got := refusal(t, helper, c.statement); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		exec(t, helper, "rollback")
	}
	exec(t, helper, "begin", asAnn, "reset role")
	if got := refusal(t, helper, asAnn); !strings.HasPrefix(got, "PT403 impersonation_refused: This transaction impersonates somebody already") {
		t.Errorf("twice: %s", got)
	}
	exec(t, helper, "rollback")
	const outside = "PT403 impersonation_refused: Impersonation lasts until the end"
	if got := refusal(t, helper, asAnn); !strings.HasPrefix(got, outside) {
		t.Errorf("outside of a transaction: %s", got)
	}
	if _, err := helper.Exec(t.Context(), asAnn, pgx.QueryExecModeSimpleProtocol); err == nil || !strings.Contains(err.Error(), "Impersonation lasts") {
		t.Errorf("outside of a transaction, by the simple protocol: %v", err)
	}
	if _, err := helper.Exec(t.Context(), "select postern.impersonate($1, $2)", "ann@example.com", "x"); err == nil || !strings.Contains(err.Error(), "Impersonation lasts") {
		t.Errorf("outside of a transaction, with parameters: %v", err)
	}
	diff(t, "events of refusals", []string(nil), lines(t, super, "select type from postern.events"))
	exec(t, super, "begin", "set local role authenticated")
	if got := refusal(t, super, asAnn); !strings.HasPrefix(got, "42501") {
		t.Errorf("a user: %s", got)
	}
	exec(t, super, "rollback")
}

// What it says without a server, and what it refuses. That claims are those of tokens is tested in api.
func TestGetClaims(t *testing.T) {
	t.Parallel()
	const ann = "postern.get_claims('ann@example.com'"
	for name, c := range map[string]struct{ prepare, query, want string }{
		"a new sign-in": {"", "select c ->> 'role', c ->> 'aal', c ->> 'sub', c #>> '{amr,0,method}', jsonb_array_length(c -> 'amr'), (c ->> 'exp')::int - (c ->> 'iat')::int from " + ann + ") as c",
			"(authenticated,aal1," + caller + ",password,1,3600)"},
		"two factors":       {"", "select c ->> 'aal', c #>> '{amr,0,method}', c #>> '{amr,1,method}' from " + ann + ", 'aal2') as c", "(aal2,totp,password)"},
		"a session":         {"", "select c ->> 'session_id', c -> 'amr' from " + ann + ", session_id => '" + callerSession + "') as c", "(" + callerSession + ",)"},
		"no such session":   {"", "select " + ann + ", session_id => '" + caller + "')", "PT404 session_not_found: The user has no session " + caller},
		"another's session": {"", "select postern.get_claims('bob@example.com', session_id => '" + callerSession + "')", "PT404 session_not_found: The user has no session " + callerSession},
		"an ended session":  {"update auth.sessions set not_after = now() - interval '1 s'", "select " + ann + ", session_id => '" + callerSession + "')", "PT403 session_expired: Session is no longer valid"},
		"no such level":     {"", "select " + ann + ", 'aal3')", "PT400 validation_failed: aal is aal1 or aal2, and left out for a session, which has its own"},
		"the banned":        {"", "select postern.get_claims('dan@example.com')", "PT403 user_banned: User is banned"},
		"a hook over HTTP": {`update postern.settings set value = value || '{"hooks": {"customize-access-token": {}}}'`, "select " + ann + ")",
			"PT422 hook_not_in_database: The custom-access-token hook is called over HTTP: SQL cannot know what it would answer"},
	} {
		t.Run(name, func(t *testing.T) {
			tx := admin(t)
			if _, err := tx.Exec(t.Context(), c.prepare); err != nil {
				t.Fatal(err)
			}
			if got := ask(t, tx, c.query); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A look at the claims keeps nothing of what the hook writes, which the hook sees while it runs.
func TestGetClaimsUndoesTheHook(t *testing.T) {
	t.Parallel()
	const called = "select count(*) from postern.events where type = 'hook.called'"
	playSteps(t, admin(t), []step{
		{`create function auth.add_count(event jsonb) returns jsonb language plpgsql as $$
			begin
			  insert into postern.events (type, actor) values ('hook.called', 'hook');
			  return jsonb_set(event, '{claims,calls}', (` + called + `)::text::jsonb);
			end $$;
			update postern.settings set value = value || '{"hooks": {"customize-access-token": {"function": ["auth", "add_count"], "uri": "x"}}}'`, ""},
		{"select postern.get_claims('ann@example.com') ->> 'calls'", "1"},
		{called, "0"},
		{"select postern.get_claims('ann@example.com') ->> 'calls'", "1"},
	})
}
