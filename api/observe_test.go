package api_test

import (
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// listening waits until a listener is up, whose log line begins with what, and returns its URL.
func listening(t *testing.T, lines *logLines, what string) string {
	t.Helper()
	var url string
	eventually(t, what+" to be answered", func() bool {
		lines.mu.Lock()
		defer lines.mu.Unlock()
		_, rest, found := strings.Cut(lines.text.String(), `"`+what+` is answered on: `)
		address, _, _ := strings.Cut(rest, `"`)
		url = "http://" + address
		return found
	})
	return url
}

// page gets a page of another listener.
func page(t *testing.T, url string) (status int, text string) {
	t.Helper()
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestPrometheus(t *testing.T) {
	t.Parallel()
	s, lines, _ := setupLogged(t, "GOTRUE_METRICS_ENABLED=true", "GOTRUE_METRICS_EXPORTER=prometheus",
		"OTEL_EXPORTER_PROMETHEUS_HOST=127.0.0.1", "OTEL_EXPORTER_PROMETHEUS_PORT=0", "GOTRUE_SMTP_HOST=127.0.0.1", "GOTRUE_SMTP_PORT=1")
	s.do("POST", "/admin/users", map[string]any{"email": "ann@example.com", "password": password, "email_confirm": true}, s.asAdmin()...)
	s.signIn("ann@example.com")
	s.do("POST", "/token?grant_type=password", map[string]string{"email": "ann@example.com", "password": "another"})
	s.do("GET", "/nowhere", nil)
	s.do("DELETE", "/settings", nil)
	s.do("POST", "/recover", map[string]string{"email": "ann@example.com"})

	url := listening(t, lines, "Prometheus")
	var text string
	eventually(t, "the mail to fail", func() bool {
		_, text = page(t, url+"/any/path")
		return strings.Contains(text, "global_auth_email_send_errors_total{")
	})
	for _, want := range []string{
		"gotrue_running 1\n",
		`http_status_codes_total{code="200",http_route="/token"} 1`,
		`http_status_codes_total{code="400",http_route="/token"} 1`,
		`http_status_codes_total{code="404",http_route="/*"} 1`,
		`http_status_codes_total{code="405",http_route="noroute"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200",http_route="/recover",url_scheme="http"} 1`,
		"http_server_request_body_size_bytes_count{", "http_server_response_body_size_bytes_count{",
		`gotrue_generate_from_password_submitted_total{alg="bcrypt",bcrypt_cost="10"} 1`,
		`gotrue_generate_from_password_completed_total{alg="bcrypt",bcrypt_cost="10"} 1`,
		`gotrue_compare_hash_and_password_submitted_total{alg="bcrypt",bcrypt_cost="10"} 2`,
		`gotrue_compare_hash_and_password_completed_total{alg="bcrypt",bcrypt_cost="10",match="true"} 1`,
		`gotrue_compare_hash_and_password_completed_total{alg="bcrypt",bcrypt_cost="10",match="false"} 1`,
		`global_auth_email_send_operations_total{type="recovery"} 1`, `global_auth_email_send_errors_total{type="recovery"} 1`,
		`db_sql_connection_open{status="idle"}`, `db_sql_connection_open{status="inuse"}`, "db_sql_connection_max_open ",
		"db_sql_connection_wait_total ", "db_sql_connection_wait_duration_milliseconds_total ",
		`db_sql_latency_milliseconds_count{status="ok"}`,
		"process_runtime_go_goroutines ", "runtime_uptime_milliseconds_total ",
		"postern_outbox_depth 1\n", "postern_outbox_age_seconds 0\n", "postern_password_queue 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestTracing(t *testing.T) {
	var mu sync.Mutex
	var spans []*trace.Span
	var resources strings.Builder
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &m); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range m.ResourceSpans {
			resources.WriteString(rs.Resource.String())
			for _, ss := range rs.ScopeSpans {
				spans = append(spans, ss.Spans...)
			}
		}
	}))
	defer receiver.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.URL)
	s, _, stop := setupLogged(t, "GOTRUE_TRACING_ENABLED=true", "GOTRUE_LOG_SQL=statement")
	const id, traceID = "00000000-0000-4000-8000-000000000001", "0af7651916cd43dd8448eb211c80319c"
	s.do("GET", "/admin/users/"+id, nil, append(s.asAdmin(), "User-Agent", "secret-agent",
		"traceparent", "00-"+traceID+"-b7ad6b7169203331-01")...)
	stop()

	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(resources.String(), "gotrue.version") {
		t.Errorf("resource %s", resources.String())
	}
	servers, calls := 0, 0
	var server *trace.Span
	for _, span := range spans {
		if strings.Contains(span.String(), "secret-agent") {
			t.Errorf("the User-Agent is in %s", span)
		}
		if span.Kind == trace.Span_SPAN_KIND_SERVER {
			server = span
			servers++
		}
	}
	if servers != 1 || server.Name != "api" || hex.EncodeToString(server.TraceId) != traceID ||
		hex.EncodeToString(server.ParentSpanId) != "b7ad6b7169203331" {
		t.Fatalf("server spans: %d, %v", servers, server)
	}
	attributes := map[string]string{}
	for _, a := range server.Attributes {
		attributes[a.Key] = a.Value.GetStringValue()
	}
	if attributes["http.route"] != "/admin/users/:user_id" || attributes["http.route.param.user_id"] != id {
		t.Errorf("attributes %v", attributes)
	}
	for _, span := range spans {
		if span.Kind == trace.Span_SPAN_KIND_CLIENT && string(span.ParentSpanId) == string(server.SpanId) {
			calls++
		}
	}
	if calls != 1 || len(spans) != 2 {
		t.Errorf("%d spans of database calls below that of the request, %d in all", calls, len(spans))
	}
}

func TestUnsupportedProtocol(t *testing.T) {
	t.Parallel()
	s, lines, stop := setupLogged(t, "GOTRUE_METRICS_ENABLED=true", "GOTRUE_TRACING_ENABLED=true", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json")
	if r := s.do("GET", "/health", nil); r.Status != 200 {
		t.Errorf("got %d", r.Status)
	}
	stop()
	for _, message := range []string{"metrics are off", "tracing is off"} {
		if found := lines.take(t, message); len(found) != 1 || found[0]["error"] != `unsupported OpenTelemetry exporter protocol: "http/json"` {
			t.Errorf("%s: %v", message, found)
		}
	}
}

func TestProfiler(t *testing.T) {
	t.Parallel()
	_, lines, _ := setupLogged(t, "GOTRUE_PROFILER_ENABLED=true", "GOTRUE_PROFILER_HOST=127.0.0.1", "GOTRUE_PROFILER_PORT=0")
	url := listening(t, lines, "pprof")
	for path, want := range map[string]int{
		"/debug/pprof/": 200, "/debug/pprof/cmdline": 200, "/debug/pprof/symbol": 200, "/debug/pprof/goroutine": 200,
		"/debug/pprof/heap": 200, "/debug/pprof/allocs": 200, "/debug/pprof/threadcreate": 200, "/debug/pprof/block": 200,
		"/debug/pprof/mutex": 200, "/debug/pprof/trace?seconds=0.01": 200,
		"/debug/pprof/other": 404, "/debug/vars": 404, "/": 404, "/metrics": 404,
	} {
		if got, _ := page(t, url+path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	s, lines, _ := setupLogged(t, "GOTRUE_PROFILER_ENABLED=true", "GOTRUE_PROFILER_HOST=127.0.0.1", "GOTRUE_PROFILER_PORT="+port)
	eventually(t, "the error", func() bool {
		found := lines.take(t, "pprof cannot be answered")
		return len(found) == 1 && found[0]["level"] == "ERROR"
	})
	if r := s.do("GET", "/health", nil); r.Status != 200 {
		t.Errorf("got %d", r.Status)
	}
}

func TestNothingObserved(t *testing.T) {
	t.Parallel()
	// Ports that cannot be opened: whoever tried would be heard.
	s, lines, stop := setupLogged(t, "OTEL_EXPORTER_PROMETHEUS_HOST=192.0.2.1", "GOTRUE_PROFILER_HOST=192.0.2.1")
	s.do("GET", "/settings", nil)
	stop()
	if s.api.IsObserved() {
		t.Error("there are metrics or traces")
	}
	for _, name := range []string{"Prometheus", "pprof"} {
		if strings.Contains(lines.text.String(), name) {
			t.Errorf("the log speaks of %s: %s", name, lines.text.String())
		}
	}
}
