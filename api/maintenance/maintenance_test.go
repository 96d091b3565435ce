package maintenance_test

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/maintenance"
)

func TestMain(m *testing.M) { apitest.Main(m) }

func database(t *testing.T, statements ...string) *pgxpool.Pool {
	t.Helper()
	db, err := pgxpool.New(t.Context(), apitest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	for _, s := range statements {
		if _, err := db.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func text(t *testing.T, db *pgxpool.Pool, query string) string {
	t.Helper()
	var s string
	if err := db.QueryRow(t.Context(), query).Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}

const old = "insert into auth.flow_state (id, auth_code, provider_type, authentication_method, created_at) " +
	"select gen_random_uuid(), n, 'x', 'x', '2001-01-01' from generate_series(1, 2500) as n"

// counter adds up what workers report, per rule.
type counter struct {
	mu   sync.Mutex
	rows map[string]int64
}

func (c *counter) observe(rule string, rows int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows[rule] += rows
}

// Of many processes one does the pass, batch after batch until nothing is left; the next pass is due after the interval.
func TestOneProcessDoesThePass(t *testing.T) {
	t.Parallel()
	db := database(t, old)
	c := &counter{rows: map[string]int64{}}
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			w := maintenance.New(db, maintenance.Options{Observe: c.observe}, slog.New(slog.DiscardHandler))
			if err := w.Pass(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if want := map[string]int64{"flow_states": 2500, "event_partitions": 2}; !maps.Equal(c.rows, want) {
		t.Errorf("changed %v, want %v", c.rows, want)
	}
	if got := text(t, db, "select rows_total::text from postern.maintenance where rule = 'flow_states'"); got != "2500" {
		t.Errorf("noted %s rows", got)
	}
}

// A rule that fails is noted and keeps nobody else from being run.
func TestFailingRule(t *testing.T) {
	t.Parallel()
	db := database(t, old,
		"create function postern.refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$",
		"create trigger refuse before delete on auth.refresh_tokens for each row execute function postern.refuse()",
		"insert into auth.refresh_tokens (token, revoked, updated_at) values ('x', true, '2001-01-01')")
	w := maintenance.New(db, maintenance.Options{}, slog.New(slog.DiscardHandler))
	if err := w.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := text(t, db, "select last_error from postern.maintenance where rule = 'refresh_tokens_revoked'"); got != "ERROR: not this one (SQLSTATE P0001)" {
		t.Errorf("noted %q", got)
	}
	if got := text(t, db, "select count(*)::text from auth.flow_state"); got != "0" {
		t.Errorf("%s flow states are left", got)
	}
}

// Run does a pass by itself and returns when it is told to.
func TestRun(t *testing.T) {
	t.Parallel()
	db := database(t, old)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	observed := make(chan int64, 100)
	o := maintenance.Options{Interval: 200 * time.Millisecond, Observe: func(_ string, n int64) { observed <- n }}
	go func() {
		maintenance.New(db, o, slog.New(slog.DiscardHandler)).Run(ctx)
		close(done)
	}()
	for total := int64(0); total < 2500; {
		select {
		case n := <-observed:
			total += n
		case <-time.After(time.Minute):
			t.Fatalf("only %d rows went", total)
		}
	}
	cancel()
	<-done
}
