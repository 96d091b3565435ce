package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/outbox"
	"github.com/postern-auth/postern/api/webhook"
	"github.com/postern-auth/postern/gen"
)

// hook makes a webhook and returns what verifies its calls.
func (w *world) hook(url, types string) *webhooks.Webhook {
	w.t.Helper()
	verifier, err := webhooks.NewWebhook(w.text("select secret from postern.create_webhook($1, $2)", url, types))
	if err != nil {
		w.t.Fatal(err)
	}
	return verifier
}

// happen writes n events of a type in one transaction.
func (w *world) happen(kind string, n int) {
	w.t.Helper()
	w.exec("select postern_internal.record_event($1, null, jsonb_build_object('actor', 'n' || n)) from generate_series(1, $2) as n", kind, n)
}

// startHooks runs a worker that calls webhooks and sends mails.
func (w *world) startHooks(client *http.Client, smtpPort int) (stop func()) {
	w.t.Helper()
	send := webhook.New(client)
	mailer, err := newMailer(smtpPort)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.run(outbox.New(w.db, outbox.Carriers{Mail: mailer, Webhook: func(ctx context.Context, row gen.ClaimWebhookMessageRow) error {
		var secrets []struct{ Stored string }
		if err := json.Unmarshal(row.Secrets, &secrets); err != nil {
			return err
		}
		m := webhook.Message{ID: webhook.MessageID(row.WebhookID, row.EventID), URL: row.Url, Body: row.Payload}
		for _, s := range secrets {
			m.Secrets = append(m.Secrets, s.Stored)
		}
		return send.Send(ctx, m)
	}}, outbox.Options{Poll: 20 * time.Millisecond}, slog.New(slog.DiscardHandler)))
}

const hookStates = `select coalesce(string_agg(state || ' ' || n, ', ' order by state), '')
	from (select state, count(*) as n from postern.outbox where kind = 'webhook' group by state) s`

// Events that are committed arrive, signed, each once however many servers there are; those rolled back do not.
func TestWebhookDelivery(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := apitest.NewReceiver(t, nil)
	verifier := w.hook(r.URL+"/hook", "{user.*}")
	for range 2 {
		w.startHooks(r.Client, 1)
	}
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select postern_internal.record_event('user.lost', null, '{}')"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	const n = 100
	w.happen("user.created", n)
	w.happen("session.created", n)
	w.until(fmt.Sprintf("sent %d", n), hookStates)
	ids := map[string]bool{}
	for _, call := range r.Calls() {
		if err := verifier.Verify(call.Body, call.Header); err != nil {
			t.Error(err)
		}
		if ids[call.Header.Get("webhook-id")] = true; !strings.HasPrefix(string(call.Body), `{"data": {`) || !strings.Contains(string(call.Body), `"type": "user.created"`) {
			t.Errorf("%s", call.Body)
		}
	}
	if len(ids) != n || len(r.Calls()) != n {
		t.Errorf("%d calls about %d events", len(r.Calls()), len(ids))
	}
	if left := w.text("select count(*)::text from postern.outbox where payload <> '{}'"); left != "0" {
		t.Errorf("%s payloads stay", left)
	}
}

// A receiver that is down at first, then busy, then slow gets the message in the end, under one id.
func TestWebhookRetries(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := apitest.NewReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	w.hook("https://127.0.0.1:1", "{user.*}")
	client := *r.Client
	client.Timeout = 500 * time.Millisecond
	w.startHooks(&client, 1)
	w.happen("user.created", 1)
	now := "update postern.outbox set next_attempt_at = now() where state = 'queued'"
	failed := func(pattern string, attempts string) {
		t.Helper()
		w.until("true "+attempts, "select (select (last_error like $1)::text || ' ' || attempts from postern.outbox where state = 'queued')", pattern)
	}
	failed("%connection refused", "1")
	w.exec("select postern.update_webhook(id, $1) from postern.list_webhooks()", r.URL)
	w.exec(now)
	failed("the receiver answered 500%", "2")
	r.Answer(func(_ http.ResponseWriter, hr *http.Request) { <-hr.Context().Done() })
	w.exec(now)
	failed("%Client.Timeout%", "3")
	r.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	w.exec(now)
	failed("the receiver answered 503%", "4")
	if wait := w.text("select (next_attempt_at - now() between '59 minutes' and '1 hour')::text from postern.outbox"); wait != "true" {
		t.Error("Retry-After does not count")
	}
	r.Answer(http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP)
	w.exec(now)
	failed("the receiver answered 302%", "5")
	r.Answer(nil)
	w.exec(now)
	w.until("sent 1", hookStates)
	ids := map[string]int{}
	for _, call := range r.Calls() {
		ids[call.Path+" "+call.Header.Get("webhook-id")]++
	}
	if len(ids) != 1 {
		t.Errorf("calls: %v", ids)
	}
}

// The last attempt makes a dead letter, which goes out when somebody says so; 410 disables the webhook at once.
func TestWebhookDeadLetters(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := apitest.NewReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	w.hook(r.URL, "{user.*}")
	w.happen("user.created", 1)
	w.exec("update postern.outbox set attempts = 99")
	w.startHooks(r.Client, 1)
	w.until("dead 1", hookStates)
	r.Answer(nil)
	w.exec("select postern.retry_outbox(id) from postern.list_webhook_deliveries(only_state => 'dead')")
	w.until("sent 1", hookStates)

	r.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	w.happen("user.updated", 1)
	w.until("dead 1, sent 1", hookStates)
	if got := w.text("select string_agg(is_enabled || ' ' || disabled_reason, ',') from postern.list_webhooks()"); got != "false gone" {
		t.Error(got)
	}
	w.happen("user.updated", 1)
	if got := w.text(hookStates); got != "dead 1, sent 1" {
		t.Errorf("a disabled webhook gets messages: %s", got)
	}
}

// Receivers that never answer hold up neither another one nor mails, and a few calls at a time are all they get.
func TestSlowReceivers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	release := make(chan struct{})
	slow := apitest.NewReceiver(t, func(http.ResponseWriter, *http.Request) { <-release })
	quick := apitest.NewReceiver(t, nil)
	for range 3 {
		w.hook(slow.URL, "{user.*}")
	}
	w.hook(quick.URL, "{user.updated}")
	w.happen("user.created", 100)
	w.exec("update postern.outbox set next_attempt_at = next_attempt_at - interval '1 hour'") // longer due than all that follows
	w.startHooks(slow.Client, sink.Port)                                                      // it trusts the quick one, too
	t.Cleanup(func() { close(release) })                                                      // before the worker ends
	slow.WaitFor(t, 12)
	w.happen("user.updated", 50)
	w.queue("jo@example.com", nil)
	sink.Take(t, "jo@example.com")
	quick.WaitFor(t, 50)
	if n := len(slow.Calls()); n != 12 {
		t.Errorf("%d calls of 3 slow receivers at a time, want 4 each", n)
	}
}

// What was under way when a worker ended, and what an event's transaction left when its server died, is delivered by the next.
func TestWebhookWorkerEnds(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := apitest.NewReceiver(t, nil)
	w.hook(r.URL, "{user.*}")
	stop := w.startHooks(r.Client, 1)
	stop()
	w.happen("user.created", 20) // nobody is there
	stop = w.startHooks(r.Client, 1)
	r.WaitFor(t, 1)
	stop()
	if got := w.text("select count(*)::text from postern.outbox where state = 'sending'"); got != "0" {
		t.Errorf("%s messages are held by a worker that ended", got)
	}
	w.startHooks(r.Client, 1)
	w.until("sent 20", hookStates)
	if n := len(r.Calls()); n != 20 {
		t.Errorf("%d calls", n)
	}
}

// What is missing at a receiver is sent again, under the ids of the first time.
func TestWebhookReplay(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := apitest.NewReceiver(t, nil)
	w.hook(r.URL, "{user.*}")
	w.happen("user.created", 3)
	w.startHooks(r.Client, 1)
	w.until("sent 3", hookStates)
	if n := w.text("select postern.replay_events(w.id, e.id) from postern.list_webhooks() as w, postern.list_events(types => '{user.*}', max_rows => 2) as e order by e.id limit 1"); n != "2" {
		t.Errorf("%s events", n)
	}
	calls := r.WaitFor(t, 5)
	ids := map[string]int{}
	for _, call := range calls {
		ids[call.Header.Get("webhook-id")+string(call.Body)]++
	}
	var times []int
	for _, n := range ids {
		times = append(times, n)
	}
	if d := cmp.Diff(map[int]int{1: 1, 2: 2}, tally(times)); d != "" {
		t.Errorf("calls per id and body:\n%s", d)
	}
}

func tally(list []int) map[int]int {
	n := map[int]int{}
	for _, v := range list {
		n[v]++
	}
	return n
}
