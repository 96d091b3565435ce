package hook

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postern-auth/postern/api/config"
)

var keys = []string{
	base64.StdEncoding.EncodeToString([]byte("first-key-of-the-tests-32-bytes!")),
	base64.StdEncoding.EncodeToString([]byte("second-key-of-the-tests-32-byte!")),
}

// newHook makes a hook that calls a handler, with short times.
func newHook(t *testing.T, handle http.HandlerFunc) *Hook {
	t.Helper()
	stand := httptest.NewServer(handle)
	t.Cleanup(stand.Close)
	h, err := New("send-email", config.Hook{
		Enabled: true, URI: config.HookURI(stand.URL + "/hook"), Secrets: config.Secret("v1,whsec_" + keys[0] + "|v1,whsec_" + keys[1]),
	}, &http.Client{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.limit, h.pause = 500*time.Millisecond, time.Millisecond
	return h
}

func TestRequest(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	h := newHook(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"a":"<&>"}` {
			t.Errorf("body %s", body)
		}
		for i, signature := range strings.Split(r.Header.Get("webhook-signature"), ", ") {
			verifier, err := webhooks.NewWebhook(keys[i])
			if err != nil {
				t.Fatal(err)
			}
			header := r.Header.Clone()
			header.Set("webhook-signature", signature)
			if err := verifier.Verify(body, header); err != nil {
				t.Errorf("signature %d: %v", i, err)
			}
		}
		seen <- r
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte(`{"ok":true}`))
	})
	answer, err := h.Call(t.Context(), []byte(`{"a":"<&>"}`))
	if err != nil || string(answer) != `{"ok":true}` {
		t.Fatalf("%s, %v", answer, err)
	}
	r := <-seen
	for name, want := range map[string]string{"Content-Type": "application/json", "Accept-Encoding": "identity"} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.Method != "POST" || r.URL.Path != "/hook" || uuid.Validate(r.Header.Get("webhook-id")) != nil {
		t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, contentType, retryAfter, body string
		status                              int
		want                                string // the answer, or the error
		calls                               int
	}{
		{"200", "application/json", "", `{}`, 200, `{}`, 1},
		{"202", "application/json", "", `{"a":1}`, 202, `{"a":1}`, 1},
		{"204", "", "", "", 204, "null", 1},
		{"no type", " ", "", `{}`, 200, "400 hook_payload_invalid_content_type Invalid Content-Type: Missing Content-Type header", 1},
		{"other type", "text/html", "", `{}`, 200, "400 hook_payload_invalid_content_type Invalid JSON response. Received content-type: text/html", 1},
		{"no JSON", "application/json", "", `{`, 200, "500 unexpected_failure Error unmarshaling JSON output.", 1},
		{"too long", "application/json", "", `"` + strings.Repeat("x", maxResponse) + `"`, 200, "422 hook_payload_over_size_limit Payload size exceeded size limit of 204800 bytes", 1},
		{"largest", "application/json", "", `"` + strings.Repeat("x", maxResponse-2) + `"`, 200, `"` + strings.Repeat("x", maxResponse-2) + `"`, 1},
		{"400", "application/json", "", `{}`, 400, "500 unexpected_failure Invalid payload sent to hook", 1},
		{"401", "application/json", "", `{}`, 401, "500 unexpected_failure Hook requires authorization token", 1},
		{"redirect", "application/json", "", `{}`, 302, "500 unexpected_failure Unexpected status code returned from hook: 302", 1},
		{"500", "application/json", "", `{}`, 500, "500 unexpected_failure Unexpected status code returned from hook: 500", 1},
		{"503", "", "", "", 503, "500 unexpected_failure Service currently unavailable due to hook", 1},
		{"429 for now", "", "1", "", 429, "500 unexpected_failure Service currently unavailable due to hook", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			calls, ids := 0, map[string]bool{}
			h := newHook(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				calls++
				ids[r.Header.Get("webhook-id")] = true
				mu.Unlock()
				w.Header()["Content-Type"] = nil
				if test.contentType != " " && test.contentType != "" {
					w.Header().Set("Content-Type", test.contentType)
				}
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			answer, err := h.Call(t.Context(), []byte("{}"))
			got := string(answer)
			var told *Error
			if errors.As(err, &told) {
				got = strings.Join([]string{http.StatusText(told.Status), told.Code, told.Message}, " ")
				got = strings.NewReplacer("Internal Server Error", "500", "Bad Request", "400", "Unprocessable Entity", "422").Replace(got)
			} else if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("%.100s, want %.100s", got, test.want)
			}
			mu.Lock()
			defer mu.Unlock()
			if calls != test.calls || len(ids) != calls {
				t.Errorf("%d calls with %d ids, want %d", calls, len(ids), test.calls)
			}
		})
	}
}

func TestOutOfReach(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	dead := newHook(t, func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		panic(http.ErrAbortHandler)
	})
	var told *Error
	if _, err := dead.Call(t.Context(), []byte("{}")); !errors.As(err, &told) || told.Code != "hook_timeout_after_retry" ||
		told.Message != "Failed to reach hook after maximum retries" || told.Status != 422 {
		t.Errorf("nobody there: %v", err)
	}
	if n := tries.Load(); n < 3 {
		t.Errorf("%d tries", n)
	}

	slow := newHook(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // only then does the server see that the client went away
		<-r.Context().Done()
	})
	slow.limit = 20 * time.Millisecond
	if _, err := slow.Call(t.Context(), []byte("{}")); !errors.As(err, &told) || told.Code != "hook_timeout" || told.Status != 422 {
		t.Errorf("too slow: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := slow.Call(ctx, []byte("{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("the request ended: %v", err)
	}
	nowhere, err := New("send-sms", config.Hook{Enabled: true}, &http.Client{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nowhere.Call(t.Context(), []byte("{}")); !errors.Is(err, ErrNoURI) {
		t.Errorf("no URI: %v", err)
	}
}
