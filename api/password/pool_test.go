package password

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func newPool(t testing.TB, workers, queue int) *Pool {
	t.Helper()
	p := New(workers, queue)
	t.Cleanup(p.Close)
	return p
}

// occupy keeps all workers busy until the returned function is called.
func occupy(t *testing.T, p *Pool) (release func()) {
	t.Helper()
	gate, started := make(chan struct{}), make(chan struct{})
	var jobs sync.WaitGroup
	for range p.count {
		jobs.Go(func() {
			if err := p.do(context.Background(), func() { started <- struct{}{}; <-gate }); err != nil {
				t.Error(err)
			}
		})
	}
	for range p.count {
		<-started
	}
	return sync.OnceFunc(func() { close(gate); jobs.Wait() })
}

// waitForQueue returns when n jobs wait.
func waitForQueue(p *Pool, n int) {
	for {
		p.mu.Lock()
		got := len(p.queue)
		p.mu.Unlock()
		if got == n {
			return
		}
		runtime.Gosched()
	}
}

func TestHashAndVerify(t *testing.T) {
	t.Parallel()
	p, ctx := newPool(t, 1, 0), t.Context()
	hash, err := p.Hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if cost, err := bcrypt.Cost([]byte(hash)); err != nil || cost != 10 || !strings.HasPrefix(hash, "$2a$") {
		t.Errorf("hash %s of cost %d (%v)", hash, cost, err)
	}
	for _, test := range []struct {
		hash, password string
		want, invalid  bool
	}{
		{hash, "correct horse", true, false},
		{hash, "correct horsf", false, false},
		{hash, "", false, false},
		{"", "", false, false},
		{"", "correct horse", false, false},
		{"!", "correct horse", false, true},
		{strings.Replace(hash, "$2a$", "$2y$", 1), "correct horse", true, false},
		{strings.Replace(hash, "$2a$", "$2b$", 1), "correct horse", true, false},
	} {
		before := p.Calls()
		got, err := p.Verify(ctx, test.hash, test.password)
		if got != test.want || (err != nil) != test.invalid {
			t.Errorf("%q, %q: got %v, %v", test.hash, test.password, got, err)
		}
		if n := p.Calls() - before; n != 1 {
			t.Errorf("%q: %d hash calls, want 1", test.hash, n)
		}
	}
	if _, err := p.Hash(ctx, strings.Repeat("x", 73)); !errors.As(err, &TooLong{}) {
		t.Errorf("73 bytes: got %v", err)
	}
	if _, err := p.Hash(ctx, strings.Repeat("x", 72)); err != nil {
		t.Errorf("72 bytes: got %v", err)
	}
}

func TestDummyCostsTheSame(t *testing.T) {
	t.Parallel()
	if cost, err := bcrypt.Cost([]byte(dummyHash)); err != nil || cost != bcryptCost {
		t.Errorf("cost %d (%v), want %d", cost, err, bcryptCost)
	}
	if err := ValidHash(dummyHash); err != nil {
		t.Error(err)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	p := newPool(t, 2, 3)
	release := occupy(t, p)
	defer release()
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			if err := p.do(context.Background(), func() {}); err != nil {
				t.Error(err)
			}
		})
	}
	waitForQueue(p, 3)
	if _, err := p.Verify(t.Context(), dummyHash, "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	release()
	waiting.Wait()
}

func TestCancelledLeaveTheQueue(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, 1)
	release := occupy(t, p)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- p.do(ctx, func() { t.Error("a cancelled job ran") }) }()
	waitForQueue(p, 1)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	waitForQueue(p, 0)
	if err := p.do(ctx, func() { t.Error("a cancelled job ran") }); !errors.Is(err, context.Canceled) {
		t.Errorf("already cancelled: got %v", err)
	}
	release()
	if err := p.do(t.Context(), func() {}); err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	p := New(1, 1)
	release := occupy(t, p)
	left := make(chan error)
	go func() { left <- p.do(context.Background(), func() { t.Error("a job ran after Close") }) }()
	waitForQueue(p, 1)
	p.mu.Lock()
	p.closed = true // what Close does before it waits
	p.mu.Unlock()
	release()
	if err := <-left; !errors.Is(err, errClosed) {
		t.Errorf("waiting: got %v", err)
	}
	p.Close()
	if _, err := p.Hash(t.Context(), "x"); !errors.Is(err, errClosed) {
		t.Errorf("after Close: got %v", err)
	}
}

// BenchmarkAnswersDuringFlood measures how long a goroutine takes to answer when nothing else runs and when logins
// keep the pool full, and for comparison when the same work runs in plain goroutines.
func BenchmarkAnswersDuringFlood(b *testing.B) {
	verify := func() { _ = bcrypt.CompareHashAndPassword([]byte(dummyHash), []byte("x")) }
	p := newPool(b, runtime.NumCPU(), 0)
	for _, flood := range []struct {
		name string
		job  func()
	}{
		{"idle", nil},
		{"pool", func() { _ = p.do(context.Background(), verify) }},
		{"plain", verify},
	} {
		b.Run(flood.name, func(b *testing.B) {
			stop := make(chan struct{})
			var logins sync.WaitGroup
			for range 16 {
				logins.Go(func() {
					for flood.job != nil {
						select {
						case <-stop:
							return
						default:
							flood.job()
						}
					}
				})
			}
			b.ReportMetric(float64(answerTimes(b)), "p99-us")
			close(stop)
			logins.Wait()
		})
	}
}

// answerTimes returns the 99th percentile in microseconds of asking a goroutine that computes a little.
func answerTimes(b *testing.B) int64 {
	ask, answer := make(chan struct{}), make(chan byte)
	go func() {
		for range ask {
			sum := byte(0)
			for i := range 100_000 { // about the work of a request
				sum += byte(i)
			}
			answer <- sum
		}
	}()
	defer close(ask)
	var times []time.Duration
	for b.Loop() {
		started := time.Now()
		ask <- struct{}{}
		<-answer
		runtime.Gosched() // a request waits for the network as well
		times = append(times, time.Since(started))
	}
	slices.Sort(times)
	return times[len(times)*99/100].Microseconds()
}
