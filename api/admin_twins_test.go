package api_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// routeTwin is a request to an admin endpoint that changes something, and the call of schema postern for the same wish.
type routeTwin struct {
	route   string // as in the router's table, without a trailing slash
	prepare string // run in both databases before
	path    string
	body    object
	call    string // follows select
}

const (
	someone   = "select postern.create_user('ann@example.com', id => '" + annID + "', password_hash => '" + testHash + "', email_confirm => true)"
	oneFactor = "00000000-0000-4000-8000-0000000000f1"
	someMFA   = someone + `; insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, created_at, updated_at)
		values ('` + oneFactor + `', '` + annID + `', 'watch', 'totp', 'verified', 'SECRET', now(), now())`
	oneSession  = "00000000-0000-4000-8000-0000000000aa"
	someSession = someone + "; insert into auth.sessions (id, user_id, created_at) values ('" + oneSession + "', '" + annID + "', now())"
	webhookID   = "00000000-0000-4000-8000-0000000000e1"
	oneWebhook  = "/admin/webhooks/" + webhookID
	someWebhook = "insert into postern.webhooks values ('" + webhookID + "', '" + acmeURL + "', '{}', '', true, null, now(), now())"
	newProvider = `postern.create_custom_provider('custom:acme', 'Acme', 'c1', 's1', authorization_url => '` + acmeURL + `/authorize',
		token_url => '` + acmeURL + `/token', userinfo_url => '` + acmeURL + `/me')`
)

// routeTwins has every route under /admin, and POST /invite, that changes something.
var routeTwins = []routeTwin{
	{"POST /admin/users", "select 1", "/admin/users", object{"id": annID, "phone": "+15550001", "role": "editor", "ban_duration": "1h", "app_metadata": object{"a": 1}},
		"postern.create_user(phone => '+15550001', id => '" + annID + "', role => 'editor', ban_duration => '1 hour', app_metadata => '{\"a\": 1}')"},
	{"PUT /admin/users/:user_id", someone, "/admin/users/" + annID, object{"email": "lee@example.com", "user_metadata": object{"a": 1}},
		"postern.update_user('ann@example.com', 'lee@example.com', user_metadata => '{\"a\": 1}')"},
	{"DELETE /admin/users/:user_id", someMFA, "/admin/users/" + annID, nil, "postern.delete_user('ann@example.com')"},
	{"PUT /admin/users/:user_id/factors/:factor_id", someMFA, "/admin/users/" + annID + "/factors/" + oneFactor, object{"friendly_name": "clock"},
		"postern.update_factor('ann@example.com', '" + oneFactor + "', 'clock')"},
	{"DELETE /admin/users/:user_id/factors/:factor_id", someMFA, "/admin/users/" + annID + "/factors/" + oneFactor, nil,
		"postern.delete_factor('ann@example.com', '" + oneFactor + "')"},
	{"POST /invite", "select 1", "/invite", object{"email": "Ann@Example.com", "data": object{"team": "blue"}},
		"postern.invite_user('Ann@Example.com', '{\"team\": \"blue\"}')"},
	{"DELETE /admin/users/:user_id/sessions", someSession, "/admin/users/" + annID + "/sessions", nil, "postern.sign_out('ann@example.com')"},
	{"DELETE /admin/users/:user_id/sessions/:session_id", someSession, "/admin/users/" + annID + "/sessions/" + oneSession, nil,
		"postern.sign_out('ann@example.com', '" + oneSession + "')"},
	{"POST /admin/users/:user_id/logout", someSession, "/admin/users/" + annID + "/logout", nil, "postern.sign_out('ann@example.com')"},
	{"POST /admin/generate_link", someone, "/admin/generate_link", object{"type": "recovery", "email": "ann@example.com"},
		"l from postern.issue_link('ann@example.com', 'recovery') as l"},
	{"POST /admin/custom-providers", "select 1", "/admin/custom-providers", oauth2Provider(nil), newProvider},
	{"PUT /admin/custom-providers/:identifier", "select " + newProvider, "/admin/custom-providers/custom:acme", object{"name": "Ajax", "scopes": []string{"a", "b"}},
		"postern.update_custom_provider('custom:acme', name => 'Ajax', scopes => '{a,b}')"},
	{"DELETE /admin/custom-providers/:identifier", "select " + newProvider, "/admin/custom-providers/custom:acme", nil,
		"postern.delete_custom_provider('custom:acme')"},
	{"POST /admin/webhooks", "select 1", "/admin/webhooks", object{"url": acmeURL, "event_types": []string{"user.*"}}, "postern.create_webhook('" + acmeURL + "', '{user.*}')"},
	{"PUT /admin/webhooks/:webhook_id", someWebhook, oneWebhook, object{"enabled": false}, "postern.update_webhook('" + webhookID + "', enabled => false)"},
	{"DELETE /admin/webhooks/:webhook_id", someWebhook, oneWebhook, nil, "postern.delete_webhook('" + webhookID + "')"},
	{"POST /admin/webhooks/:webhook_id/rotate-secret", someWebhook, oneWebhook + "/rotate-secret", object{"keep_old_seconds": 3600},
		"postern.rotate_webhook_secret('" + webhookID + "', '1 hour')"},
	{"POST /admin/webhooks/:webhook_id/replay", someone + ";" + someWebhook, oneWebhook + "/replay", object{"from_event_id": 1}, "postern.replay_events('" + webhookID + "', 1)"},
}

// withoutTwin are such routes that no function of schema postern can stand for, and why.
var withoutTwin = map[string]string{}

// byChance is what is drawn: ids other than those above, codes and their hashes, the hash of no password; and who
// acts, which is another role in SQL, and the port of a server.
var byChance = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-(?:[1-9a-f]|0{1,9}[1-9a-f])[0-9a-f]{2,}\b|` +
	`\b(?:v2_)?[0-9a-f]{56}\b|"token": "\d{6}"|token=[^&"]+|\$2a\$10\$[./0-9A-Za-z]{53}|127\.0\.0\.1:\d+|"actor": "\w+"`)

// undelivered keeps mails as they were queued.
const undelivered = `create function public.keep() returns trigger language plpgsql as $$ begin return null; end $$;
	create trigger keep before update on postern.outbox for each row execute function public.keep()`

// Every admin endpoint that changes something has a function in SQL that leaves the same rows, events, audit entries and mails.
func TestEveryAdminRouteHasATwin(t *testing.T) {
	t.Parallel()
	var routes []string
	for _, r := range setup(t).api.Routes() {
		route := r[0] + " " + strings.TrimSuffix(r[1], "/")
		if r[0] != http.MethodGet && (strings.HasPrefix(r[1], "/admin/") || r[1] == "/invite") && !slices.Contains(routes, route) {
			routes = append(routes, route)
		}
	}
	if len(routes) < 10 {
		t.Fatalf("only %d routes are looked at: %q", len(routes), routes)
	}
	for _, route := range routes {
		isThere := slices.ContainsFunc(routeTwins, func(c routeTwin) bool { return c.route == route })
		if reason := withoutTwin[route]; isThere == (reason != "") {
			t.Errorf("%s changes something: add it to routeTwins with the SQL function that does the same, or the reason why there is none to withoutTwin", route)
		}
	}
	for _, c := range routeTwins {
		if !slices.Contains(routes, c.route) {
			t.Errorf("there is no route %s", c.route)
		}
	}
	for route := range withoutTwin {
		if !slices.Contains(routes, route) {
			t.Errorf("there is no route %s", route)
		}
	}
}

func TestAdminRoutesLeaveWhatSQLLeaves(t *testing.T) {
	t.Parallel()
	for _, c := range routeTwins {
		t.Run(c.route, func(t *testing.T) {
			t.Parallel()
			overHTTP, inSQL := setup(t), setup(t)
			for _, s := range []*server{overHTTP, inSQL} {
				s.exec(undelivered)
				s.exec(c.prepare)
			}
			method, _, _ := strings.Cut(c.route, " ")
			twins(t, overHTTP, inSQL, twin{c.route, method, c.path, c.body, c.call}, byChance)
		})
	}
}
