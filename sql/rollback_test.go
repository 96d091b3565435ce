package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/seal"
)

const (
	hubID      = "'00000000-0000-4000-8000-0000000000e1'"
	newHash    = "'$2a$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
	webhookID  = "'00000000-0000-4000-8000-0000000000e9'"
	sealingKey = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k"
)

// writes has a call of every function of schema postern that is volatile, by name, against the database of furnished. Each
// call must write something there, or the test could not fail; those that only read are in reads.
var writes = map[string]string{
	"anonymise_user":          "postern.anonymise_user('ann@example.com')",
	"ban_user":                "postern.ban_user('ann@example.com', '7 days')",
	"cancel_outbox":           "postern.cancel_outbox((select max(id) from postern.outbox where state = 'queued'))",
	"clear_password":          "postern.clear_password('ann@example.com')",
	"confirm_email":           "postern.confirm_email('bob@example.com')",
	"confirm_phone":           "postern.confirm_phone('ann@example.com')",
	"create_custom_provider":  "postern.create_custom_provider('custom:corp', 'Corp', 'c2', 's', 'https://b')",
	"create_user":             "postern.create_user('eve@example.com', 'correct-horse-9', '+15550009', email_confirm => true, ban_duration => '1 day')",
	"create_webhook":          "w.id from postern.create_webhook('https://app.example.com/events') as w",
	"delete_custom_provider":  "postern.delete_custom_provider('custom:shop')",
	"delete_factor":           "postern.delete_factor('ann@example.com', " + factorID + ")",
	"delete_user":             "postern.delete_user('ann@example.com'), postern.delete_user('bob@example.com', soft => true)",
	"delete_webhook":          "postern.delete_webhook(" + webhookID + ")",
	"ensure_user":             "postern.ensure_user('eve@example.com')",
	"expire_links":            "postern.expire_links('ann@example.com')",
	"export_user":             "postern.export_user('ann@example.com')",
	"forget_provider_tokens":  "postern.forget_provider_tokens('ann@example.com')",
	"get_provider_token":      "postern.get_provider_token(" + hubID + ", '" + sealingKey + "')",
	"import_users":            "i.created from postern.import_users('old') as i",
	"invite_user":             "postern.invite_user('eve@example.com')",
	"issue_link":              "l.hashed_token from postern.issue_link('ann@example.com', 'recovery') as l",
	"impersonate":             "postern_internal.begin_impersonation('kim@example.com', 'x')", // the part that writes
	"link_identity":           "postern.link_identity('bob@example.com', 'gitlab', '9')",
	"lock_user":               "postern.lock_user('ann@example.com', 'stolen')",
	"merge_users":             "postern.merge_users('bob@example.com', 'ann@example.com')",
	"notify_events":           "postern.notify_events(true)",
	"purge_deleted":           "postern.purge_deleted('0')",
	"replay_events":           "postern.replay_events(" + webhookID + ", 1)",
	"require_password_change": "postern.require_password_change('ann@example.com')",
	"resend":                  "postern.resend('bob@example.com', 'signup')",
	"reset_limit":             "postern.reset_limit('203.0.113.9'), postern.reset_limit('everybody')",
	"reset_mfa":               "postern.reset_mfa('ann@example.com')",
	"restore_user":            "postern.restore_user('gil@example.com')",
	"retry_dead_outbox":       "postern.retry_dead_outbox('mail')",
	"retry_outbox":            "postern.retry_outbox((select max(id) from postern.outbox where state = 'dead'))",
	"revoke_tokens_before":    "postern.revoke_tokens_before(clock_timestamp())",
	"rotate_webhook_secret":   "postern.rotate_webhook_secret(" + webhookID + ")",
	"run_maintenance":         "postern.run_maintenance()",
	"send_magic_link":         "postern.send_magic_link('dan@example.com')",
	"set_app_metadata":        "postern.set_app_metadata('ann@example.com', '{\"plan\": \"gold\"}')",
	"set_email":               "postern.set_email('ann@example.com', 'lee@example.com', true)",
	"set_password":            "postern.set_password('ann@example.com', 'correct-horse-9')",
	"set_password_hash":       "postern.set_password_hash('ann@example.com', " + newHash + ")",
	"set_phone":               "postern.set_phone('ann@example.com', '+15550009', true)",
	"set_role":                "postern.set_role('ann@example.com', 'editor')",
	"set_user_metadata":       "postern.set_user_metadata('ann@example.com', '{\"b\": 1}')",
	"sign_out":                "postern.sign_out('ann@example.com')",
	"sign_out_all":            "postern.sign_out_all(everybody => true)",
	"suppress_address":        "postern.suppress_address('eve@example.com', 'bounced')",
	"unban_user":              "postern.unban_user('dan@example.com')",
	"unlink_identity":         "postern.unlink_identity('ann@example.com', " + hubID + ")",
	"unlock_user":             "postern.unlock_user('fay@example.com')",
	"unsuppress_address":      "postern.unsuppress_address('gone@example.com')",
	"update_custom_provider":  "postern.update_custom_provider('custom:shop', name => 'S')",
	"update_factor":           "postern.update_factor('ann@example.com', " + factorID + ", 'clock')",
	"update_user":             "postern.update_user('ann@example.com', password_hash => " + newHash + ", role => 'editor')",
	"update_webhook":          "postern.update_webhook(" + webhookID + ", enabled => false)",
}

// reads has those that are volatile, because they need the time or settings of the moment, and write nothing.
var reads = map[string]string{
	"get_claims":            "postern.get_claims('ann@example.com')",
	"list_custom_providers": "postern.list_custom_providers()",
	"list_limits":           "postern.list_limits()",
	"set_actor":             "postern.set_actor('alice@example.com')", // writes a setting, see actor_test.go
}

// furnished is a database in which each of these functions finds something to do, as its owner.
func furnished(t *testing.T) *pgx.Conn {
	t.Helper()
	url := apitest.Database(t)
	admin := apitest.AdminURL(t, url)
	exec(t, connect(t, admin, ""), "create extension pgcrypto", "grant create on schema public to public")
	keys, err := seal.New(config.Encryption{Encrypt: true, KeyID: "k1", Key: sealingKey, DecryptionKeys: config.EncryptionKeys{"k1": sealingKey}})
	if err != nil {
		t.Fatal(err)
	}
	const tokenID = "00000000-0000-4000-8000-0000000000e2"
	sealed, err := keys.Seal(tokenID, "token")
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, url, "")
	exec(t, conn, published, people, annSession, armed, addShop,
		"update auth.users set phone = '15550002' where id = "+annID,
		"select postern.send_magic_link('ann@example.com')",
		"select postern.create_user('fay@example.com'), postern.lock_user('fay@example.com', 'lost')",
		"select postern.create_user('kim@example.com', role => "+quote(newRole(t, admin, "plain", "role "+apitest.Owner))+")",
		"select postern.create_user('gil@example.com'), postern.delete_user('gil@example.com', soft => true)",
		"insert into postern.outbox (kind, template, recipient, state, finished_at) values ('mail', 'x', 'y', 'dead', now())",
		"insert into postern.webhooks values ("+webhookID+", 'https://crm.example.com/hook', '{user.*}', 'CRM', true, null, now(), now())",
		"insert into postern.webhook_secrets values (gen_random_uuid(), "+webhookID+", 'whsec_"+strings.Repeat("A", 32)+"', now(), null)",
		"insert into postern.suppressed_addresses values ('gone@example.com', 'bounced', 'alice', now())",
		"insert into postern.user_imports (batch, document) values ('old', '{\"email\": \"ida@example.com\"}')",
		"insert into postern.limits values ('token', '203.0.113.9', now() + interval '1 hour', 60, 30)",
		"insert into postern.quotas values ('mail', 0, 1, now(), 30, 2)",
		fmt.Sprintf(`insert into postern.provider_tokens (id, identity_id, user_id, provider, access_token, created_at, updated_at)
			values ('%s', %s, %s, 'github', '%s', now(), now())`, tokenID, hubID, annID, sealed),
		"create table public.orders (buyer uuid references auth.users on delete cascade)",
		"insert into public.orders values ("+annID+")")
	return conn
}

// everyRow returns all rows of all tables of the three schemas, each with the name of its table.
func everyRow(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	query := lines(t, conn, `
		select string_agg(format('select %L || '' '' || t::text from %s as t', oid::regclass, oid::regclass), ' union all ')
		from pg_class where relkind = 'r' and relnamespace in ('auth'::regnamespace, 'postern'::regnamespace, 'public'::regnamespace)`)[0]
	return lines(t, conn, query+" order by 1")
}

// begin; select postern.<function>(...); rollback; leaves no row anywhere, and wakes nobody to send a mail.
func TestRollbackLeavesNoTrace(t *testing.T) {
	t.Parallel()
	conn := furnished(t)
	listener := connect(t, conn.Config().ConnString(), "")
	exec(t, listener, "listen postern_outbox", "listen postern_events")
	before := everyRow(t, conn)
	for _, name := range lines(t, conn, `select distinct proname::text from pg_proc
		where pronamespace = 'postern'::regnamespace and provolatile = 'v' and prorettype <> 'trigger'::regtype order by 1`) {
		writing, isWriter := writes[name]
		reading, isReader := reads[name]
		if isWriter == isReader {
			t.Errorf("postern.%s is volatile and has no case here: add a call that writes something to writes (and to furnished "+
				"what it works on), or one to reads", name)
			continue
		}
		call := writing + reading
		exec(t, conn, "begin", "select "+call)
		if isWriter == cmp.Equal(before, everyRow(t, conn)) {
			t.Errorf("%s: writes is %t, which is not what it does here; does furnished have what it works on?", call, isWriter)
		}
		exec(t, conn, "rollback")
		diff(t, "after a rollback of "+call, before, everyRow(t, conn))
	}
	// Notifications come in the order of the commits: the first is the one that follows.
	exec(t, conn, "notify postern_outbox, 'the end'")
	if n, err := listener.WaitForNotification(t.Context()); err != nil || n.Payload != "the end" {
		t.Errorf("somebody was woken: %+v, %v", n, err)
	}
}
