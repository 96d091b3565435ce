package telemetry

import (
	"context"
	"errors"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// instruments are the metrics that events are counted in, by their names in the reference.
type instruments struct {
	meter metric.Meter

	statusCodes                          metric.Int64Counter
	duration, latency                    metric.Float64Histogram
	received, sent                       metric.Int64Histogram
	compareSubmitted, compareCompleted   metric.Int64Counter
	generateSubmitted, generateCompleted metric.Int64Counter
	mailLimit, mailSent, mailFailed      metric.Int64Counter
	cleaned                              metric.Int64Counter
}

// The limits of buckets: of durations, and of sizes in bytes.
var (
	seconds      = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	milliseconds = []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 5000}
	sizes        = []float64{0, 128, 512, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20}
)

func newInstruments(meter metric.Meter, version string) (*instruments, error) {
	i := &instruments{meter: meter}
	var problems []error
	counter := func(name, what string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithDescription(what))
		problems = append(problems, err)
		return c
	}
	i.statusCodes = counter("http_status_codes", "Answers by status and route.")
	i.compareSubmitted = counter("gotrue_compare_hash_and_password_submitted", "Passwords to compare with a hash.")
	i.compareCompleted = counter("gotrue_compare_hash_and_password_completed", "Passwords compared with a hash.")
	i.generateSubmitted = counter("gotrue_generate_from_password_submitted", "Passwords to hash.")
	i.generateCompleted = counter("gotrue_generate_from_password_completed", "Passwords hashed.")
	i.mailLimit = counter("gotrue_email_rate_limit_counter", "Requests refused by a limit on mails.")
	i.mailSent = counter("global_auth_email_send_operations_total", "Attempts to deliver a mail.")
	i.mailFailed = counter("global_auth_email_send_errors_total", "Attempts to deliver a mail that failed.")
	i.cleaned = counter("gotrue_cleanup_affected_rows", "Rows that maintenance deleted or changed.")
	var err error
	i.duration, err = meter.Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(seconds...), metric.WithDescription("Time to answer."))
	problems = append(problems, err)
	i.latency, err = meter.Float64Histogram("db.sql.latency", metric.WithUnit("ms"),
		metric.WithExplicitBucketBoundaries(milliseconds...), metric.WithDescription("Time of a database call."))
	problems = append(problems, err)
	i.received, err = meter.Int64Histogram("http.server.request.body.size", metric.WithUnit("By"),
		metric.WithExplicitBucketBoundaries(sizes...), metric.WithDescription("Size of request bodies."))
	problems = append(problems, err)
	i.sent, err = meter.Int64Histogram("http.server.response.body.size", metric.WithUnit("By"),
		metric.WithExplicitBucketBoundaries(sizes...), metric.WithDescription("Size of answers."))
	return i, errors.Join(append(problems, err, i.observeProcess(version))...)
}

// gauge is a figure that is looked up when somebody asks.
type gauge struct {
	name, unit, what string
	read             func(context.Context) (int64, bool)
	attributes       []attribute.KeyValue
	isTotal          bool // only grows: a counter
}

// observe registers figures. One that cannot be read is left out.
func (i *instruments) observe(gauges ...gauge) error {
	for _, g := range gauges {
		with := metric.WithAttributes(g.attributes...)
		var figure metric.Int64Observable
		var err error
		if g.isTotal {
			figure, err = i.meter.Int64ObservableCounter(g.name, metric.WithUnit(g.unit), metric.WithDescription(g.what))
		} else {
			figure, err = i.meter.Int64ObservableGauge(g.name, metric.WithUnit(g.unit), metric.WithDescription(g.what))
		}
		if err != nil {
			return err
		}
		// Two figures may share a name, so each has a callback of its own.
		_, err = i.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
			if n, ok := g.read(ctx); ok {
				o.ObserveInt64(figure, n, with)
			}
			return nil
		}, figure)
		if err != nil {
			return err
		}
	}
	return nil
}

// versionParts finds the numbers of v1.2.3-rc4.
var versionParts = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)(?:-rc\.?(\d+))?`)

// observeProcess registers the figures of the process itself.
func (i *instruments) observeProcess(version string) error {
	start := time.Now()
	memory := func(read func(*runtime.MemStats) uint64) func(context.Context) (int64, bool) {
		return func(context.Context) (int64, bool) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(read(&m)), true
		}
	}
	constant := func(n int64) func(context.Context) (int64, bool) {
		return func(context.Context) (int64, bool) { return n, true }
	}
	list := []gauge{
		{name: "gotrue_running", what: "1 while the server runs.", read: constant(1)},
		{name: "runtime.uptime", isTotal: true, unit: "ms", what: "Time since the start.", read: func(context.Context) (int64, bool) {
			return time.Since(start).Milliseconds(), true
		}},
		{name: "process.runtime.go.goroutines", what: "Goroutines.", read: func(context.Context) (int64, bool) {
			return int64(runtime.NumGoroutine()), true
		}},
		{name: "process.runtime.go.mem.heap_alloc", unit: "By", what: "Heap in use.", read: memory(func(m *runtime.MemStats) uint64 { return m.HeapAlloc })},
		{name: "process.runtime.go.mem.heap_sys", unit: "By", what: "Heap taken from the system.", read: memory(func(m *runtime.MemStats) uint64 { return m.HeapSys })},
		{name: "process.runtime.go.mem.heap_objects", what: "Objects on the heap.", read: memory(func(m *runtime.MemStats) uint64 { return m.HeapObjects })},
		{name: "process.runtime.go.gc.count", isTotal: true, what: "Garbage collections.", read: memory(func(m *runtime.MemStats) uint64 { return uint64(m.NumGC) })},
	}
	if m := versionParts.FindStringSubmatch(version); m != nil {
		for n, part := range []string{"major", "minor", "patch", "rc"} {
			value, _ := strconv.ParseInt(m[n+1], 10, 64) // no candidate is 0
			list = append(list, gauge{name: "global_auth_version_" + part, what: "Part of the version.", read: constant(value)})
		}
	}
	return i.observe(list...)
}
