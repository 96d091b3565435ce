// Package idp is an OAuth 2 and OpenID Connect provider for tests, with a knob for each way to misbehave. Its paths are
// those of a Keycloak realm, so that it is one as well: give its URL as GOTRUE_EXTERNAL_KEYCLOAK_URL.
package idp

import (
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Paths of the endpoints below the URL.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	AuthorizePath = "/protocol/openid-connect/auth"
	TokenPath     = "/protocol/openid-connect/token"
	UserinfoPath  = "/protocol/openid-connect/userinfo"
	KeysPath      = "/protocol/openid-connect/certs"
)

// Options say how a provider is reached.
type Options struct {
	TLS    bool   // speak TLS, with the certificate in CA
	Listen string // address to listen at; default a free port of 127.0.0.1
}

// Provider is a running provider.
type Provider struct {
	URL string // the issuer

	server  *httptest.Server
	ended   chan struct{} // lets slow answers end
	mu      sync.Mutex
	knobs   Knobs
	keys    *keys
	grants  map[string]grant // by code; gone when used
	access  map[string]bool  // access tokens
	refresh map[string]grant // by refresh token; gone when used
	log     []Request
}

// grant is what a code or a refresh token stands for.
type grant struct {
	ClientID, RedirectURI, Nonce, Scope string
	Challenge                           string // S256; "" for none
}

// Request is one that the provider got.
type Request struct {
	Method, Path string
	Query, Form  url.Values // Form is that of the body
	Header       http.Header
}

// Start runs a provider until the end of the test.
func Start(t testing.TB, o Options) *Provider {
	t.Helper()
	p, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Listen runs a provider until Close. Errors: the address, or the making of keys.
func Listen(o Options) (*Provider, error) {
	p := &Provider{
		ended: make(chan struct{}), knobs: DefaultKnobs(), grants: map[string]grant{}, access: map[string]bool{},
		refresh: map[string]grant{},
	}
	var err error
	if p.keys, err = newKeys(); err != nil {
		return nil, err
	}
	p.server = httptest.NewUnstartedServer(p.handler())
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that break off, which is what tests want
	if o.Listen != "" {
		listener, err := net.Listen("tcp", o.Listen)
		if err != nil {
			return nil, err
		}
		_ = p.server.Listener.Close()
		p.server.Listener = listener
	}
	if o.TLS {
		p.server.StartTLS()
	} else {
		p.server.Start()
	}
	p.URL = p.server.URL
	return p, nil
}

// Close stops the provider, answers under way included.
func (p *Provider) Close() {
	close(p.ended)
	p.server.CloseClientConnections()
	p.server.Close()
}

// CA returns the certificate that vouches for the provider's, in PEM.
func (p *Provider) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

// CAFile writes CA into a file of the test, for POSTERN_OUTBOUND_CA_FILE.
func (p *Provider) CAFile(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, p.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Client trusts the provider's certificate and follows no redirect.
func (p *Provider) Client() *http.Client {
	c := *p.server.Client()
	c.Timeout = time.Minute
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// Set changes the knobs for what comes.
func (p *Provider) Set(change func(*Knobs)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.knobs.User = maps.Clone(p.knobs.User)
	change(&p.knobs)
}

func (p *Provider) now() Knobs {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.knobs
}

// Requests returns what came to a path, the oldest first.
func (p *Provider) Requests(path string) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Request
	for _, r := range p.log {
		if r.Path == path {
			list = append(list, r)
		}
	}
	return slices.Clip(list)
}

// Visit is what a browser does with the authorization URL: it returns where the provider sends it back to.
func (p *Provider) Visit(t testing.TB, authorizeURL string) *url.URL {
	t.Helper()
	res, err := p.Client().Get(authorizeURL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	back, err := res.Location()
	if err != nil {
		text, _ := io.ReadAll(res.Body)
		t.Fatalf("the provider answers %s: %s", res.Status, text)
	}
	return back
}

// RotateKeys makes new keys. Those from before are published no more.
func (p *Provider) RotateKeys(t testing.TB) {
	t.Helper()
	fresh, err := newKeys()
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = fresh
}
