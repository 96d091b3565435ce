package mail

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// fetchTimeout bounds the loading of one template.
	fetchTimeout = 10 * time.Second
	// grace is how long a mail waits for a newer version of a template that it has already.
	grace = time.Second
)

// cache holds the operator's templates by source, a URL or the name of a file. Each source is loaded by
// itself and once at a time, so that a slow host holds up nobody but the mails that need it, and those
// only until its first answer or failure: afterwards there is something to use meanwhile.
type cache struct {
	maxSize             int64
	maxAge, retry, idle time.Duration
	isReloading         bool
	http                *http.Client
	log                 *slog.Logger

	mu      sync.Mutex
	entries map[string]*entry
}

// entry is what is known of one source.
type entry struct {
	loaded  *template.Template // the last version that could be loaded; nil: none yet
	isTried bool               // loading has ended once, well or badly
	due     time.Time          // when to load (again)
	renewal time.Time          // when to load in the background, if that is on
	used    time.Time          // by a mail
	flight  *flight            // the loading that goes on; nil: none
}

// flight is one loading.
type flight struct {
	started time.Time
	done    chan struct{}
}

func newCache(s *Settings, client *http.Client, log *slog.Logger) *cache {
	return &cache{
		maxSize: s.TemplateMaxSize, maxAge: s.TemplateMaxAge, retry: s.TemplateRetryInterval,
		idle: s.TemplateReloadingMaxIdle, isReloading: s.TemplateReloading,
		http: client, log: log, entries: map[string]*entry{},
	}
}

// get returns the template of a source, nil if it could never be loaded.
func (c *cache) get(ctx context.Context, source string) *template.Template {
	c.mu.Lock()
	e := c.want(source)
	f, patience := e.flight, fetchTimeout+grace
	if f != nil && e.isTried {
		patience = grace - time.Since(f.started)
	}
	c.mu.Unlock()
	if f != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-f.done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.loaded
}

// isReady tells whether get would return at once, or nearly so. If not, loading begins.
func (c *cache) isReady(source string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want(source).isTried
}

// want returns the entry of a source that a mail uses now. It begins to load it if that is due. The
// caller holds the lock.
func (c *cache) want(source string) *entry {
	now := time.Now()
	e := c.entries[source]
	if e == nil {
		e = &entry{}
		c.entries[source] = e
	}
	e.used = now
	if e.flight == nil && now.After(e.due) {
		c.load(source, e)
	}
	return e
}

// load loads a source in the background. The caller holds the lock.
func (c *cache) load(source string, e *entry) {
	f := &flight{time.Now(), make(chan struct{})}
	e.flight = f
	go func() {
		loaded, err := c.read(source)
		c.mu.Lock()
		defer c.mu.Unlock()
		defer close(f.done)
		c.store(source, e, loaded, err)
	}()
}

// store records the end of a loading. The caller holds the lock.
func (c *cache) store(source string, e *entry, loaded *template.Template, err error) {
	e.flight, e.isTried = nil, true
	now := time.Now()
	if err != nil {
		e.due = now.Add(c.retry)
		e.renewal = e.due
		c.log.Warn("a mail template could not be loaded", "source", source, "error", err)
		return
	}
	e.loaded, e.due, e.renewal = loaded, now.Add(c.maxAge), now.Add(c.maxAge*9/10)
}

// preload loads a source now and for the first time. Errors: it cannot be read, or is no template.
func (c *cache) preload(source string) error {
	loaded, err := c.read(source)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &entry{used: time.Now()}
	c.entries[source] = e
	c.store(source, e, loaded, nil)
	return nil
}

// read loads and parses one template, at most maxSize bytes of it; from a URL with status 200 only.
func (c *cache) read(source string) (*template.Template, error) {
	var body []byte
	var err error
	if strings.HasPrefix(source, "http") {
		body, err = c.fetch(source)
	} else {
		body, err = c.readFile(source)
	}
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, errors.New("it is empty")
	}
	if strings.HasSuffix(source, subjectSuffix) {
		body = []byte(strings.TrimSpace(string(body)))
	}
	return template.New("own").Parse(string(body))
}

func (c *cache) fetch(url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout) // of no mail: others wait for it too
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", res.Status)
	}
	return io.ReadAll(io.LimitReader(res.Body, c.maxSize))
}

func (c *cache) readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, c.maxSize))
}

// refresh begins to load what no mail has used yet, and what will soon be too old for the mails that use it, if that
// is on (spec/06 section 7).
func (c *cache) refresh(now time.Time, sources []string) {
	if !c.isReloading {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, source := range sources {
		e := c.entries[source]
		switch {
		case e == nil:
			c.want(source)
		case e.flight == nil && now.After(e.renewal) && now.Sub(e.used) <= c.idle:
			c.load(source, e)
		}
	}
}
