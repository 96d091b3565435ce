// Package password hashes and verifies passwords in a bounded pool, and checks the policy for new ones
// (spec/00 section 4, spec/01 section 1.5, spec/06 section 6).
package password

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"
)

// ErrBusy means that the queue is full: answer 503 and Retry-After.
var ErrBusy = errors.New("too many passwords are being checked")

// errClosed means that the pool was closed.
var errClosed = errors.New("the password pool is closed")

// queuePerWorker is the default length of the queue: at about 60 ms each, the last one waits some two seconds.
const queuePerWorker = 32

// Pool runs password hashing on a few threads of low priority, so that a flood of logins leaves the cores
// to everything else: other requests of this process, and PostgreSQL on the same machine.
//
// Each worker also gets a P of its own: GOMAXPROCS is raised by their number. A worker computes for tens of
// milliseconds without a break; on a shared P, request goroutines would wait for the scheduler to preempt it, and
// with it the low priority would be theirs too.
type Pool struct {
	mu      sync.Mutex
	filled  sync.Cond // a job was queued or the pool closed
	queue   []*job
	limit   int
	closed  bool
	workers sync.WaitGroup
	count   int

	calls   atomic.Int64
	observe func(Event) // nil: nobody wants to know
}

type job struct {
	run  func()
	ran  bool
	done chan struct{}
}

// New starts a pool. workers is the number of threads, 0 for one per core; queue is how many passwords may wait,
// 0 for 32 per worker.
func New(workers, queue int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if queue <= 0 {
		queue = queuePerWorker * workers
	}
	p := &Pool{limit: queue, count: workers}
	p.filled.L = &p.mu
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + workers)
	for range workers {
		p.workers.Go(p.work)
	}
	return p
}

// Close ends the workers when they have finished what they are doing. Those who wait get an error.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.filled.Broadcast()
	p.workers.Wait()
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)-p.count, 1))
}

// Calls returns how many hashes were computed so far.
func (p *Pool) Calls() int64 { return p.calls.Load() }

// Hash returns the bcrypt hash of a password, for users.encrypted_password. Errors: TooLong, ErrBusy, those of ctx.
func (p *Pool) Hash(ctx context.Context, password string) (string, error) {
	if len(password) > MaxLength {
		return "", TooLong{}
	}
	var hash []byte
	var failure error
	end := p.observed(true, dummyHash) // which has the usual cost
	err := p.do(ctx, func() { hash, failure = bcrypt.GenerateFromPassword([]byte(password), bcryptCost) })
	if err != nil {
		return "", err
	}
	end(false)
	return string(hash), failure
}

// Verify tells whether a hash was made of a password. An empty hash, for a user who does not exist or has no
// password, and one that ValidHash refuses take the same time and are false; the latter comes with an error.
// Other errors: ErrBusy, those of ctx.
func (p *Pool) Verify(ctx context.Context, hash, password string) (bool, error) {
	ok, _, err := p.verify(ctx, hash, password, false)
	return ok, err
}

// VerifyAndRenew is Verify for a sign-in. renewed is a bcrypt hash of the same password where the given one is right and
// outdated: of another cost than usual, or of a form that only imports have. Otherwise it is empty.
func (p *Pool) VerifyAndRenew(ctx context.Context, hash, password string) (ok bool, renewed string, err error) {
	return p.verify(ctx, hash, password, true)
}

func (p *Pool) verify(ctx context.Context, hash, password string, isSignIn bool) (bool, string, error) {
	check, invalid := parse(hash)
	compared := hash
	if invalid != nil {
		compared = dummyHash
		check, _ = parse(compared)
	}
	end := p.observed(false, compared)
	var ok bool
	var renewed []byte
	var failure error
	err := p.do(ctx, func() {
		ok, failure = check.matches([]byte(password))
		if check.isCheap {
			_ = bcrypt.CompareHashAndPassword([]byte(dummyHash), []byte(password))
		}
		if isSignIn && ok && check.isOutdated && len(password) <= MaxLength {
			renewed, failure = bcrypt.GenerateFromPassword([]byte(password), bcryptCost)
		}
	})
	if err == nil {
		end(ok && invalid == nil)
	}
	switch {
	case err != nil:
		return false, "", err
	case hash == "":
		return false, "", nil
	case invalid != nil:
		return false, "", invalid
	}
	return ok, string(renewed), failure
}

// do runs a function on a worker and waits for it. When ctx ends first, the function leaves the queue, or, if it
// is running already, finishes unheard: run must not touch anything that the caller uses after an error.
func (p *Pool) do(ctx context.Context, run func()) error {
	j := &job{run: run, done: make(chan struct{})}
	if err := p.enqueue(ctx, j); err != nil {
		return err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		p.leave(j)
		return ctx.Err()
	}
	if !j.ran {
		return errClosed
	}
	return nil
}

func (p *Pool) enqueue(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return errClosed
	case len(p.queue) >= p.limit:
		return ErrBusy
	}
	p.queue = append(p.queue, j)
	p.filled.Signal()
	return nil
}

// leave takes a job out of the queue if no worker has it yet.
func (p *Pool) leave(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.queue, j); i >= 0 {
		p.queue = slices.Delete(p.queue, i, i+1)
	}
}

// work is one worker. Its thread ends with it, because it never unlocks it.
func (p *Pool) work() {
	runtime.LockOSThread()
	lowerPriority()
	for j := p.next(); j != nil; j = p.next() {
		p.calls.Add(1)
		j.run()
		j.ran = true
		close(j.done)
	}
}

// next waits for a job. It returns nil when the pool is closed.
func (p *Pool) next() *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 && !p.closed {
		p.filled.Wait()
	}
	if p.closed {
		for _, j := range p.queue {
			close(j.done)
		}
		p.queue = nil
		return nil
	}
	j := p.queue[0]
	p.queue = slices.Delete(p.queue, 0, 1)
	return j
}
