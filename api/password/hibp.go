package password

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bits-and-blooms/bloom/v3"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/outbound"
)

const (
	hibpTimeout   = 5 * time.Second // spec/06 section 6
	hibpPrefix    = 5               // hexadecimal digits that are sent
	maxHIBPAnswer = 1 << 20         // bytes; an answer has about 40 KiB

	hibpPause = 30 * time.Second // for which sign-ins do not ask a service that failed
)

// errPaused means that the service failed a moment ago and was not asked.
var errPaused = errors.New("did not answer a moment ago")

// breaches asks Have I Been Pwned whether a password is known, by k-anonymity: only the first digits of its hash leave
// the machine, and the answer lists the rest of every known hash that begins so.
type breaches struct {
	client   *http.Client
	settings config.HIBP
	memory   *breachMemory // nil: nothing is remembered
	now      func() time.Time

	mu       sync.Mutex
	resumeAt time.Time // when the next sign-in asks a service that failed; zero while it answers
}

func newBreaches(c config.HIBP, client *http.Client) *breaches {
	b := &breaches{client: client, settings: c, now: time.Now}
	if c.BloomEnabled {
		b.memory = newBreachMemory(c.BloomItems, c.BloomFalsePositives)
	}
	return b
}

// contain tells whether the password is known. Errors: the service does not answer as it should; errPaused, if the caller
// does not insist and it failed a moment ago.
func (b *breaches) contain(ctx context.Context, password string, insists bool) (bool, error) {
	sum := sha1.Sum([]byte(password))
	hash := strings.ToUpper(hex.EncodeToString(sum[:]))
	if b.memory != nil {
		if isKnown, isRemembered := b.memory.look(hash); isRemembered {
			return isKnown, nil
		}
	}
	if !insists && b.isPaused() {
		return false, errPaused
	}
	limited, cancel := context.WithTimeout(ctx, hibpTimeout)
	defer cancel()
	suffixes, err := b.ask(limited, hash[:hibpPrefix])
	if ctx.Err() == nil { // else it is the client who gave up
		b.note(err)
	}
	if err != nil {
		return false, fmt.Errorf("asking Have I Been Pwned: %w", err)
	}
	if b.memory != nil {
		b.memory.remember(hash[:hibpPrefix], suffixes)
	}
	for _, suffix := range suffixes {
		if suffix == hash[hibpPrefix:] {
			return true, nil
		}
	}
	return false, nil
}

// isPaused tells whether the service failed a moment ago. When the pause is over, one caller is sent to try it, and for the
// others it goes on.
func (b *breaches) isPaused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.resumeAt.IsZero() {
		return false
	}
	now := b.now()
	if now.Before(b.resumeAt) {
		return true
	}
	b.resumeAt = now.Add(hibpPause)
	return false
}

// note begins a pause when the service failed, and ends it when it answered.
func (b *breaches) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.resumeAt = (time.Time{}); err != nil {
		b.resumeAt = b.now().Add(hibpPause)
	}
}

// ask returns what follows the prefix in all known hashes.
func (b *breaches) ask(ctx context.Context, prefix string) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(b.settings.URL, "/")+"/range/"+prefix, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", b.settings.UserAgent)
	res, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	var suffixes []string
	answer, err := outbound.ReadAll(res.Body, maxHIBPAnswer)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(answer))
	for lines.Scan() {
		suffix, count, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if len(suffix) == 2*sha1.Size-hibpPrefix && count != "0" { // 0: a line that is padding
			suffixes = append(suffixes, strings.ToUpper(suffix))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return suffixes, nil
}

// breachMemory remembers answers in a Bloom filter: prefixes that were asked for, and the known hashes that begin so. It
// never forgets a known hash whose prefix it has, and takes a few good passwords for known ones. When it has as many
// entries as it is made for, it begins anew.
type breachMemory struct {
	mu             sync.Mutex
	filter         *bloom.BloomFilter
	entries, limit uint
}

func newBreachMemory(items uint, falsePositives float64) *breachMemory {
	return &breachMemory{filter: bloom.NewWithEstimates(items, falsePositives), limit: items}
}

// look tells whether a hash is known. isRemembered is false where nobody asked for its prefix yet.
func (m *breachMemory) look(hash string) (isKnown, isRemembered bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.filter.TestString(hash[:hibpPrefix]) {
		return false, false
	}
	return m.filter.TestString(hash), true
}

func (m *breachMemory) remember(prefix string, suffixes []string) {
	added := uint(len(suffixes)) + 1
	m.mu.Lock()
	defer m.mu.Unlock()
	if added > m.limit {
		return
	}
	if m.entries+added > m.limit {
		m.filter.ClearAll()
		m.entries = 0
	}
	m.entries += added
	m.filter.AddString(prefix)
	for _, suffix := range suffixes {
		m.filter.AddString(prefix + suffix)
	}
}
