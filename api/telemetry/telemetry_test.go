package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
)

func TestMain(m *testing.M) { apitest.Main(m) }

func TestCounters(t *testing.T) {
	t.Parallel()
	te := New(t.Context(), &config.Config{Metrics: config.Metrics{Enabled: true, Exporter: "prometheus"}}, "v2.3.4-rc5", slog.New(slog.DiscardHandler))
	te.Cleaned("sessions", 3)
	te.Cleaned("flow_state", 4)
	_, end := te.Request(t.Context(), httptest.NewRequest("POST", "/otp", nil), "/otp", nil)
	end(Answer{Status: http.StatusTooManyRequests, ErrorCode: "over_email_send_rate_limit"})
	_, end = te.Request(t.Context(), httptest.NewRequest("BREW", "/otp", nil), "noroute", nil)
	end(Answer{Status: http.StatusMethodNotAllowed})
	answer := httptest.NewRecorder()
	te.pages.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
	for _, want := range []string{
		"gotrue_cleanup_affected_rows_total 7\n", `gotrue_email_rate_limit_counter_total{path="/otp"} 1`,
		`http_request_method="_OTHER"`, "global_auth_version_major 2\n", "global_auth_version_minor 3\n",
		"global_auth_version_patch 4\n", "global_auth_version_rc 5\n",
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s is missing in %s", want, answer.Body)
		}
	}
	te.Shutdown(t.Context())
}

func TestOff(t *testing.T) {
	t.Parallel()
	te := New(t.Context(), &config.Config{}, "v1.0.0", slog.New(slog.DiscardHandler))
	if te != nil {
		t.Fatal("there are metrics")
	}
	te.Run(t.Context()) // and all that a server calls unasked does nothing
	te.Shutdown(t.Context())
	Profile(t.Context(), config.Profiler{}, slog.New(slog.DiscardHandler))
}

func TestPush(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path]++
	}))
	defer receiver.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.URL)
	te := New(t.Context(), &config.Config{
		Metrics: config.Metrics{Enabled: true, Exporter: "opentelemetry", Protocol: "http/protobuf"},
		Tracing: config.Tracing{Enabled: true, Protocol: "http/protobuf"},
	}, "v1.0.0", slog.New(slog.DiscardHandler))
	te.Cleaned("sessions", 1)
	te.Shutdown(t.Context())
	if asked["/v1/metrics"] != 1 || asked["/v1/traces"] != 1 {
		t.Errorf("the collector got %v", asked)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func TestAdvise(t *testing.T) {
	t.Parallel()
	settings, err := pgxpool.ParseConfig(apitest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	settings.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var logged lines
	var running sync.WaitGroup
	running.Go(func() {
		Advise(ctx, config.Database{AdvisorSampling: time.Millisecond, AdvisorObserving: 50 * time.Millisecond}, pool, slog.New(slog.NewJSONHandler(&logged, nil)))
	})
	var advice map[string]any
	for end := time.Now().Add(10 * time.Second); advice == nil && time.Now().Before(end); {
		held, err := pool.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		release := time.AfterFunc(10*time.Millisecond, held.Release)
		waited, err := pool.Acquire(ctx)
		release.Stop()
		if err != nil {
			t.Fatal(err)
		}
		waited.Release()
		logged.mu.Lock()
		first, _, _ := bytes.Cut(logged.text.Bytes(), []byte("\n"))
		_ = json.Unmarshal(first, &advice) // fails while there is none
		logged.mu.Unlock()
	}
	cancel()
	running.Wait()
	if waits, _ := advice["waits"].(float64); advice["component"] != "advisor" || waits < 1 || advice["max_connections"] != 1.0 {
		t.Errorf("advice: %v", advice)
	}
}
