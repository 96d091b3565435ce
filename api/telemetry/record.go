package telemetry

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/julienschmidt/httprouter"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/postern-auth/postern/api/password"
)

// Answer is how a request ended.
type Answer struct {
	Status    int
	Sent      int64 // bytes of the body
	ErrorCode string
}

// knownMethods are those that metrics tell apart.
var knownMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}

// Request begins the record of a request: ctx is for what it does, end for when it was answered. route is the pattern
// of its path, and params are names and values of the parts that the pattern leaves open. The User-Agent stays out.
func (t *Telemetry) Request(ctx context.Context, r *http.Request, route string, params httprouter.Params) (context.Context, func(Answer)) {
	method := r.Method
	if !slices.Contains(knownMethods, method) {
		method = "_OTHER"
	}
	start := time.Now()
	attributes := []attribute.KeyValue{attribute.String("http.request.method", method), attribute.String("http.route", route)}
	ctx = t.propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, "api", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	for _, p := range params {
		span.SetAttributes(attribute.String("http.route.param."+p.Key, p.Value))
	}
	return ctx, func(a Answer) {
		span.SetAttributes(attribute.Int("http.response.status_code", a.Status))
		if a.Status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, a.ErrorCode)
		}
		span.End()
		ctx := context.WithoutCancel(ctx)
		all := metric.WithAttributeSet(attribute.NewSet(append(attributes, attribute.Int("http.response.status_code", a.Status),
			attribute.String("url.scheme", "http"))...))
		t.recorded.duration.Record(ctx, time.Since(start).Seconds(), all)
		t.recorded.received.Record(ctx, max(r.ContentLength, 0), all)
		t.recorded.sent.Record(ctx, a.Sent, all)
		t.recorded.statusCodes.Add(ctx, 1, metric.WithAttributes(
			attribute.String("code", strconv.Itoa(a.Status)), attribute.String("http_route", route)))
		if a.ErrorCode == "over_email_send_rate_limit" {
			t.recorded.mailLimit.Add(ctx, 1, metric.WithAttributes(attribute.String("path", r.URL.Path)))
		}
	}
}

// MailDelivered counts an attempt to deliver a mail of a kind.
func (t *Telemetry) MailDelivered(kind string, err error) {
	with := metric.WithAttributes(attribute.String("type", kind))
	t.recorded.mailSent.Add(context.Background(), 1, with)
	if err != nil {
		t.recorded.mailFailed.Add(context.Background(), 1, with)
	}
}

// Cleaned counts rows that a rule of maintenance deleted or changed, and notes them in a span.
func (t *Telemetry) Cleaned(rule string, rows int64) {
	t.recorded.cleaned.Add(context.Background(), rows)
	_, span := t.tracer.Start(context.Background(), "database-cleanup", trace.WithAttributes(
		attribute.String("postern.rule", rule), attribute.Int64("gotrue.cleanup.affected_rows", rows)))
	span.End()
}

// Hashing counts a password that is to be hashed or compared, or was.
func (t *Telemetry) Hashing(e password.Event) {
	attributes := pairs(e.Details)
	if e.IsDone && !e.IsNew {
		attributes = append(attributes, attribute.Bool("match", e.IsMatch))
	}
	counter := t.recorded.compareSubmitted
	switch {
	case e.IsNew && e.IsDone:
		counter = t.recorded.generateCompleted
	case e.IsNew:
		counter = t.recorded.generateSubmitted
	case e.IsDone:
		counter = t.recorded.compareCompleted
	}
	counter.Add(context.Background(), 1, metric.WithAttributes(attributes...))
}

func pairs(details []string) []attribute.KeyValue {
	var list []attribute.KeyValue
	for i := 0; i+1 < len(details); i += 2 {
		list = append(list, attribute.String(details[i], details[i+1]))
	}
	return list
}

// QueryTracer records database calls.
func (t *Telemetry) QueryTracer() pgx.QueryTracer { return &queryTracer{t} }

type queryTracer struct{ t *Telemetry }

type queryKey struct{}

// query is a call that runs.
type query struct {
	span  trace.Span
	start time.Time
}

func (q *queryTracer) begin(ctx context.Context, name string, attributes ...attribute.KeyValue) context.Context {
	if !trace.SpanContextFromContext(ctx).IsValid() { // background work, such as polling the outbox, begins no traces
		return context.WithValue(ctx, queryKey{}, &query{trace.SpanFromContext(ctx), time.Now()})
	}
	ctx, span := q.t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(append(attributes, attribute.String("db.system.name", "postgresql"))...))
	return context.WithValue(ctx, queryKey{}, &query{span, time.Now()})
}

func (q *queryTracer) end(ctx context.Context, err error) {
	running, ok := ctx.Value(queryKey{}).(*query)
	if !ok {
		return
	}
	status := "ok"
	if err != nil {
		status = "error"
		running.span.SetStatus(codes.Error, "the database refused")
	}
	running.span.End()
	q.t.recorded.latency.Record(context.WithoutCancel(ctx), float64(time.Since(running.start).Microseconds())/1000,
		metric.WithAttributes(attribute.String("status", status)))
}

// TraceQueryStart is called by pgx. The statement is shown, arguments are not.
func (q *queryTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return q.begin(ctx, "sql.query", attribute.String("db.query.text", data.SQL))
}

// TraceQueryEnd is called by pgx.
func (q *queryTracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	q.end(ctx, data.Err)
}

// TraceBatchStart is called by pgx.
func (q *queryTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	return q.begin(ctx, "sql.batch", attribute.Int("db.operation.batch.size", data.Batch.Len()))
}

// TraceBatchQuery is called by pgx.
func (q *queryTracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd is called by pgx.
func (q *queryTracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	q.end(ctx, data.Err)
}
