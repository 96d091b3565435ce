package sql_test

import (
	"strings"
	"testing"
)

// Linking in SQL leaves what linking over HTTP leaves, but for the audit entry, which names the administrator.
func TestSQLLinksAsHTTP(t *testing.T) {
	t.Parallel()
	const notified = "update postern.settings set value = value || '{\"notifications\": {\"identity_linked\": true}}'"
	for _, c := range []struct{ name, before, call, user, emails string }{
		{"an account with an address", "select 1", "'ann@example.com', 'github', '7', '{\"name\": \"A\"}', 'Free@example.com', true", annID, freeEmail},
		{"without an address", anonymous, anonymousID + ", 'github', '7', '{\"name\": \"A\"}', 'Free@example.com', true", anonymousID, freeEmail},
		{"told by the data", "select 1", "'ann@example.com', 'github', '7', '{\"name\": \"A\", \"email\": \"free@example.com\", \"email_verified\": true}'", annID, freeEmail},
		{"not verified", "select 1", "'ann@example.com', 'github', '7', '{\"name\": \"A\", \"email\": \"free@example.com\"}'", annID, noProof},
		{"no address known", "select 1", "'ann@example.com', 'github', '7', '{\"name\": \"A\"}'", annID, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			for _, s := range []string{notified, c.before} {
				if _, err := tx.Exec(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			byHTTP := leaves(t, tx, `select postern_internal.link_identity(`+c.user+`, 'github', '{"sub": "7",
				"data": {"sub": "7", "provider_id": "7", "name": "A"}, "emails": [`+c.emails+`]}', postern_internal.context() - 'actor' || jsonb_build_object('actor', session_user))`)
			bySQL := leaves(t, tx, "select postern.link_identity("+c.call+")")
			for _, prefix := range []string{"user ", "identity ", "token ", "event ", "mail "} {
				diff(t, prefix, grep(byHTTP, prefix), grep(bySQL, prefix))
			}
			if got := grep(bySQL, "audit "); len(got) != 1 || !strings.Contains(got[0], `"action": "identity_linked"`) || len(grep(bySQL, "identity {")) == len(grep(leaves(t, tx, "select 1"), "identity {")) {
				t.Errorf("left %q", bySQL)
			}
		})
	}
}

// What linking in SQL returns, refuses and leaves alone.
func TestLinkIdentity(t *testing.T) {
	t.Parallel()
	const refused = "PT400 validation_failed: An identity of "
	for name, steps := range map[string][]step{
		"linked": {
			{"select count(postern.link_identity('ann@example.com', 'github', '7'))", "1"},
			{"select raw_app_meta_data from auth.users where id = " + annID, `{"provider": "email", "providers": ["email", "github"]}`},
			{"select payload ->> 'actor_username' = session_user, payload ->> 'action', payload #>> '{traits,user_id}', payload #>> '{traits,provider}', payload #>> '{traits,provider_id}', payload #>> '{traits,identity_id}' = (select identity_id::text from postern.list_identities('ann@example.com') where provider = 'github') from auth.audit_log_entries",
				"t,identity_linked," + ann + ",github,7,t"},
			{"select type, data, actor = session_user from postern.events", `identity.created,"{"provider": "github"}",t`},
			{"select count(*) from auth.sessions", "2"},
			{`select account_id from postern_internal.sign_in_externally('github', '{"sub": "7", "data": {}, "emails": [{"email": "x@example.com"}]}', postern_internal.context())`, ann},
		},
		"taken": {
			{"select postern.link_identity('ann@example.com', 'github', '7') is null", "f"},
			{"select postern.link_identity('ann@example.com', 'github', '7')", "PT422 identity_already_exists: Identity is already linked"},
			{"select postern.link_identity('bob@example.com', 'github', '7')", "PT422 identity_already_exists: Identity is already linked to another user"},
			{"select postern.link_identity('bob@example.com', 'gitlab', '7') is null", "f"},
		},
		"addresses": {
			{anonymous, ""},
			{"select postern.link_identity(" + anonymousID + ", 'github', '7', email => 'bob@example.com', email_verified => true)", "PT400 email_exists: A user with this email address has already been registered"},
			{"select postern.link_identity(" + anonymousID + ", 'github', '7', email => 'free@example.com') is null", "f"},
			{"select email, is_anonymous from auth.users where id = " + anonymousID, ",t"},
			{"select postern.link_identity(" + anonymousID + ", 'gitlab', '7', email => 'free@example.com', email_verified => true) is null", "f"},
			{"select email, is_anonymous, email_confirmed_at is null from auth.users where id = " + anonymousID, "free@example.com,f,f"},
			{"select count(*) from postern.outbox", "0"},
		},
		"the banned and locked": {
			{"select postern.lock_user('ann@example.com', 'x')", ann},
			{"select postern.link_identity('ann@example.com', 'custom:acme', '7') is null", "f"},
		},
		"refusals": {
			{"select postern.link_identity('ann@example.com', 'email', '7')", refused + "'email' cannot be linked"},
			{"select postern.link_identity('ann@example.com', 'sso:7', '7')", refused + "'sso:7' cannot be linked"},
			{"select postern.link_identity('ann@example.com', 'Git Hub', '7')", refused + "'Git Hub' cannot be linked"},
			{"select postern.link_identity('ann@example.com', null, '7')", refused + "null cannot be linked"},
			{"select postern.link_identity('ann@example.com', 'github', '')", "PT400 validation_failed: An identity needs the id of the account at the provider"},
			{"select postern.link_identity('ann@example.com', 'github', '7', '[]')", "PT400 validation_failed: Metadata has to be a JSON object"},
			{"select postern.link_identity('ann@example.com', 'github', '7', email => 'x y')", "PT400 validation_failed: Unable to validate email address: invalid format"},
			{"select postern.link_identity('eve@example.com', 'github', '7')", "PT404 user_not_found: There is no user eve@example.com"},
			{"select (select count(*) from postern.events), (select count(*) from auth.audit_log_entries), (select count(*) from auth.identities where provider = 'github')", "0,0,0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}
