package outbox_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/apitest"
)

const at = "2030-01-01 00:00:00+00" // the frozen clock of these tests

// rules is a transaction with a frozen clock.
type rules struct {
	t  *testing.T
	tx pgx.Tx
}

func begin(t *testing.T) *rules {
	t.Helper()
	r := &rules{t, apitest.Tx(t)}
	r.text("select set_config('postern.clock', $1, true)", at)
	r.text("with d as (delete from postern.outbox returning id) select count(*)::text from d")
	return r
}

func (r *rules) text(query string, args ...any) string {
	r.t.Helper()
	var s *string
	if err := r.tx.QueryRow(r.t.Context(), query, args...).Scan(&s); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	if s == nil {
		return "null"
	}
	return *s
}

// later moves the clock.
func (r *rules) later(d string) {
	r.t.Helper()
	r.text("select set_config('postern.clock', ($1::timestamptz + $2::text::interval)::text, true)", at, d)
}

// queue queues a mail and returns its id.
func (r *rules) queue(to string) string {
	r.t.Helper()
	r.text("select postern_internal.queue_mail('invite', $1, null, '{\"token\": \"1\"}')::text", to)
	return r.text("select max(id)::text from postern.outbox")
}

func (r *rules) claim() string {
	r.t.Helper()
	return r.text(`select coalesce(string_agg(concat_ws(' ', recipient, attempts, payload), ', ' order by id), 'nothing')
		from postern_internal.claim_outbox('mail', 10, '1 minute')`)
}

func (r *rules) finish(id string, attempts int, outcome, message string) string {
	r.t.Helper()
	return r.text(`select postern_internal.finish_outbox(array[$1::text::bigint], array[$2::int], array[$3], array[$4])::text`,
		id, attempts, outcome, message)
}

// row returns state, attempts, whether the payload is there, the error, whether it is finished.
func (r *rules) row(id string) string {
	r.t.Helper()
	return r.text(`select concat_ws(' ', state, attempts, payload <> '{}', coalesce(last_error, '-'), finished_at is not null)
		from postern.outbox where id = $1::text::bigint`, id)
}

func (r *rules) want(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestLease(t *testing.T) {
	t.Parallel()
	r := begin(t)
	id := r.queue("jo@example.com")
	r.want("first claim", r.claim(), `jo@example.com 1 {"token": "1"}`)
	r.want("held", r.claim(), "nothing")
	r.later("59 seconds")
	r.want("still held", r.claim(), "nothing")
	r.later("61 seconds")
	r.want("lease passed", r.claim(), `jo@example.com 2 {"token": "1"}`)
	r.want("the first worker comes too late", r.finish(id, 1, "sent", ""), "0")
	r.want("untouched", r.row(id), "sending 2 t - f")
	r.want("the second does not", r.finish(id, 2, "sent", ""), "1")
	r.want("sent", r.row(id), "sent 2 f - t")
	r.want("twice", r.finish(id, 2, "retry", "x"), "0")
}

func TestOtherKindsAreNotClaimed(t *testing.T) {
	t.Parallel()
	r := begin(t)
	r.text(`insert into postern.outbox (kind, template, recipient) values ('sms', 'otp', '15550100') returning id::text`)
	r.want("claim", r.claim(), "nothing")
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		outcome  string
		attempts int
		row      string
		min, max string // of the pause
	}{
		{"sent", 1, "sent 1 f - t", "0", "0"},
		{"returned", 1, "queued 0 t - f", "0", "0"},
		{"retry", 1, "queued 1 t why f", "0.8 s", "1.2 s"},
		{"retry", 2, "queued 2 t why f", "1.7 s", "2.3 s"},
		{"retry", 3, "queued 3 t why f", "4.3 s", "5.7 s"},
		{"retry", 9, "queued 9 t why f", "8.7 min", "11.3 min"},
		{"retry", 50, "queued 50 t why f", "13 min", "17 min"},
		{"retry", 100, "dead 100 t why t", "0", "1 h"},
		{"refused", 1, "queued 1 t why f", "26 s", "34 s"},
		{"refused", 3, "queued 3 t why f", "78 s", "102 s"},
		{"refused", 4, "dead 4 t why t", "0", "1 h"},
	}
	for _, c := range cases {
		r := begin(t)
		id := r.queue("jo@example.com")
		r.text("update postern.outbox set attempts = $2 - 1 where id = $1::text::bigint returning id::text", id, c.attempts)
		r.claim()
		message := "why"
		if c.outcome == "sent" || c.outcome == "returned" {
			message = ""
		}
		r.want(c.outcome, r.finish(id, c.attempts, c.outcome, message), "1")
		r.want(c.outcome, r.row(id), c.row)
		r.want(c.outcome+" pause", r.text(`select concat(next_attempt_at - $2::timestamptz
			between $3::text::interval and $4::text::interval)
			from postern.outbox where id = $1::text::bigint`, id, at, c.min, c.max), "t")
	}
}

func TestRetryOutbox(t *testing.T) {
	t.Parallel()
	r := begin(t)
	id := r.queue("jo@example.com")
	r.text(`update postern.outbox set state = 'dead', attempts = 4, finished_at = now() where id = $1::text::bigint returning id::text`, id)
	r.text("select postern.retry_outbox($1::text::bigint)::text", id)
	r.want("queued again", r.row(id), "queued 0 t - f")
	r.claim()
	failures := map[string]string{id: "PT422 A message that is sending cannot be sent again", "0": "PT404 No such message"}
	for id, want := range failures {
		nested, err := r.tx.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = nested.Exec(t.Context(), "select postern.retry_outbox($1::text::bigint)", id)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code+" "+pg.Message != want {
			t.Errorf("retry_outbox(%s): %v", id, err)
		}
		_ = nested.Rollback(t.Context())
	}
}

func TestCleanOutbox(t *testing.T) {
	t.Parallel()
	r := begin(t)
	for _, row := range []struct{ state, age string }{
		{"sent", "6 days"}, {"sent", "8 days"}, {"dropped", "8 days"}, {"dead", "8 days"}, {"dead", "31 days"},
	} {
		r.text(`insert into postern.outbox (kind, template, recipient, state, finished_at)
			values ('mail', 'invite', $1, $2, $3::timestamptz - $1::text::interval) returning id::text`, row.age, row.state, at)
	}
	r.text(`insert into postern.outbox (kind, template, recipient, created_at) values ('mail', 'invite', 'old', 'epoch') returning id::text`)
	r.want("deleted", r.text("select postern_internal.clean_outbox()::text"), "3")
	r.want("left", r.text("select string_agg(state || ' ' || recipient, ', ' order by id) from postern.list_outbox()"),
		"sent 6 days, dead 8 days, queued old")
	r.want("by state and recipient", r.text("select count(*)::text from postern.list_outbox('dead', '8 DAYS')"), "1")
}

// A message that comes too late is dead, loses its code, and cannot be sent again.
func TestExpiredMessages(t *testing.T) {
	t.Parallel()
	r := begin(t)
	const claim = `select count(*)::text from postern_internal.claim_outbox('sms', 10, '1 minute')`
	queue := func(expires string) string {
		return r.text(`insert into postern.outbox (kind, template, recipient, payload, next_attempt_at, expires_at)
			values ('sms', 'confirmation', '15550100', '{"otp": "123456"}', $1, $1::timestamptz + $2::text::interval) returning id::text`, at, expires)
	}
	late, failed, fresh := queue("0 s"), queue("10 s"), queue("1 minute")
	r.text("update postern.outbox set last_error = 'no network', attempts = 3, next_attempt_at = $2::timestamptz + interval '10 s' where id = $1::text::bigint returning id::text", failed, at)
	r.want("claimed", r.text(claim), "1")
	r.want("late", r.row(late), "dead 0 f expired before it was tried t")
	r.want("fresh", r.row(fresh), "sending 1 t - f")
	r.later("10 seconds")
	r.want("claimed later", r.text(claim), "0")
	r.want("failed, then late", r.row(failed), "dead 3 f no network t")
	nested, err := r.tx.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = nested.Exec(t.Context(), "select postern.retry_outbox($1::text::bigint)", failed)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Message != "A message that is expired cannot be sent again" {
		t.Errorf("retry_outbox: %v", err)
	}
	_ = nested.Rollback(t.Context())
	unwanted := queue("20 s")
	r.later("1 hour 21 seconds")
	r.text("select postern_internal.clean_outbox()::text")
	r.want("claimed by nobody", r.row(unwanted), "dead 0 f expired before it was tried t")
}
