package sql_test

import (
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

const (
	eventActors = "select distinct actor = session_user, actor, data -> 'set_actor' from postern.events"
	auditActors = "select distinct payload ->> 'actor_username' = session_user, payload ->> 'actor_username', payload #>> '{traits,set_actor}' from auth.audit_log_entries"
)

// The actor of a transaction stands in everything that SQL callers leave, with the session user and the reason beside it.
func TestSetActor(t *testing.T) {
	t.Parallel()
	const said = `alice@example.com,"{"reason": "ticket 4711", "session_user": "supabase_auth_admin"}`
	for name, steps := range map[string][]step{
		"events and audit": {
			{"select postern.set_actor(' alice@example.com ', 'ticket 4711'), postern.ban_user('ann@example.com') is null", ",f"},
			{"select count(postern.set_role(id::text, 'editor')) from auth.users", "4"},
			{eventActors, "f," + said},
			{auditActors, "f," + said},
			{"select postern.set_actor(null), postern.unban_user('ann@example.com') is null", ",f"},
			{"select actor = session_user, data -> 'set_actor' from postern.events order by id desc limit 1", "t,"},
		},
		"sessions": {
			{"select postern.set_actor('alice@example.com', 'ticket 4711'), postern.sign_out('ann@example.com')", ",2"},
			{"select distinct actor, data from postern.events where type = 'session.ended'",
				`alice@example.com,"{"reason": "admin", "set_actor": {"reason": "ticket 4711", "session_user": "supabase_auth_admin"}}`},
			{"select distinct actor from postern.why_signed_out('ann@example.com')", "alice@example.com"},
		},
		"sessions of many": {
			{"select postern.set_actor('alice@example.com', 'ticket 4711'), postern.sign_out_all(everybody => true)", ",2"},
			{eventActors, "f," + said},
			{auditActors, "f," + said},
		},
		"an entry in the user's name": {
			{armed, ""},
			{"select postern.set_actor('alice@example.com'), postern.reset_mfa('ann@example.com')", ",2"},
			{"select distinct payload ->> 'actor_username', payload #>> '{traits,set_actor,session_user}', payload #>> '{traits,set_actor,reason}' from auth.audit_log_entries where payload ->> 'action' = 'factor_deleted'",
				"ann@example.com,supabase_auth_admin,"},
		},
		"refusals": {
			{"select postern.set_actor(' ')", "PT400 validation_failed: The name of an actor has 1 to 255 characters, the reason at most 1000"},
			{"select postern.set_actor(repeat('x', 256))", "PT400 validation_failed: The name of an actor has 1 to 255 characters, the reason at most 1000"},
			{"select postern.set_actor('alice', repeat('x', 1001))", "PT400 validation_failed: The name of an actor has 1 to 255 characters, the reason at most 1000"},
			{"select postern.set_actor('user')", "PT400 validation_failed: user is what events call something else"},
			{"select current_setting('postern.actor', true)", ""},
		},
		"savepoints": {
			{"savepoint a", ""},
			{"select postern.set_actor('alice@example.com', 'ticket 4711')", ""},
			{"rollback to savepoint a", ""},
			{"select postern.ban_user('ann@example.com') is null", "f"},
			{eventActors, "t,supabase_auth_admin,"},
		},
		"what others write into the setting": {
			{"set local postern.actor = 'mallory'", ""},
			{"select postern.ban_user('ann@example.com') is null", "f"},
			{`set local postern.actor = '{"name": "mallory"}'`, ""},
			{"select postern.ban_user('ann@example.com') is null", "f"},
			{`select set_config('postern.actor', repeat('0', 64) || ' {"name": "mallory"}', true) <> '', postern.ban_user('ann@example.com') is null`, "t,f"},
			{"select postern.set_actor('alice')", ""},
			{"select set_config('postern.actor', replace(current_setting('postern.actor'), 'alice', 'mallory'), true) like '%mallory%', postern.ban_user('ann@example.com') is null", "t,f"},
			{eventActors, "t,supabase_auth_admin,"},
			{auditActors, "t,supabase_auth_admin,"},
		},
		"the context of a server": {
			{"select postern.set_actor('alice')", ""},
			{`select postern_internal.change_account(u, '{"role": "editor"}', null, '{"actor": "service_role"}') is null from auth.users as u where email = 'ann@example.com'`, "f"},
			{"select distinct actor, data -> 'set_actor' from postern.events", "service_role,"},
			{"select distinct payload ->> 'actor_username', payload #>> '{traits,set_actor}' from auth.audit_log_entries", "service_role,"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}

// The actor ends with its transaction; a copy of the setting counts in no other one, whoever makes it, and for no other
// session user.
func TestActorOfOneTransaction(t *testing.T) {
	t.Parallel()
	url := apitest.Database(t)
	super, owner := connect(t, apitest.AdminURL(t, url), ""), connect(t, url, "")
	exec(t, owner, published, people)
	const ban = "select postern.ban_user('ann@example.com')"
	newest := func(what, want string) {
		t.Helper()
		diff(t, what, []string{want}, lines(t, super, "select actor from postern.events order by id desc limit 1"))
	}
	exec(t, owner, "begin", "select postern.set_actor('alice')", ban)
	copied := lines(t, owner, "select current_setting('postern.actor')")[0]
	exec(t, owner, "commit")
	newest("in the transaction", "alice")
	exec(t, owner, ban)
	newest("in the next one", apitest.Owner)
	exec(t, owner, "set postern.actor = "+quote(copied), "begin", ban, "commit")
	newest("with a copy for the session", apitest.Owner)
	exec(t, owner, "begin", "select pg_current_xact_id()", "set local postern.actor = "+quote(copied), ban, "commit")
	newest("with a copy for a transaction", apitest.Owner)

	exec(t, super, "begin", "set local role postern_admin", "select postern.set_actor('alice')", ban, "commit")
	newest("as a member of postern_admin", "alice")
	exec(t, super, "begin", "select postern.set_actor('alice')", "set session authorization supabase_auth_admin", ban, "commit", "reset session authorization")
	newest("with another session user", apitest.Owner)
}
