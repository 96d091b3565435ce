package password

import (
	"bufio"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bits-and-blooms/bloom/v3"

	"github.com/postern-auth/postern/api/config"
)

const (
	hibpRange   = "https://api.pwnedpasswords.com/range/"
	hibpPrefix  = 5 // digits of the hash that are told
	hibpTimeout = 5 * time.Second
	maxHIBPBody = 1 << 20 // bytes; an answer has about 40 kB
)

// Unchecked means that HaveIBeenPwned.org could not be asked, and GOTRUE_PASSWORD_HIBP_FAIL_CLOSED is set: status 500.
type Unchecked struct{ cause error }

func (*Unchecked) Error() string {
	return "Unable to perform password strength check with HaveIBeenPwned.org."
}

func (e *Unchecked) Unwrap() error { return e.cause }

// breaches asks HaveIBeenPwned.org. It tells it the first digits of a hash, which hundreds of passwords share.
type breaches struct {
	client    *http.Client
	userAgent string
	seen      *filter // nil: nothing is remembered
}

func newBreaches(c config.HIBP) *breaches {
	b := &breaches{client: &http.Client{Timeout: hibpTimeout}, userAgent: c.UserAgent}
	if c.BloomEnabled {
		b.seen = &filter{room: c.BloomItems, bits: bloom.NewWithEstimates(c.BloomItems, c.FalsePositives)}
	}
	return b
}

// know tells whether a password was in a breach. Errors: no answer in time, or none that can be read.
func (b *breaches) know(ctx context.Context, password string) (bool, error) {
	hash := fmt.Sprintf("%X", sha1.Sum([]byte(password)))
	if b.seen.has(hash) {
		return true, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, hibpRange+hash[:hibpPrefix], nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("User-Agent", b.userAgent)
	res, err := b.client.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("HaveIBeenPwned.org answered with status %d", res.StatusCode)
	}
	isKnown, err := lists(io.LimitReader(res.Body, maxHIBPBody), hash[hibpPrefix:])
	if isKnown {
		b.seen.add(hash)
	}
	return isKnown, err
}

// lists looks for the rest of a hash in an answer: lines REST:COUNT, where a count of 0 is padding.
func lists(answer io.Reader, rest string) (bool, error) {
	lines := bufio.NewScanner(answer)
	for lines.Scan() {
		if found, count, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":"); strings.EqualFold(found, rest) {
			return strings.TrimSpace(count) != "0", nil
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("reading the answer of HaveIBeenPwned.org: %w", err)
	}
	return false, nil
}

// filter remembers hashes that were found. When it is full it takes no more, so that the share of false positives stays.
type filter struct {
	mu   sync.Mutex
	room uint
	bits *bloom.BloomFilter
}

func (f *filter) has(hash string) bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bits.TestString(hash)
}

func (f *filter) add(hash string) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room > 0 && !f.bits.TestOrAddString(hash) {
		f.room--
	}
}
