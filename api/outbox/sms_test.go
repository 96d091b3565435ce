package outbox_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/outbox"
	"github.com/postern-auth/postern/api/sms"
)

// provider answers in place of Twilio.
type provider func(r *http.Request, form string) (status int, body string)

func (p provider) RoundTrip(r *http.Request) (*http.Response, error) {
	form, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, body := p(r, string(form))
	if status == 0 {
		return nil, fmt.Errorf("no network")
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Request: r, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// startAll runs a worker for text messages and mails until the test ends.
func (w *world) startAll(p provider, smtpPort int) {
	w.t.Helper()
	c := config.SMS{Provider: "twilio", Template: "{{ .Code }}"}
	c.Twilio = config.Twilio{AccountSID: "AC1", AuthToken: "token", MessageServiceSID: "MG1"}
	sender, err := sms.New(c, &http.Client{Transport: p, Timeout: time.Second}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	mailer, err := newMailer(smtpPort)
	if err != nil {
		w.t.Fatal(err)
	}
	worker := outbox.New(w.db, outbox.Carriers{Mail: mailer, SMS: sender}, outbox.Options{Poll: 50 * time.Millisecond},
		slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { worker.Run(ctx); close(done) }()
	w.t.Cleanup(func() { cancel(); <-done })
}

// queueText queues a code for a phone number.
func (w *world) queueText(to string, lifetime time.Duration) {
	w.t.Helper()
	w.exec(`insert into postern.outbox (kind, template, recipient, payload, expires_at)
		values ('sms', 'confirmation', $1, '{"otp": "123456", "channel": "sms"}', now() + $2::interval)`, to, lifetime)
}

const sent = `{"sid":"SM1","status":"queued"}`

// A provider that is away for a while delays messages and loses none; one that says no has them dead after a while.
func TestTexts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var tries atomic.Int64
	w.queueText("15550001", time.Hour)
	w.queueText("15550002", time.Hour)
	w.queueText("15550003", time.Hour)
	w.queueText("15550004", -time.Second)
	w.exec("update postern.outbox set attempts = 3 where recipient = '15550003'")
	w.startAll(func(_ *http.Request, form string) (int, string) {
		switch {
		case strings.Contains(form, "15550004"):
			t.Error("a code that has expired was sent")
		case strings.Contains(form, "15550003"):
			return 400, `{"code":21211,"message":"not a number"}`
		case strings.Contains(form, "15550002") && tries.Add(1) == 1:
			return 0, ""
		}
		return 201, sent
	}, 1)
	w.until("dead 2, sent 2", states)
	if n := tries.Load(); n != 2 {
		t.Errorf("the message that failed once was tried %d times", n)
	}
	for recipient, want := range map[string]string{
		"15550001": "sent 1 {}", "15550002": "sent 2 {} no network", "15550003": "dead 4 twilio: 400 not a number (21211)",
		"15550004": "dead 0 {} expired before it was tried",
	} {
		got := w.text(`select concat_ws(' ', state, attempts, case payload when '{}' then '{}' end, regexp_replace(last_error, '.*: no network', 'no network'))
			from postern.outbox where recipient = $1`, recipient)
		if got != want {
			t.Errorf("%s: %s, want %s", recipient, got, want)
		}
	}
}

// A slow provider of text messages holds no mails up.
func TestKindsSideBySide(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	hold := make(chan struct{})
	for i := range 200 { // more than all senders take
		w.queueText(fmt.Sprintf("1555%04d", i), time.Hour)
	}
	w.startAll(func(*http.Request, string) (int, string) { <-hold; return 201, sent }, sink.Port)
	t.Cleanup(func() { close(hold) }) // before the worker ends
	w.until("160", "select count(*)::text from postern.outbox where state = 'sending'")
	w.queue("jo@example.com", nil)
	sink.Take(t, "jo@example.com")
}
