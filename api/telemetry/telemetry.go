// Package telemetry exports metrics and traces (spec/07 section 5). All of it is off by default, and costs nothing then:
// there is no Telemetry.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/postern-auth/postern/api/config"
)

// shutdownTimeout is for one exporter to send what it has.
const shutdownTimeout = 5 * time.Second

// The values of the protocol settings.
const (
	grpc         = "grpc"
	httpProtobuf = "http/protobuf"
)

func unsupported(protocol string) error {
	return fmt.Errorf("unsupported OpenTelemetry exporter protocol: %q", protocol)
}

// Telemetry records what a process does.
type Telemetry struct {
	meters     *sdkmetric.MeterProvider
	traces     *sdktrace.TracerProvider // nil: tracing is off
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	recorded   *instruments
	pages      http.Handler // for Prometheus; nil: metrics are pushed, or off
	address    string       // that Prometheus asks
	log        *slog.Logger
}

// New prepares what the settings ask for. It returns nil where metrics and tracing are off. Collectors need not be there:
// exporters try again. What the exporters refuse is logged and left out (spec/06 section 2).
func New(ctx context.Context, cfg *config.Config, version string, log *slog.Logger) *Telemetry {
	if !cfg.Metrics.Enabled && !cfg.Tracing.Enabled {
		return nil
	}
	// Exporters know no other way to tell.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("metrics or traces were not exported", "error", err) }))
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "postern"), attribute.String("gotrue.version", version),
	), resource.WithFromEnv())
	if err != nil {
		log.Error("OTEL_RESOURCE_ATTRIBUTES could not be read", "error", err)
	}
	t := &Telemetry{
		log: log, tracer: noop.NewTracerProvider().Tracer("gotrue"), address: cfg.Metrics.Address(),
		propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
	if err := t.startMetrics(ctx, cfg.Metrics, about); err != nil {
		log.Error("metrics are off", "error", err)
	}
	if t.recorded, err = newInstruments(t.meters.Meter("gotrue"), version); err != nil {
		log.Error("some metrics are missing", "error", err)
	}
	if cfg.Tracing.Enabled {
		if err := t.startTracing(ctx, cfg.Tracing, about); err != nil {
			log.Error("tracing is off", "error", err)
		}
	}
	return t
}

// startMetrics makes the meters. Without metrics they have no reader.
func (t *Telemetry) startMetrics(ctx context.Context, c config.Metrics, about *resource.Resource) error {
	options := []sdkmetric.Option{sdkmetric.WithResource(about)}
	var reader sdkmetric.Reader
	var err error
	switch {
	case !c.Enabled:
	case c.Exporter == "prometheus":
		registry := prometheus.NewRegistry()
		reader, err = otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
		t.pages = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
			ErrorLog: slog.NewLogLogger(t.log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		})
	case c.Protocol == grpc:
		var exporter *otlpmetricgrpc.Exporter
		if exporter, err = otlpmetricgrpc.New(ctx); err == nil {
			reader = sdkmetric.NewPeriodicReader(exporter)
		}
	case c.Protocol != httpProtobuf:
		err = unsupported(c.Protocol)
	default:
		var exporter *otlpmetrichttp.Exporter
		if exporter, err = otlpmetrichttp.New(ctx); err == nil {
			reader = sdkmetric.NewPeriodicReader(exporter)
		}
	}
	if err == nil && reader != nil {
		options = append(options, sdkmetric.WithReader(reader))
	}
	t.meters = sdkmetric.NewMeterProvider(options...)
	return err
}

func (t *Telemetry) startTracing(ctx context.Context, c config.Tracing, about *resource.Resource) error {
	var exporter sdktrace.SpanExporter
	var err error
	switch c.Protocol {
	case grpc:
		exporter, err = otlptracegrpc.New(ctx)
	case httpProtobuf:
		exporter, err = otlptracehttp.New(ctx)
	default:
		err = unsupported(c.Protocol)
	}
	if err != nil {
		return err
	}
	t.traces = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	t.tracer = t.traces.Tracer("gotrue")
	return nil
}

// Run answers Prometheus until ctx is done; where metrics are pushed or off it returns at once. An address that is taken
// is logged: the server does not depend on it.
func (t *Telemetry) Run(ctx context.Context) {
	if t == nil || t.pages == nil {
		return
	}
	serve(ctx, t.log, "Prometheus", t.address, t.pages)
}

// Shutdown sends what the exporters still have, for five seconds each.
func (t *Telemetry) Shutdown(ctx context.Context) {
	if t == nil {
		return
	}
	stop := func(name string, f func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := f(ctx); err != nil && !errors.Is(err, sdkmetric.ErrReaderShutdown) {
			t.log.Warn("the last "+name+" were not exported", "error", err)
		}
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { stop("metrics", t.meters.Shutdown) })
	if t.traces != nil {
		running.Go(func() { stop("traces", t.traces.Shutdown) })
	}
}
