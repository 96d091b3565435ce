package mail_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/mail"
)

// A template host that does not answer holds up only the mails that need it, and not the others of their batch.
func TestSlowTemplateHost(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = fmt.Fprint(w, "at last")
	}))
	defer slow.Close()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	m := mailer(t, mail.Settings{
		Host: sink.Host, Port: sink.Port, TemplateInvite: slow.URL, TemplateMaxAge: time.Hour,
		TemplateRecovery: slow.URL, // the same page: one load for both
	})
	var requests []mail.Request
	for i, kind := range []string{"invite", "magic_link", "recovery", "confirmation"} {
		requests = append(requests, mail.Request{ID: fmt.Sprint(i), Template: kind, To: kind + "@example.com", Payload: []byte(payload)})
	}
	done := make(chan []error)
	go func() { done <- m.Deliver(context.Background(), requests) }()
	if got := sink.WaitFor(t, 2); got[0].To != "magic_link@example.com" || got[1].To != "confirmation@example.com" {
		t.Errorf("%s and %s went first", got[0].To, got[1].To)
	}
	close(release)
	for i, err := range <-done {
		if err != nil {
			t.Errorf("%s: %v", requests[i].Template, err)
		}
	}
	got := sink.WaitFor(t, 4)
	if got[2].HTML != "at last" || got[3].HTML != "at last" || len(got) != 4 {
		t.Errorf("%d mails: %q %q", len(got), got[2].HTML, got[3].HTML)
	}
}

// What has been loaded once is used while a newer version is on its way.
func TestSlowReload(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := hits.Add(1)
		if n > 1 {
			<-release
		}
		_, _ = fmt.Fprintf(w, "version %d", n)
	}))
	defer server.Close()
	defer close(release)
	m := mailer(t, mail.Settings{TemplateInvite: server.URL}) // of age 0: always due
	for range 5 {
		began := time.Now()
		if got := render(t, m, "invite", payload); got.HTML != "version 1" {
			t.Errorf("%q", got.HTML)
		}
		if d := time.Since(began); d > 8*time.Second { // the loading would take for ever
			t.Errorf("a mail waited %s", d)
		}
	}
	if n := hits.Load(); n != 2 {
		t.Errorf("%d loads, want 2: one at a time", n)
	}
}

// Reloading in the background begins at once, comes at 90 % of the age, and ends with the use.
func TestReloading(t *testing.T) {
	t.Parallel()
	hits := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits <- struct{}{}
		_, _ = fmt.Fprintf(w, "hello")
	}))
	defer server.Close()
	s := mail.Settings{
		TemplateInvite: server.URL, TemplateReloading: true, TemplateReloadingMaxIdle: 2 * time.Hour, TemplateMaxAge: time.Hour,
	}
	m := mailer(t, s)
	began := time.Now()
	for _, step := range []struct {
		after time.Duration
		loads bool
	}{{0, true}, {53 * time.Minute, false}, {55 * time.Minute, true}, {119 * time.Minute, true}, {121 * time.Minute, false}} {
		m.Refresh(began.Add(step.after))
		if step.loads {
			<-hits
			render(t, m, "invite", payload) // waits for the end of the loading
		}
		if len(hits) != 0 {
			t.Errorf("loaded after %s", step.after)
		}
	}

	s.TemplateReloading = false
	m = mailer(t, s)
	m.Refresh(began)
	render(t, m, "invite", payload)
	m.Refresh(began.Add(59 * time.Minute))
	if <-hits; len(hits) != 0 {
		t.Error("loaded without a mail, and the reloading off")
	}
}
