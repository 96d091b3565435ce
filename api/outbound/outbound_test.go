package outbound

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestGuardedReachesNothingPrivate(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	s, ca := secure(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	c := newClients(t, Options{CAFile: ca, Resolver: nameServer(t, map[string][]string{
		"inside.example.com": {"127.0.0.1"}, "cloud.example.com": {"169.254.169.254"},
	})})
	for host, class := range map[string]Class{
		"127.0.0.1": Loopback, "[::ffff:127.0.0.1]": Loopback, "localhost": Loopback, "inside.example.com": Loopback,
		"0.0.0.0": Unspecified, "[::]": Unspecified, "10.0.0.1": Private, "169.254.169.254": Metadata, "cloud.example.com": Metadata,
		"[fe80::1%25lo]": LinkLocal, "[fd00:ec2::254]": Metadata, "100.64.0.1": Private, "[64:ff9b::7f00:1]": Loopback,
	} {
		_, err := get(t, c.Guarded(time.Second), "https://"+host+port)
		wantRefused(t, host, err, class)
	}
	if _, err := get(t, c.Guarded(time.Second), "http://127.0.0.1"+port); !errors.Is(err, ErrNotHTTPS) {
		t.Errorf("plain http: %v", err)
	}
	// What other notations mean depends on the resolver; none may lead inside.
	for _, host := range []string{"127.1", "0x7f.1", "2130706433", "017700000001", "0177.0.0.1", "１２７.0.0.1", "127。0。0。1"} {
		if _, err := get(t, c.Guarded(time.Second), "https://"+host+port); err == nil {
			t.Errorf("%s was reached", host)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	allowed := newClients(t, Options{CAFile: ca, Allowed: loopback})
	if _, err := get(t, allowed.Guarded(time.Minute), s.URL); err != nil || hits.Load() != 1 {
		t.Errorf("allowed: %v, %d requests", err, hits.Load())
	}
	if _, err := get(t, c.Trusted(time.Minute), s.URL); err != nil || hits.Load() != 2 {
		t.Errorf("trusted: %v, %d requests", err, hits.Load())
	}
}

// A name that is public when it is checked, and private when it is used.
func TestRebinding(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	s, ca := secure(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	c := newClients(t, Options{CAFile: ca, Resolver: nameServer(t, map[string][]string{"example.com": {"93.184.215.14", "127.0.0.1"}})})
	url := strings.Replace(s.URL, "127.0.0.1", "example.com", 1) // the certificate is for that name, too
	if err := c.CheckURL(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	_, err := get(t, c.Guarded(10*time.Second), url)
	wantRefused(t, "the second answer", err, Loopback)
	if hits.Load() != 0 {
		t.Error("it was reached")
	}
	// The name does lead there: a trusted call arrives.
	if _, err := get(t, c.Trusted(time.Minute), url); err != nil || hits.Load() != 1 {
		t.Errorf("trusted: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(inside.Close)
	var self *httptest.Server
	handle := func(w http.ResponseWriter, r *http.Request) {
		target := map[string]string{
			"/inside": "https" + strings.TrimPrefix(inside.URL, "http"), "/plain": inside.URL, "/metadata": "https://169.254.169.254/latest",
			"/private": "https://10.0.0.1/", "/file": "file:///etc/passwd", "/here": self.URL + "/end", "/loop": self.URL + "/loop",
		}[r.URL.Path]
		if target == "" {
			_, _ = io.WriteString(w, r.Method+" end")
			return
		}
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	}
	self, ca := secure(t, handle)
	only := netip.MustParsePrefix("127.0.0.1/32")
	guarded := newClients(t, Options{CAFile: ca, Allowed: []netip.Prefix{only}}).Guarded(10 * time.Second)
	for path, class := range map[string]Class{"/metadata": Metadata, "/private": Private} {
		_, err := get(t, guarded, self.URL+path)
		wantRefused(t, path, err, class)
	}
	for path, want := range map[string]error{"/plain": ErrDowngrade, "/file": ErrDowngrade, "/loop": ErrRedirects} {
		if _, err := get(t, guarded, self.URL+path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if text, err := get(t, guarded, self.URL+"/here"); err != nil || text != "GET end" {
		t.Errorf("a redirect on the same host: %q, %v", text, err)
	}
	res, err := guarded.Post(self.URL+"/here", "text/plain", strings.NewReader("secret"))
	if err != nil || res.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("a POST was sent on: %v, %v", res, err)
	}
	if res, err = NoRedirect(guarded).Get(self.URL + "/here"); err != nil || res.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("without redirects: %v, %v", res, err)
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests arrived inside", hits.Load())
	}
}

// The operator's own host may be private; where it redirects to is somebody's word.
func TestTrustedRedirectToAnotherHost(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(inside.Close)
	other := strings.Replace(inside.URL, "127.0.0.1", "127.0.0.2", 1)
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, map[string]string{"/same": inside.URL, "/other": other, "/two": "/other"}[r.URL.Path], http.StatusFound)
	}))
	t.Cleanup(own.Close)
	c := newClients(t, Options{}).Trusted(10 * time.Second)
	for _, path := range []string{"/other", "/two"} {
		_, err := get(t, c, own.URL+path)
		wantRefused(t, path, err, Loopback)
	}
	if hits.Load() != 0 {
		t.Error("it was reached")
	}
	if _, err := get(t, c, own.URL+"/same"); err != nil || hits.Load() != 1 {
		t.Errorf("the same host: %v", err)
	}
}

type stub func(*http.Request) (*http.Response, error)

func (f stub) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNetwork(t *testing.T) {
	t.Parallel()
	c := newClients(t, Options{UserAgent: "Postern/x", Network: stub(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(r.URL.String() + " " + r.Header.Get("User-Agent")))}, nil
	})})
	for kind, client := range map[string]*http.Client{"trusted": c.Trusted(0), "guarded": c.Guarded(0)} {
		if text, err := get(t, client, "https://api.github.com/user"); err != nil || text != "https://api.github.com/user Postern/x" {
			t.Errorf("%s: %q, %v", kind, text, err)
		}
	}
	_, err := get(t, c.Guarded(0), "https://127.0.0.1/")
	wantRefused(t, "a literal", err, Loopback)
	if err := c.CheckURL(t.Context(), "https://no-such-name.example.com"); err != nil {
		t.Error(err)
	}
}

// A proxy would resolve the names of guarded calls out of sight.
func TestProxyIsForTrustedCalls(t *testing.T) {
	t.Parallel()
	c := newClients(t, Options{})
	if c.transports[0].Proxy == nil || c.transports[1].Proxy != nil {
		t.Error("the proxy of the environment is not for trusted calls only")
	}
}
