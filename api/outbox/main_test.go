package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/api/outbox"
)

// The test binary, run with these variables, is a worker: the one that a test kills.
const (
	childDatabase = "POSTERN_OUTBOX_TEST_DATABASE"
	childSMTPPort = "POSTERN_OUTBOX_TEST_SMTP_PORT"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childDatabase); url != "" {
		if err := runChild(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	apitest.Main(m)
}

func runChild(url string) error {
	db, err := pgxpool.New(context.Background(), url)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(os.Getenv(childSMTPPort))
	if err != nil {
		return err
	}
	mailer, err := newMailer(port)
	if err != nil {
		return err
	}
	outbox.New(db, outbox.Carriers{Mail: mailer}, outbox.Options{Batch: 10, Lease: 2 * time.Second}, slog.Default()).Run(context.Background())
	return nil
}

func newMailer(port int) (*mail.Mailer, error) {
	s := mail.Settings{Host: "127.0.0.1", Port: port, AdminEmail: "noreply@example.com"}
	return mail.New(s, "https://app.example.com", "https://auth.example.com", http.DefaultClient, slog.New(slog.DiscardHandler))
}

// world is a database of its own, and what a test does with it.
type world struct {
	t   *testing.T
	url string
	db  *pgxpool.Pool
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, url: apitest.Database(t)}
	var err error
	if w.db, err = pgxpool.New(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.db.Close)
	return w
}

// exec runs a statement.
func (w *world) exec(statement string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(w.t.Context(), statement, args...); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

// text runs a query for one text.
func (w *world) text(query string, args ...any) string {
	w.t.Helper()
	var s *string
	if err := w.db.QueryRow(w.t.Context(), query, args...).Scan(&s); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	if s == nil {
		return "null"
	}
	return *s
}

// user inserts a user and returns its id.
func (w *world) user() uuid.UUID {
	id := uuid.New()
	w.exec("insert into auth.users (id, email) values ($1, $2)", id, id.String()+"@example.com")
	return id
}

// queue queues a sign-in mail in a transaction of its own.
func (w *world) queue(to string, user any) {
	w.t.Helper()
	w.exec(`select postern_internal.queue_mail('magic_link', $1, $2,
		'{"token": "123456", "confirmation_url": "https://auth.example.com/verify?token=abc"}')`, to, user)
}

// start makes a worker and runs it until the test ends, or stop is called.
func (w *world) start(port int, o outbox.Options) (worker *outbox.Worker, stop func()) {
	w.t.Helper()
	mailer, err := newMailer(port)
	if err != nil {
		w.t.Fatal(err)
	}
	worker = outbox.New(w.db, outbox.Carriers{Mail: mailer}, o, slog.New(slog.DiscardHandler))
	return worker, w.run(worker)
}

// run runs a worker until the test ends, or stop is called.
func (w *world) run(worker *outbox.Worker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { worker.Run(ctx); close(done) }()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return stop
}

// until waits for a query to return a text, 20 s at most.
func (w *world) until(want, query string, args ...any) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for got := ""; got != want; {
		select {
		case <-tick.C:
			got = w.text(query, args...)
		case <-late:
			w.t.Fatalf("%s: still %q, want %q", query, got, want)
		}
	}
}
