package sql_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/apitest"
)

const (
	annsID = "'00000000-0000-4000-8000-00000000000a'"
	// happen writes an event of some type about ann.
	happen = "select from postern_internal.record_event('%s', " + annsID + ", '{\"actor\": \"jo\"}', '{\"by\": \"hand\"}')"
	// queued are the messages to webhooks, and then they are gone.
	queued = `select string_agg(w.description || ' ' || o.template, ', ' order by o.event_id, w.description)
		from postern.outbox as o join postern.webhooks as w on w.id = o.webhook_id where o.state = 'queued'`
	forget = "delete from postern.outbox"
)

// turn is a statement and what it returns: rows as text, an error, nothing for what is no query.
type turn [2]string

// take does turns one after the other as the only administrator.
func take(t *testing.T, turns ...turn) {
	t.Helper()
	tx := admin(t)
	for _, s := range turns {
		if !strings.HasPrefix(s[0], "select") {
			if _, err := tx.Exec(t.Context(), s[0]); err != nil {
				t.Fatalf("%s: %v", s[0], err)
			}
			continue
		}
		if got := ask(t, tx, s[0]); got != s[1] {
			t.Errorf("%s:\n%s, want\n%s", s[0], got, s[1])
		}
	}
}

// add makes a webhook that wants some types.
func add(name, types string) turn {
	return turn{fmt.Sprintf("select secret ~ '^whsec_[A-Za-z0-9+/]{43}=$' from postern.create_webhook('https://%s.example.com/hook', '%s', '%s')",
		name, types, name), "(t)"}
}

// change changes a webhook.
func change(name, what string) turn {
	return turn{fmt.Sprintf("select count(postern.update_webhook(id, %s)) from postern.list_webhooks() where description = '%s'", what, name), "(1)"}
}

func event(kind string) turn { return turn{fmt.Sprintf(happen, kind), "()"} }

func TestWebhooksGetTheEventsTheyWant(t *testing.T) {
	t.Parallel()
	take(t,
		event("user.created"),
		turn{queued, "()"},
		add("all", "{}"), add("users", "{user.*}"), add("two", "{session.created,user.created}"), add("star", "{*}"),
		add("prefix", "{user.c,use.*,user,custom_provider.*,custom.*}"), add("off", "{}"),
		turn{queued, `("all webhook.created, all webhook.created, all webhook.created, all webhook.created, star webhook.created, ` +
			`all webhook.created, star webhook.created, all webhook.created, off webhook.created, star webhook.created")`},
		change("off", "enabled => false"),
		turn{forget},
		event("user.created"),
		turn{queued, `("all user.created, star user.created, two user.created, users user.created")`},
		turn{forget},
		event("custom_provider.created"),
		turn{queued, `("all custom_provider.created, prefix custom_provider.created, star custom_provider.created")`},
		turn{forget},
		change("all", "event_types => '{session.ended}'"), change("star", "event_types => '{}'"), change("users", "enabled => false"),
		turn{forget},
		turn{"select postern.sign_out('ann@example.com')", "(2)"},
		turn{queued, `("all session.ended, star session.ended, all session.ended, star session.ended")`},
		turn{forget},
		turn{"select postern.delete_webhook(id) from postern.list_webhooks() where description in ('all', 'star')", "(\"\")\n(\"\")"},
		turn{forget},
		event("user.created"),
		turn{queued, `("two user.created")`},
	)
}

// The body is what Standard Webhooks say, and what the event itself says hides none of it.
func TestWebhookBody(t *testing.T) {
	t.Parallel()
	take(t,
		add("all", "{user.*}"),
		turn{"set local postern.clock = '2026-05-15 12:00:00.5Z'"},
		turn{"select from postern_internal.record_event('user.created', " + annsID + ", '{\"actor\": \"jo\"}', '{\"by\": \"hand\", \"actor\": \"x\"}', " + annsID + ")", "()"},
		turn{`select o.payload - 'data' as rest, o.kind, o.recipient, o.user_id is null as no_user, o.payload -> 'data' = jsonb_build_object(
			'by', 'hand', 'event_id', e.id, 'actor', 'jo', 'user_id', e.user_id, 'session_id', e.session_id) as complete
			from postern.outbox as o join postern.events as e on e.id = o.event_id`,
			`("{""type"": ""user.created"", ""timestamp"": ""2026-05-15T12:00:00.5Z""}",webhook,https://all.example.com/hook,t,t)`},
	)
}

// Events of the months that maintenance made are told as well.
func TestWebhooksInNewPartitions(t *testing.T) {
	t.Parallel()
	tx := prepared(t, frozen, "select postern_internal.maintain('event_partitions')", "set local postern.clock = '2026-06-02 12:00Z'",
		"select postern.create_webhook('https://a.example.com', '{user.*}', 'a')", fmt.Sprintf(happen, "user.created"))
	const partition = `select e.tableoid::regclass::text as partition, o.template from postern.events as e join postern.outbox as o on o.event_id = e.id`
	if got := ask(t, tx, partition); got != "(postern.events_2026_06,user.created)" {
		t.Error(got)
	}
}

func TestWebhooksBySQL(t *testing.T) {
	t.Parallel()
	const one = "(select id from postern.list_webhooks())"
	const refused = "PT400 validation_failed: "
	const badURL = refused + "URL must use HTTPS, without spaces and without a fragment"
	take(t,
		turn{"select postern.create_webhook(null)", refused + "url is required"},
		turn{"select postern.create_webhook('')", refused + "url is required"},
		turn{"select postern.create_webhook('http://a')", badURL},
		turn{"select postern.create_webhook('https://')", badURL},
		turn{"select postern.create_webhook('https://a/ b')", badURL},
		turn{"select postern.create_webhook('https://a/#b')", badURL},
		turn{"select postern.create_webhook('https://a/' || repeat('x', 2040))", refused + "url must have at most 2048 characters"},
		turn{"select postern.create_webhook('https://a', description => repeat('x', 1001))", refused + "description must have at most 1000 characters"},
		turn{"select postern.create_webhook('https://a', '{user.*,User}')", refused + "event_types holds 'User', which is neither a type such as user.created nor a pattern such as user.*"},
		turn{"select postern.create_webhook('https://a', '{null}')", refused + "event_types holds NULL, which is neither a type such as user.created nor a pattern such as user.*"},
		turn{"select postern.create_webhook('https://a', '{*.created}')", refused + "event_types holds '*.created', which is neither a type such as user.created nor a pattern such as user.*"},
		turn{"select * from postern.list_webhooks()", ""},
		add("a", "{user.*}"),
		turn{"select url, event_types, description, is_enabled, disabled_reason, secrets, waiting, dead from postern.list_webhooks()",
			"(https://a.example.com/hook,{user.*},a,t,,1,0,0)"},
		turn{"select w - '{id,created_at,updated_at}'::text[] from postern.update_webhook(" + one + ", 'https://b/x?y=1', '{}', 'b', false) as w",
			`("{""url"": ""https://b/x?y=1"", ""enabled"": false, ""description"": ""b"", ""event_types"": [], ""disabled_reason"": null}")`},
		turn{"select postern.update_webhook(" + one + ", 'http://b')", badURL},
		turn{"select w ->> 'url' as url, w ->> 'enabled' as enabled from postern.update_webhook(" + one + ") as w", "(https://b/x?y=1,false)"},
		turn{"select postern.update_webhook(" + annsID + ")", "PT404 webhook_not_found: Webhook not found"},
		turn{"select postern.delete_webhook(" + annsID + ")", "PT404 webhook_not_found: Webhook not found"},
		turn{"select postern.rotate_webhook_secret(" + annsID + ")", "PT404 webhook_not_found: Webhook not found"},
		turn{"select postern.replay_events(" + annsID + ", 1)", "PT404 webhook_not_found: Webhook not found"},
		turn{"select type, actor = session_user as me, data - 'webhook_id' as data from postern.events order by id", strings.Join([]string{
			`(webhook.created,t,"{""enabled"": true, ""event_types"": [""user.*""]}")`,
			`(webhook.updated,t,"{""enabled"": false, ""event_types"": []}")`,
			`(webhook.updated,t,"{""enabled"": false, ""event_types"": []}")`,
		}, "\n")},
		turn{"select postern.delete_webhook(" + one + ")", `("")`},
		turn{"select (select count(*) from postern.webhooks), (select count(*) from postern.webhook_secrets)", "(0,0)"},
	)
}

// A new secret signs at once, the old one for a while; maintenance forgets what signs no more.
func TestWebhookSecrets(t *testing.T) {
	t.Parallel()
	const one = "(select id from postern.list_webhooks())"
	const signing = `select jsonb_array_length(secrets) from postern_internal.claim_webhook_message('{}', '1 minute')`
	message := turn{fmt.Sprintf(happen, "user.created"), "()"}
	const kept = "PT400 validation_failed: Old secrets can be kept for 0 seconds to 30 days"
	take(t,
		turn{"set local postern.clock = '2026-05-15 12:00Z'"},
		add("a", "{user.*}"),
		turn{"select count(distinct s.secret) from (select secret from postern.webhook_secrets union all select postern.rotate_webhook_secret(" + one + ")) as s", "(2)"},
		turn{"select expires_at - created_at as left from postern.webhook_secrets order by expires_at", "(\"1 day\")\n()"},
		message, turn{signing, "(2)"},
		turn{"set local postern.clock = '2026-05-16 11:59:59Z'"},
		message, turn{signing, "(2)"},
		turn{"set local postern.clock = '2026-05-16 12:00Z'"},
		message, turn{signing, "(1)"},
		turn{"select secrets from postern.list_webhooks()", "(1)"},
		turn{"select rows from postern_internal.maintain('webhook_secrets')", "(1)"},
		turn{"select length(postern.rotate_webhook_secret(" + one + ", '30 days')), length(postern.rotate_webhook_secret(" + one + ", '1 hour'))", "(50,50)"},
		turn{"select secrets from postern.list_webhooks()", "(3)"},
		turn{"select max(expires_at) from postern.webhook_secrets", `("2026-05-16 13:00:00+00")`},
		turn{"select length(postern.rotate_webhook_secret(" + one + ", '0'))", "(50)"},
		message, turn{signing, "(1)"},
		turn{"select postern.rotate_webhook_secret(" + one + ", '-1 second')", kept},
		turn{"select postern.rotate_webhook_secret(" + one + ", '31 days')", kept},
	)
}

func TestReplayEvents(t *testing.T) {
	t.Parallel()
	const one = "(select id from postern.list_webhooks())"
	nth := func(n string) string { return "(select id from postern.events order by id offset " + n + " limit 1)" }
	take(t,
		event("user.created"), event("session.created"), event("user.updated"), event("user.deleted"),
		add("a", "{user.*}"),
		turn{"select postern.replay_events(" + one + ", " + nth("0") + ", " + nth("2") + ")", "(2)"},
		turn{queued, `("a user.created, a user.updated")`},
		turn{"select postern.replay_events(" + one + ", " + nth("0") + ")", "(1)"}, // the others wait already
		turn{queued, `("a user.created, a user.updated, a user.deleted")`},
		turn{"update postern.outbox set state = 'sent'"},
		turn{"select postern.replay_events(" + one + ", " + nth("2") + ")", "(2)"},
		turn{"select postern.replay_events(" + one + ", null)", "PT400 validation_failed: Say from which event on: from_event_id"},
		turn{"select event_type, state from postern.list_webhook_deliveries(" + one + ", 'queued', 1)", "(user.deleted,queued)"},
		turn{"select count(*) from postern.list_webhook_deliveries()", "(5)"},
		turn{"select count(*) from postern.list_webhook_deliveries(" + annsID + ")", "(0)"},
	)
}

// What becomes of messages, and who may have them.
func TestWebhookDeliveries(t *testing.T) {
	t.Parallel()
	const claim = `select c.type, c.attempts, c.url from postern_internal.claim_webhook_message('{}', '1 minute') as c`
	const row = `select state, attempts, last_error, payload <> '{}' as has_payload from postern.outbox order by id`
	finish := func(outcome, text, wait string) string {
		return fmt.Sprintf("select f from postern.outbox as o cross join postern_internal.finish_webhook_message(o.id, o.attempts, '%s', '%s', '%s') as f where o.state = 'sending'",
			outcome, text, wait)
	}
	const pause = "select next_attempt_at - postern_internal.clock() between interval '%s' and interval '%s' from postern.outbox"
	take(t,
		turn{"set local postern.clock = '2026-05-15 12:00Z'"},
		add("a", "{user.*}"),
		event("user.created"),
		turn{"select count(*) from postern_internal.claim_webhook_message(array(select id from postern.webhooks), '1 minute')", "(0)"},
		turn{claim, "(user.created,1,https://a.example.com/hook)"},
		turn{claim, ""},
		turn{finish("retry", "why", "0"), "(f)"},
		turn{row, "(queued,1,why,t)"},
		turn{fmt.Sprintf(pause, "0.8 s", "1.2 s"), "(t)"},
		change("a", "url => 'https://b.example.com'"),
		turn{"set local postern.clock = '2026-05-15 12:00:02Z'"},
		turn{claim, "(user.created,2,https://b.example.com)"},
		turn{finish("retry", "busy", "10 minutes"), "(f)"},
		turn{fmt.Sprintf(pause, "10 min", "10 min"), "(t)"},
		turn{"set local postern.clock = '2026-05-15 12:11Z'"},
		change("a", "enabled => false"),
		turn{claim, ""},
		change("a", "enabled => true"),
		turn{claim, "(user.created,3,https://b.example.com)"},
		turn{finish("retry", "busy", "10 days"), "(f)"},
		turn{fmt.Sprintf(pause, "1 day", "1 day"), "(t)"},
		turn{"update postern.outbox set attempts = 99, next_attempt_at = postern_internal.clock()"},
		turn{claim, "(user.created,100,https://b.example.com)"},
		turn{finish("retry", "down", "1 hour"), "(f)"},
		turn{row, "(dead,100,down,t)"},
		turn{"select waiting, dead from postern.list_webhooks()", "(0,1)"},
		turn{"select postern.retry_dead_outbox('mail')", "(0)"},
		turn{"select postern.retry_dead_outbox('webhook')", "(1)"},
		turn{claim, "(user.created,1,https://b.example.com)"},
		turn{finish("sent", "", "0"), "(f)"},
		turn{row, "(sent,1,down,f)"},
		event("user.created"),
		turn{claim, "(user.created,1,https://b.example.com)"},
		turn{finish("gone", "410", "0"), "(t)"},
		turn{row, "(sent,1,down,f)\n(dead,1,410,t)"},
		turn{"select is_enabled, disabled_reason from postern.list_webhooks()", "(f,gone)"},
		turn{"select actor, data ->> 'reason' as reason from postern.list_events(types => '{webhook.disabled}')", "(server,gone)"},
		turn{"select severity, area from postern.doctor() where area = 'webhooks'", "(warning,webhooks)"},
		event("user.updated"),
		turn{"select postern.retry_outbox(id) from postern.list_webhook_deliveries(only_state => 'dead')", `("")`},
		turn{claim, ""}, // waits until the webhook is enabled
		turn{"set local postern.clock = '2026-05-22 12:10:59Z'"},
		turn{"select postern_internal.clean_outbox()", "(0)"},
		turn{row, "(sent,1,down,f)\n(queued,0,410,t)"},
		turn{"set local postern.clock = '2026-05-22 12:11:01Z'"},
		turn{"select postern_internal.clean_outbox()", "(1)"},
		turn{row, "(dead,0,\"the webhook is disabled\",t)"},
		change("a", "enabled => true"),
		turn{"select disabled_reason from postern.list_webhooks()", "()"},
		event("user.updated"),
		turn{"select postern.delete_webhook(id) from postern.list_webhooks()", `("")`},
		turn{row, "(dropped,0,\"the webhook was deleted\",f)\n(dropped,0,\"the webhook was deleted\",f)"},
		turn{"update postern.outbox set state = 'queued', next_attempt_at = '2001-01-01'"}, // queued beside the deletion
		turn{"select postern_internal.clean_outbox()", "(0)"},
		turn{row, "(dropped,0,\"the webhook was deleted\",f)\n(dropped,0,\"the webhook was deleted\",f)"},
	)
}

// One message at a time, of the webhook that has waited longest; none of those that are busy.
func TestClaimsGoAround(t *testing.T) {
	t.Parallel()
	const claim = `select w.description, c.type from postern_internal.claim_webhook_message(array(
		select id from postern.webhooks where description = '%s'), '1 minute') as c join postern.webhooks as w on w.id = c.webhook_id`
	take(t,
		turn{"set local postern.clock = '2026-05-15 12:00Z'"},
		add("a", "{user.*}"), add("b", "{user.updated}"),
		event("user.created"), event("user.created"),
		turn{"set local postern.clock = '2026-05-15 12:00:01Z'"},
		event("user.updated"),
		turn{fmt.Sprintf(claim, ""), "(a,user.created)"},
		turn{fmt.Sprintf(claim, "a"), "(b,user.updated)"},
		turn{fmt.Sprintf(claim, "a"), ""},
		turn{fmt.Sprintf(claim, "b"), "(a,user.created)"},
		turn{fmt.Sprintf(claim, "b"), "(a,user.updated)"},
		turn{fmt.Sprintf(claim, ""), ""},
		turn{"set local postern.clock = '2026-05-15 12:01:01Z'"},
		turn{fmt.Sprintf(claim, "a"), "(b,user.updated)"}, // its worker died
	)
}

// Webhooks and suppressed addresses are for administrators; support may read what happened.
func TestWhoReachesWebhooks(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
	exec(t, conn, "select postern.create_webhook('https://a')")
	for role, level := range map[string]int{
		"anon": 0, "authenticated": 0, "service_role": 0, "postern_support": 1, "postern_admin": 2,
	} {
		for query, needed := range map[string]int{
			"select postern.list_events()":                                                  1,
			"select postern.list_suppressed_addresses()":                                    1,
			"select postern.list_webhooks()":                                                2,
			"select postern.create_webhook('https://b')":                                    2,
			"select postern.rotate_webhook_secret(id) from postern.list_webhooks()":         2,
			"select postern.suppress_address('a@example.com', 'x')":                         2,
			"select postern.notify_events(false)":                                           2,
			"select secret from postern.webhook_secrets":                                    3,
			"select url from postern.webhooks":                                              3,
			"select postern_internal.claim_webhook_message('{}', '1 minute')":               3,
			"select postern_internal.list_sealed_values('webhook_secrets.secret', null, 1)": 3,
		} {
			exec(t, conn, "begin", "set local role "+role)
			_, err := conn.Exec(t.Context(), query)
			exec(t, conn, "rollback")
			var pg *pgconn.PgError
			if isRefused := errors.As(err, &pg) && pg.Code == "42501"; isRefused != (level < needed) || err != nil && !isRefused {
				t.Errorf("%s: %s: %v", role, query, err)
			}
		}
	}
}
