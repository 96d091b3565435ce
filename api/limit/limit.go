// Package limit holds what the HTTP layer knows about limits on requests. The buckets themselves are in PostgreSQL
// (sql/functions/limits), exact for all servers; here is who a client is, and which refusals need not be asked for again.
package limit

import (
	"maps"
	"sync"
	"time"
)

// Bucket is one client's share of a limit, in the form that SQL reads.
type Bucket struct {
	Name  string  `json:"name"`
	Who   string  `json:"who"`
	Every float64 `json:"every"` // seconds until one more request is allowed
	Burst int     `json:"burst"` // requests allowed at once when the bucket is full
}

const (
	// askAgain is how long a refusal counts without asking the database: a flood costs one question a second, and what an
	// administrator resets is seen as soon.
	askAgain = time.Second
	// maxRefusals bounds the memory. Beyond it refusals are forgotten, which costs questions, not exactness.
	maxRefusals = 1 << 16
)

// Refusals remembers which buckets the database said were empty. The zero value is ready to use.
type Refusals struct {
	mu    sync.Mutex
	until map[key]refusal
}

type key struct{ name, who string }

type refusal struct {
	over time.Time // when there will be a token
	ask  time.Time // when the database is asked again
}

// Wait returns how long the bucket stays empty for all that is known; 0: ask the database. Of those who come when it is
// time to ask again one gets 0.
func (m *Refusals) Wait(b *Bucket, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := key{b.Name, b.Who}
	r, ok := m.until[k]
	switch {
	case !ok:
		return 0
	case !now.Before(r.over):
		delete(m.until, k)
		return 0
	case !now.Before(r.ask):
		r.ask = now.Add(askAgain)
		m.until[k] = r
		return 0
	}
	return r.over.Sub(now)
}

// Note remembers what the database said: wait is the time until there is a token, 0 that there was one.
func (m *Refusals) Note(b *Bucket, now time.Time, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := key{b.Name, b.Who}
	if wait <= 0 {
		delete(m.until, k)
		return
	}
	if m.until == nil {
		m.until = map[key]refusal{}
	}
	if len(m.until) >= maxRefusals {
		maps.DeleteFunc(m.until, func(_ key, r refusal) bool { return !now.Before(r.over) })
	}
	if len(m.until) >= maxRefusals {
		clear(m.until)
	}
	m.until[k] = refusal{over: now.Add(wait), ask: now.Add(askAgain)}
}
