package api_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postern-auth/postern/api/apitest"
)

// reaching are settings of a server that may call a receiver of the test.
func reaching(t *testing.T, r *apitest.Receiver) []string {
	return []string{"POSTERN_OUTBOUND_CA_FILE=" + r.CAFile(t), "POSTERN_OUTBOUND_ALLOWED_NETWORKS=127.0.0.0/8"}
}

// addWebhook makes a webhook over HTTP and returns its path and what verifies its calls.
func (s *server) addWebhook(body m) (path string, verifier *webhooks.Webhook) {
	s.t.Helper()
	r := s.do("POST", "/admin/webhooks", body, s.asAdmin()...)
	if r.Status != 201 {
		s.t.Fatalf("making a webhook: %d %s", r.Status, r.Text)
	}
	return "/admin/webhooks/" + r.Body["id"].(string), s.verifier(r)
}

// verifier reads the secret of an answer.
func (s *server) verifier(r response) *webhooks.Webhook {
	s.t.Helper()
	secret, _ := r.Body["secret"].(string)
	v, err := webhooks.NewWebhook(secret)
	if err != nil || !strings.HasPrefix(secret, "whsec_") {
		s.t.Fatalf("secret %q: %v", secret, err)
	}
	return v
}

// until waits for a query to return a text.
func (s *server) until(want, query string) {
	s.t.Helper()
	s.eventually(query+" is "+want, func() bool { return s.scan(query) == want })
}

// told is the body of a call.
type told struct {
	Type      string
	Timestamp string
	Data      m
}

func readTold(t *testing.T, call apitest.Call) (body told) {
	t.Helper()
	if err := json.Unmarshal(call.Body, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

func TestWebhookLife(t *testing.T) {
	t.Parallel()
	s := setup(t, "POSTERN_OUTBOUND_ALLOWED_NETWORKS=127.0.0.1")
	const all, url = "/admin/webhooks", "https://127.0.0.1:1/hook"
	administer(t, s, []adminStep{
		{"none", "GET", all, nil, 200, []string{`{"webhooks":[]}`}},
		{"no body", "POST", all, "{", 400, []string{"bad_json"}},
		{"no address", "POST", all, object{}, 400, []string{"validation_failed", "url is required"}},
		{"in the clear", "POST", all, object{"url": "http://127.0.0.1"}, 400, []string{"URL must use HTTPS"}},
		{"private", "POST", all, object{"url": "https://10.0.0.1"}, 400, []string{"URL cannot resolve to private network addresses"}},
		{"metadata", "POST", all, object{"url": "https://169.254.169.254/x"}, 400, []string{"URL cannot resolve to cloud metadata endpoints"}},
		{"types", "POST", all, object{"url": url, "event_types": []string{"a b"}}, 400, []string{"event_types holds 'a b'"}},
		{"types of another type", "POST", all, object{"url": url, "event_types": "user.*"}, 400, []string{"bad_json"}},
	})
	if n := s.scan("select count(*) from postern.events"); n != "0" {
		t.Fatalf("%s events of refused webhooks", n)
	}
	one, _ := s.addWebhook(m{"url": url, "event_types": []string{"nothing"}, "description": "CRM"})
	id := strings.TrimPrefix(one, all+"/")
	administer(t, s, []adminStep{
		{"get", "GET", one, nil, 200, []string{`"url":"` + url + `"`, `"event_types":["nothing"]`, `"description":"CRM"`, `"enabled":true`, `"disabled_reason":null`, "!secret"}},
		{"list", "GET", all, nil, 200, []string{`{"webhooks":[{`, `"id":"` + id + `"`, "!secret"}},
		{"no id", "GET", all + "/x", nil, 404, []string{"validation_failed", "webhook_id must be an UUID"}},
		{"unknown", "GET", all + "/" + nobodyID, nil, 404, []string{"webhook_not_found", "Webhook not found"}},
		{"update nothing", "PUT", one, object{}, 200, []string{`"description":"CRM"`, `"event_types":["nothing"]`}},
		{"update", "PUT", one, object{"description": "", "enabled": false, "event_types": []string{}, "url": url + "2"}, 200,
			[]string{`"description":""`, `"enabled":false`, `"event_types":[]`, url + "2", "!secret"}},
		{"update, bad body", "PUT", one, "{", 400, []string{"bad_json"}},
		{"update of none, bad body", "PUT", all + "/" + nobodyID, "{", 404, []string{"webhook_not_found"}},
		{"update, private", "PUT", one, object{"url": "https://10.0.0.1"}, 400, []string{"private network addresses"}},
		{"rotate", "POST", one + "/rotate-secret", nil, 200, []string{`"secret":"whsec_`, `"id":"` + id + `"`}},
		{"rotate, bad body", "POST", one + "/rotate-secret", "{", 400, []string{"bad_json"}},
		{"rotate, for too long", "POST", one + "/rotate-secret", object{"keep_old_seconds": 1e9}, 400, []string{"Old secrets can be kept"}},
		{"rotate, unknown", "POST", all + "/" + nobodyID + "/rotate-secret", nil, 404, []string{"webhook_not_found"}},
		{"replay, from nowhere", "POST", one + "/replay", object{}, 400, []string{"Say from which event on: from_event_id"}},
		{"replay, bad body", "POST", one + "/replay", "{", 400, []string{"bad_json"}},
		{"replay, unknown", "POST", all + "/" + nobodyID + "/replay", object{"from_event_id": 1}, 404, []string{"webhook_not_found"}},
		{"replay", "POST", one + "/replay", object{"from_event_id": 1, "to_event_id": 1}, 200, []string{`{"queued":1}`}},
		{"delete", "DELETE", one, nil, 204, nil},
		{"delete again", "DELETE", one, nil, 404, []string{"webhook_not_found"}},
	})
	for _, path := range []string{"GET " + all, "POST " + all, "GET " + one, "PUT " + one, "DELETE " + one, "POST " + one + "/replay", "POST " + one + "/rotate-secret"} {
		method, path, _ := strings.Cut(path, " ")
		if r := s.do(method, path, nil); r.Status != 401 {
			t.Errorf("%s %s without a token: %d", method, path, r.Status)
		}
		if r := s.do(method, path, nil, bearer(s.token(map[string]any{"role": "authenticated"}))...); r.Status != 403 {
			t.Errorf("%s %s as nobody: %d", method, path, r.Status)
		}
	}
	want := "webhook.created webhook.updated webhook.updated webhook.secret_rotated webhook.deleted"
	if got := s.scan("select string_agg(type, ' ' order by id) from postern.events where actor = 'service_role'"); got != want {
		t.Errorf("events: %s", got)
	}
}

// What people and administrators do arrives signed, after a rotation with both secrets; requests cost no call more.
func TestWebhooksTellOfRequests(t *testing.T) {
	t.Parallel()
	r := apitest.NewReceiver(t, nil)
	s := setup(t, reaching(t, r)...)
	path, verifier := s.addWebhook(m{"url": r.URL + "/hook"})
	if got := readTold(t, r.WaitFor(t, 1)[0]); got.Type != "webhook.created" || "/admin/webhooks/"+got.Data["webhook_id"].(string) != path {
		t.Errorf("%+v", got)
	}
	rotated := s.verifier(s.do("POST", path+"/rotate-secret", nil, s.asAdmin()...))
	id := s.newUser("ann@example.com")
	before := s.statements.Load()
	ann := s.signIn("ann@example.com")
	s.do("POST", "/token?grant_type=refresh_token", m{"refresh_token": ann.RefreshToken})
	s.do("POST", "/logout", nil, bearer(ann.AccessToken)...)
	s.do("DELETE", "/admin/users/"+id, nil, s.asAdmin()...)
	if n := s.statements.Load() - before; n != 5 {
		t.Errorf("%d statements, want 2 for the password, 1 for each other request", n)
	}
	calls := r.WaitFor(t, 8)
	var types []string
	for _, call := range calls[1:] {
		body := readTold(t, call)
		types = append(types, body.Type)
		if body.Type != "webhook.secret_rotated" && body.Data["user_id"] != id || !regexp.MustCompile(`^\d{4}-.*Z$`).MatchString(body.Timestamp) {
			t.Errorf("%s", call.Body)
		}
		for _, v := range []*webhooks.Webhook{verifier, rotated} {
			if err := v.Verify(call.Body, call.Header); err != nil {
				t.Errorf("%s: %v", body.Type, err)
			}
		}
	}
	slices.Sort(types) // no order is promised
	want := []string{"identity.created", "session.created", "session.ended", "user.confirmed", "user.created", "user.deleted", "webhook.secret_rotated"}
	if d := cmp.Diff(want, types); d != "" {
		t.Error(d)
	}
}

// Several servers of one database deliver each message once; a receiver that is gone is heard by all.
func TestWebhooksOfSeveralServers(t *testing.T) {
	t.Parallel()
	r := apitest.NewReceiver(t, nil)
	s := setup(t, reaching(t, r)...)
	setupOn(t, s.dsn, reaching(t, r)...)
	path, _ := s.addWebhook(m{"url": r.URL, "event_types": []string{"user.*"}})
	s.exec("select postern.create_user('user' || n || '@example.com') from generate_series(1, 40) as n")
	s.until("sent 40", "select string_agg(state || ' ' || n, ',') from (select state, count(*) as n from postern.outbox group by 1) as s")
	if n := len(r.Calls()); n != 40 {
		t.Errorf("%d calls", n)
	}
	r.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	s.exec("select postern.ban_user('user1@example.com', '1 day')")
	s.until("false gone", "select is_enabled || ' ' || coalesce(disabled_reason, '') from postern.webhooks")
	administer(t, s, []adminStep{{"disabled", "GET", path, nil, 200, []string{`"enabled":false`, `"disabled_reason":"gone"`}}})
}

// With encryption on, secrets are stored encrypted: over HTTP from the start, in SQL after the first use.
func TestWebhookSecretsAreSealed(t *testing.T) {
	t.Parallel()
	r := apitest.NewReceiver(t, nil)
	s := setup(t, append(reaching(t, r),
		"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT=true", "GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY_ID=k1",
		"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY="+providerTokenKey, "GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS=k1:"+providerTokenKey)...)
	path, verifier := s.addWebhook(m{"url": r.URL + "/http"})
	rotated := s.verifier(s.do("POST", path+"/rotate-secret", nil, s.asAdmin()...))
	const plain = "select count(*) from postern.webhook_secrets where secret like 'whsec_%'"
	if n := s.scan(plain); n != "0" {
		t.Errorf("%s secrets are not encrypted", n)
	}
	bySQL, err := webhooks.NewWebhook(s.scan("select secret from postern.create_webhook($1, '{user.*}')", r.URL+"/sql"))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.scan(plain); n != "1" {
		t.Errorf("%s secrets are not encrypted", n)
	}
	s.newUser("ann@example.com")
	s.until("0", "select count(*) from postern.outbox where state <> 'sent'")
	if n := s.scan(plain); n != "0" {
		t.Errorf("%s secrets are not encrypted after their use", n)
	}
	for _, call := range r.Calls() {
		good := []*webhooks.Webhook{verifier}
		switch {
		case call.Path == "/sql":
			good = []*webhooks.Webhook{bySQL}
		case readTold(t, call).Type == "user.created":
			good = append(good, rotated)
		}
		for _, v := range good {
			if err := v.Verify(call.Body, call.Header); err != nil {
				t.Errorf("%s %s: %v", call.Path, call.Body, err)
			}
		}
	}
}

// However an address got into the table, it leads nobody into private networks.
func TestWebhooksMayNotLeadInside(t *testing.T) {
	t.Parallel()
	r := apitest.NewReceiver(t, nil)
	s := setup(t, "POSTERN_OUTBOUND_CA_FILE="+r.CAFile(t))
	administer(t, s, []adminStep{
		{"by the API", "POST", "/admin/webhooks", object{"url": r.URL}, 400, []string{"URL cannot point to localhost or loopback addresses"}},
	})
	s.exec("select postern.create_webhook($1)", r.URL)
	s.exec("update postern.outbox set attempts = 3")
	s.until("dead true", "select state || ' ' || (coalesce(last_error, '') like '%POSTERN_OUTBOUND_ALLOWED_NETWORKS%') from postern.outbox")
	if n := len(r.Calls()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// Nobody can tell from an answer that an address is suppressed; no mail, text message or hook goes to it.
func TestSuppressedAddressesOverHTTP(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	s := setup(t, smtpSettings(sink.Host, sink.Port)...)
	s.newUser("ann@example.com")
	s.newUser("bob@example.com")
	s.exec("select postern.suppress_address('ann@example.com', 'bounced')")
	for _, to := range []string{"ann@example.com", "bob@example.com"} {
		before := s.statements.Load()
		if r := s.do("POST", "/magiclink", m{"email": to}); r.Status != 200 || r.Text != "{}" || s.statements.Load()-before != 1 {
			t.Errorf("%s: %d %s", to, r.Status, r.Text)
		}
	}
	sink.Take(t, "bob@example.com")
	s.until("dropped the address is suppressed: bounced", "select state || ' ' || coalesce(last_error, '') from postern.outbox where recipient = 'ann@example.com'")
	if got := s.scan("select count(*) from auth.one_time_tokens"); got != "2" {
		t.Errorf("%s codes", got)
	}
	stand := newHookStand(t)
	hooked := setupOn(t, s.dsn, append(stand.settings("SEND_EMAIL", "SEND_SMS"), "GOTRUE_EXTERNAL_PHONE_ENABLED=true")...)
	hooked.exec("select postern.suppress_address('+1 555 0100', 'on request')")
	for _, c := range []struct {
		name, path string
		body       m
		want       []string
	}{
		{"magic link", "/magiclink", m{"email": "ann@example.com"}, nil},
		{"code", "/otp", m{"phone": "15550100"}, nil},
		{"another", "/magiclink", m{"email": "bob@example.com"}, []string{"SEND_EMAIL"}},
		{"another number", "/otp", m{"phone": "15550101"}, []string{"SEND_SMS"}},
	} {
		if r := hooked.do("POST", c.path, c.body); r.Status != 200 {
			t.Errorf("%s: %d %s", c.name, r.Status, r.Text)
		}
		if got := names(stand.take()); !slices.Equal(got, c.want) {
			t.Errorf("%s: hooks %v", c.name, got)
		}
	}
	bob := hooked.signIn("bob@example.com")
	if r := hooked.do("PUT", "/user", m{"email": "new@example.com"}, bearer(bob.AccessToken)...); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	hooked.exec("select postern.suppress_address('bob@example.com', 'bounced')")
	stand.take()
	if r := hooked.do("PUT", "/user", m{"email": "new2@example.com"}, bearer(bob.AccessToken)...); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	if got := names(stand.take()); !slices.Equal(got, []string{"SEND_EMAIL"}) {
		t.Errorf("a change that one of two addresses may confirm: hooks %v", got)
	}
}
