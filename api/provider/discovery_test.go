package provider

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// An old document goes on to count while it cannot be read again, and not everybody waits for the server that is down.
func TestStaleDocument(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	var isDown atomic.Bool
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reads.Add(1)
		if isDown.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, `{"issuer": %q, "authorization_endpoint": "https://a.example.com", "jwks_uri": "https://k.example.com"}`, server.URL)
	}))
	defer server.Close()
	all := newIssuers(time.Hour)
	url := DocumentURL(server.URL)
	find := func(iss string) error {
		_, err := all.find(t.Context(), server.Client(), iss, url, url)
		return err
	}
	age := func() { all.known[url].readAt = time.Now().Add(-2 * time.Hour) }
	for i, step := range []struct {
		before  func()
		isError bool
		reads   int64 // so far
	}{
		{func() { isDown.Store(true) }, true, 1},
		{func() { isDown.Store(false) }, false, 2},
		{func() {}, false, 2},
		{func() { isDown.Store(true); age() }, false, 3},
		{func() {}, false, 3}, // within staleFor nobody asks again
		{age, false, 4},
		{func() { isDown.Store(false); age() }, false, 5},
	} {
		step.before()
		if err := find(server.URL); (err != nil) != step.isError || reads.Load() != step.reads {
			t.Errorf("step %d: %v after %d reads", i, err, reads.Load())
		}
	}
	if err := find("https://other.example.com"); err == nil {
		t.Error("a document of another issuer was taken")
	}
}
