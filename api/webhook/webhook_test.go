package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/outbound"
	"github.com/postern-auth/postern/api/webhook"
)

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	newSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

func message(url string) webhook.Message {
	return webhook.Message{ID: "msg_1", URL: url, Secrets: []string{newSecret, oldSecret}, Body: []byte(`{"type": "user.created"}`)}
}

// Receivers verify with the library of Standard Webhooks, with either secret.
func TestSignature(t *testing.T) {
	t.Parallel()
	r := apitest.NewReceiver(t, nil)
	if err := webhook.New(r.Client).Send(t.Context(), message(r.URL+"/hook?a=b")); err != nil {
		t.Fatal(err)
	}
	call := r.Calls()[0]
	if call.Method != "POST" || call.Path != "/hook?a=b" || call.Header.Get("Content-Type") != "application/json" ||
		call.Header.Get("webhook-id") != "msg_1" || string(call.Body) != `{"type": "user.created"}` {
		t.Errorf("%+v", call)
	}
	for _, secret := range []string{oldSecret, newSecret} {
		verifier, err := webhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify(call.Body, call.Header); err != nil {
			t.Errorf("%s: %v", secret, err)
		}
		if verifier.Verify([]byte("{}"), call.Header) == nil {
			t.Errorf("%s: another body passes", secret)
		}
	}
	other, err := webhooks.NewWebhook("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	if other.Verify(call.Body, call.Header) == nil {
		t.Error("another secret passes")
	}
}

func TestMessageID(t *testing.T) {
	t.Parallel()
	id := webhook.MessageID(uuid.MustParse("63c02ba7-b5f9-4b92-9a83-3d898f02d85b"), 42)
	if id != "msg_63c02ba7b5f94b929a833d898f02d85b_42" {
		t.Error(id)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const long = "the receiver answered 500 Internal Server Error: "
	for name, c := range map[string]struct {
		answer     http.HandlerFunc
		want       string // the error
		isGone     bool
		retryAfter time.Duration
	}{
		"200":      {status(200, "", ""), "", false, 0},
		"202":      {status(202, "", "later"), "", false, 0},
		"299":      {status(299, "", ""), "", false, 0},
		"large":    {status(200, "", strings.Repeat("x", 2<<20)), "", false, 0},
		"400":      {status(400, "", "no\nsuch  thing"), "the receiver answered 400 Bad Request: no such thing", false, 0},
		"404":      {status(404, "", ""), "the receiver answered 404 Not Found", false, 0},
		"410":      {status(410, "", ""), "the receiver answered 410 Gone", true, 0},
		"500":      {status(500, "", strings.Repeat("y", 300)), long + strings.Repeat("y", 200) + "...", false, 0},
		"redirect": {redirect, "the receiver answered 307 Temporary Redirect, and redirects are not followed", false, 0},
		"seconds":  {status(503, "120", ""), "the receiver answered 503 Service Unavailable", false, 2 * time.Minute},
		"days":     {status(429, "864000", ""), "the receiver answered 429 Too Many Requests", false, 24 * time.Hour},
		"the past": {status(503, "Mon, 02 Jan 2006 15:04:05 GMT", ""), "the receiver answered 503 Service Unavailable", false, 0},
		"nonsense": {status(503, "soon", ""), "the receiver answered 503 Service Unavailable", false, 0},
		"negative": {status(503, "-5", ""), "the receiver answered 503 Service Unavailable", false, 0},
	} {
		r := apitest.NewReceiver(t, c.answer)
		err := webhook.New(r.Client).Send(t.Context(), message(r.URL))
		if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if webhook.IsGone(err) != c.isGone || webhook.IsRefused(err) || webhook.RetryAfter(err) != c.retryAfter {
			t.Errorf("%s: gone %t, refused %t, retry after %s", name, webhook.IsGone(err), webhook.IsRefused(err), webhook.RetryAfter(err))
		}
		if n := len(r.Calls()); n != 1 {
			t.Errorf("%s: %d calls", name, n)
		}
	}
}

func status(code int, retryAfter, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
}

func TestRetryAfterDate(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	r := apitest.NewReceiver(t, status(503, at, ""))
	wait := webhook.RetryAfter(webhook.New(r.Client).Send(t.Context(), message(r.URL)))
	if wait < 59*time.Minute || wait > time.Hour {
		t.Error(wait)
	}
}

// A call ends with the client's timeout, and with nobody there at once.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	r := apitest.NewReceiver(t, func(_ http.ResponseWriter, hr *http.Request) { <-hr.Context().Done() })
	client := *r.Client
	client.Timeout = 50 * time.Millisecond
	for _, url := range []string{r.URL, "https://127.0.0.1:1"} {
		err := webhook.New(&client).Send(t.Context(), message(url))
		if err == nil || webhook.IsGone(err) || webhook.IsRefused(err) || webhook.RetryAfter(err) != 0 {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// Nobody is sent into private networks, or anywhere in the clear.
func TestRefusedAddresses(t *testing.T) {
	t.Parallel()
	r := apitest.NewReceiver(t, nil)
	guarded := func(allowed ...netip.Prefix) *webhook.Sender {
		clients, err := outbound.New(outbound.Options{CAFile: r.CAFile(t), Allowed: allowed, UserAgent: "Postern/test"})
		if err != nil {
			t.Fatal(err)
		}
		return webhook.New(clients.Guarded(time.Minute))
	}
	for _, url := range []string{r.URL, strings.Replace(r.URL, "https:", "http:", 1), "https://localhost:1/"} {
		if err := guarded().Send(t.Context(), message(url)); !webhook.IsRefused(err) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if n := len(r.Calls()); n != 0 {
		t.Errorf("%d calls", n)
	}
	if err := guarded(netip.MustParsePrefix("127.0.0.0/8")).Send(t.Context(), message(r.URL)); err != nil {
		t.Error(err)
	}
	if agent := r.Calls()[0].Header.Get("User-Agent"); agent != "Postern/test" {
		t.Errorf("User-Agent: %s", agent)
	}
}

func TestBadSecrets(t *testing.T) {
	t.Parallel()
	r := apitest.NewReceiver(t, nil)
	m := message(r.URL)
	for _, secrets := range [][]string{nil, {"whsec_***"}} {
		m.Secrets = secrets
		if err := webhook.New(r.Client).Send(context.Background(), m); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", secrets, err)
		}
	}
	if n := len(r.Calls()); n != 0 {
		t.Errorf("%d calls were not signed", n)
	}
}
