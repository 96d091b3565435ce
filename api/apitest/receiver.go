package apitest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Call is a request that a Receiver got.
type Call struct {
	Method, Path string
	Header       http.Header
	Body         []byte
}

// Receiver is a server over TLS that remembers its calls: what webhooks are sent to.
type Receiver struct {
	URL    string
	Client *http.Client // trusts the receiver's certificate

	server *httptest.Server
	mu     sync.Mutex
	calls  []Call
	more   chan struct{} // closed at the next call
	answer http.HandlerFunc
}

// NewReceiver starts a Receiver until the end of the test. It answers 204, or what answer writes.
func NewReceiver(t testing.TB, answer http.HandlerFunc) *Receiver {
	t.Helper()
	r := &Receiver{more: make(chan struct{}), answer: answer}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that break off, which is what tests want
	r.server.StartTLS()
	t.Cleanup(func() {
		r.server.CloseClientConnections()
		r.server.Close()
	})
	r.URL, r.Client = r.server.URL, r.server.Client()
	return r
}

func (r *Receiver) serve(w http.ResponseWriter, hr *http.Request) {
	body, err := io.ReadAll(hr.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.calls = append(r.calls, Call{hr.Method, hr.URL.RequestURI(), hr.Header.Clone(), body})
	close(r.more)
	r.more = make(chan struct{})
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, hr)
}

// Answer changes what is answered; nil: 204.
func (r *Receiver) Answer(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// Calls returns the calls so far.
func (r *Receiver) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// WaitFor returns the calls as soon as there are n, 20 s at most.
func (r *Receiver) WaitFor(t testing.TB, n int) []Call {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		calls, more := slices.Clone(r.calls), r.more
		r.mu.Unlock()
		if len(calls) >= n {
			return calls
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("the receiver got %d calls, want %d", len(calls), n)
		}
	}
}

// CAFile writes the certificate that vouches for the receiver's into a file of the test, for POSTERN_OUTBOUND_CA_FILE.
func (r *Receiver) CAFile(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "receiver.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
