package config

import (
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Metrics is about counters and histograms (spec/07 section 5).
type Metrics struct {
	Enabled        bool   `env:"GOTRUE_METRICS_ENABLED" envDefault:"false" desc:"Count requests, mails, hashes and connections, and export the figures."`
	Exporter       string `env:"GOTRUE_METRICS_EXPORTER" envDefault:"opentelemetry" desc:"opentelemetry pushes to a collector (the standard OTEL_ variables name it); prometheus listens to be asked."`
	Protocol       string `env:"OTEL_EXPORTER_OTLP_PROTOCOL" long:"GOTRUE_METRICS_OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf" desc:"How to push to a collector: http/protobuf or grpc. With another value nothing is pushed, and the log says so."`
	PrometheusHost string `env:"OTEL_EXPORTER_PROMETHEUS_HOST" long:"GOTRUE_METRICS_OTEL_EXPORTER_PROMETHEUS_HOST" envDefault:"0.0.0.0" desc:"Address that Prometheus asks."`
	PrometheusPort string `env:"OTEL_EXPORTER_PROMETHEUS_PORT" long:"GOTRUE_METRICS_OTEL_EXPORTER_PROMETHEUS_PORT" envDefault:"9100" desc:"Its port; every path answers."`
}

func (m *Metrics) check(l *loader) {
	if m.Exporter != "opentelemetry" && m.Exporter != "prometheus" {
		l.fail("GOTRUE_METRICS_EXPORTER", "must be opentelemetry or prometheus")
	}
	checkPort(l, "OTEL_EXPORTER_PROMETHEUS_PORT", m.PrometheusPort)
}

// Address returns host:port for Prometheus.
func (m *Metrics) Address() string { return net.JoinHostPort(m.PrometheusHost, m.PrometheusPort) }

// Tracing is about spans. The exporter itself reads the other standard OTEL_ variables.
type Tracing struct {
	Enabled  bool   `env:"GOTRUE_TRACING_ENABLED" envDefault:"false" desc:"Push a span of each request and each statement to an OpenTelemetry collector (the standard OTEL_ variables name it)."`
	Exporter string `env:"GOTRUE_TRACING_EXPORTER" envDefault:"opentelemetry" desc:"Only opentelemetry."`
	Protocol string `env:"GOTRUE_TRACING_OTEL_EXPORTER_OTLP_PROTOCOL" desc:"http/protobuf or grpc; empty means the protocol of metrics."`
}

func (t *Tracing) check(l *loader, metrics Metrics) {
	if t.Exporter != "opentelemetry" {
		l.fail("GOTRUE_TRACING_EXPORTER", "must be opentelemetry")
	}
	if t.Protocol == "" {
		t.Protocol = metrics.Protocol
	}
}

func checkPort(l *loader, name, value string) {
	if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 65535 {
		l.fail(name, "must be a port number from 0 to 65535")
	}
}

// Profiler is about the listener for go tool pprof.
type Profiler struct {
	Enabled bool   `env:"GOTRUE_PROFILER_ENABLED" envDefault:"false" desc:"Answer go tool pprof below /debug/pprof/."`
	Host    string `env:"GOTRUE_PROFILER_HOST" envDefault:"localhost" desc:"Address of that listener; whoever reaches it sees the memory of the server."`
	Port    string `env:"GOTRUE_PROFILER_PORT" envDefault:"9998" desc:"Its port."`
}

func (p *Profiler) check(l *loader) { checkPort(l, "GOTRUE_PROFILER_PORT", p.Port) }

// Address returns host:port to listen on.
func (p *Profiler) Address() string { return net.JoinHostPort(p.Host, p.Port) }

// Reloading is about new settings in the directory of --config-dir (spec/06 section 2).
type Reloading struct {
	NotifyEnabled  bool          `env:"GOTRUE_RELOADING_NOTIFY_ENABLED" envDefault:"true" desc:"Watch the directory of --config-dir by file notifications."`
	PollerEnabled  bool          `env:"GOTRUE_RELOADING_POLLERENABLED" envDefault:"false" desc:"Look through that directory regularly when notifications cannot be used."`
	PollerInterval time.Duration `env:"GOTRUE_RELOADING_POLLER_INTERVAL" envDefault:"10s" desc:"Time between two looks; at most 1000 files are compared."`
	SignalEnabled  bool          `env:"GOTRUE_RELOADING_SIGNAL_ENABLED" envDefault:"false" desc:"Read that directory again on a signal."`
	SignalNumber   int           `env:"GOTRUE_RELOADING_SIGNAL_NUMBER" envDefault:"10" desc:"Number of the signal: 10 is SIGUSR1 on Linux."`
	GracePeriod    time.Duration `env:"GOTRUE_RELOADING_GRACE_PERIOD_INTERVAL" envDefault:"5s" desc:"The settings are read again when the directory was quiet for this long."`
}

func (r *Reloading) check(l *loader) {
	if r.PollerInterval <= 0 {
		l.fail("GOTRUE_RELOADING_POLLER_INTERVAL", "must be longer than 0")
	}
	if r.GracePeriod < 0 {
		l.fail("GOTRUE_RELOADING_GRACE_PERIOD_INTERVAL", "must be 0 or longer")
	}
	if r.SignalNumber < 1 || r.SignalNumber > 64 {
		l.fail("GOTRUE_RELOADING_SIGNAL_NUMBER", "must be the number of a signal, 1 to 64")
	}
}

// Unused are settings that the reference reads and that change nothing, there and here. A value is warned of.
type Unused struct {
	APIEndpoint         string `env:"GOTRUE_API_ENDPOINT" desc:"Accepted and without effect, as in the reference."`
	OperatorToken       Secret `env:"GOTRUE_OPERATOR_TOKEN" desc:"Accepted and without effect, as in the reference."`
	MigrationsPath      string `env:"GOTRUE_DB_MIGRATIONS_PATH" desc:"Accepted and without effect: migrations are part of the program."`
	LogDisableColors    string `env:"GOTRUE_LOG_DISABLE_COLORS" desc:"Accepted and without effect: log lines are JSON."`
	LogQuoteEmptyFields string `env:"GOTRUE_LOG_QUOTE_EMPTY_FIELDS" desc:"Accepted and without effect: log lines are JSON."`
	LogTSFormat         string `env:"GOTRUE_LOG_TSFORMAT" desc:"Accepted and without effect: times are RFC 3339."`
	LogFields           string `env:"GOTRUE_LOG_FIELDS" desc:"Accepted and without effect, as in the reference."`
	TracingHost         string `env:"GOTRUE_TRACING_HOST" desc:"Accepted and without effect: OTEL_EXPORTER_OTLP_ENDPOINT names the collector."`
	TracingPort         string `env:"GOTRUE_TRACING_PORT" desc:"Accepted and without effect, the same."`
	TracingServiceName  string `env:"GOTRUE_TRACING_SERVICE_NAME" desc:"Accepted and without effect: OTEL_SERVICE_NAME names the service."`
	TracingTags         string `env:"GOTRUE_TRACING_TAGS" desc:"Accepted and without effect: OTEL_RESOURCE_ATTRIBUTES adds attributes."`
}

// warnings says of each setting with a value that it does nothing.
func (u *Unused) warnings() []string {
	var w []string
	for _, s := range settingsOf(u, "") {
		if !s.Value.IsZero() {
			w = append(w, s.Name+" is set: "+strings.ToLower(s.Desc[:1])+s.Desc[1:])
		}
	}
	return w
}

// ChangedInVain names the settings that differ between two configurations and have an effect only at the start of a
// process: the listen address, the database, the log, metrics, tracing, profiler and reloading.
func ChangedInVain(before, after *Config) []string {
	var names []string
	groups := [][2]any{
		{&before.DB, &after.DB}, {&before.Log, &after.Log}, {&before.Metrics, &after.Metrics},
		{&before.Tracing, &after.Tracing}, {&before.Profiler, &after.Profiler}, {&before.Reloading, &after.Reloading},
		{&before.API, &after.API},
	}
	for _, group := range groups {
		was := settingsOf(group[0], "")
		for i, s := range settingsOf(group[1], "") {
			_, isAPI := group[1].(*API)
			isFixed := !isAPI || s.Name == "GOTRUE_API_HOST" || s.Name == "PORT"
			isLive := s.Name == "GOTRUE_AUDIT_LOG_DISABLE_POSTGRES" || s.Name == "GOTRUE_DB_CLEANUP_ENABLED"
			if isFixed && !isLive && !reflect.DeepEqual(was[i].Value.Interface(), s.Value.Interface()) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}
