// Package outbound is the one way to other servers over HTTP. Every call has a limit of time and of size, TLS 1.2 or
// newer, and one of two kinds of trust: Trusted is for URLs that the operator wrote into the settings, Guarded for
// those that come from anywhere else, which must not lead into the operator's own networks.
package outbound

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	maxTimeout     = time.Minute // of a call with its redirects and its answer
	dialTimeout    = 10 * time.Second
	maxRedirects   = 5
	maxHeader      = 64 << 10 // bytes of the header of an answer
	maxAnswer      = 16 << 20 // bytes of an answer to a trusted call
	maxGuarded     = 1 << 20  // bytes of an answer to a guarded one (spec/08 section 5)
	idlePerHost    = 16
	idleTimeout    = 90 * time.Second
	resolveTimeout = 5 * time.Second
)

// Options are what Clients are made of.
type Options struct {
	// Allowed are networks that guarded calls may reach though they are not public.
	Allowed []netip.Prefix
	// CAFile names a file of certificates in PEM that are trusted in addition to the system's. Empty: none.
	CAFile string
	// UserAgent is sent where a call does not set its own.
	UserAgent string
	// Resolver finds the addresses of hosts. Nil: the system's.
	Resolver *net.Resolver
	// Network stands in for the network, name servers included, in tests. Nil: the real one.
	Network http.RoundTripper
}

// Clients makes the clients of both kinds; those of a kind share connections. It is safe for concurrent use.
type Clients struct {
	options     Options
	authorities []byte // what was in CAFile
	classes     classifier
	resolver    *net.Resolver
	patience    time.Duration // with name servers
	trusted     http.RoundTripper
	guarded     http.RoundTripper
	transports  []*http.Transport
}

// New prepares both kinds. Errors: the file of certificates cannot be read, or there is none in it.
func New(o Options) (*Clients, error) { return Renew(nil, o) }

// Renew is New for settings that may have changed: where they and the certificates did not, it returns what was
// before, with its open connections.
func Renew(before *Clients, o Options) (*Clients, error) {
	c := &Clients{options: o, classes: special(), resolver: o.Resolver, patience: resolveTimeout}
	if c.resolver == nil {
		c.resolver = net.DefaultResolver
	}
	var roots *x509.CertPool
	if o.CAFile != "" {
		var err error
		if roots, err = c.readAuthorities(); err != nil {
			return nil, fmt.Errorf("POSTERN_OUTBOUND_CA_FILE: %w", err)
		}
	}
	if before != nil {
		if before.isLike(c) {
			return before, nil
		}
		before.closeIdle()
	}
	// A proxy resolves names by itself, so behind one nobody here sees which address a call ends at: the check of
	// guarded calls would look at the proxy's address. They go directly, or not at all.
	direct, guarded := c.transport(roots, http.ProxyFromEnvironment, nil), c.transport(roots, nil, c.control)
	c.transports = []*http.Transport{direct, guarded}
	toAny, toPublic := http.RoundTripper(direct), http.RoundTripper(guarded)
	if o.Network != nil {
		toAny, toPublic = o.Network, literals{o.Network, c}
	}
	c.trusted = &carrier{toAny, toPublic, o.UserAgent, maxAnswer, false}
	c.guarded = &carrier{toPublic, toPublic, o.UserAgent, maxGuarded, true}
	return c, nil
}

func (c *Clients) readAuthorities() (*x509.CertPool, error) {
	var err error
	if c.authorities, err = os.ReadFile(c.options.CAFile); err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !roots.AppendCertsFromPEM(c.authorities) {
		return nil, errors.New(c.options.CAFile + " holds no certificate in PEM")
	}
	return roots, nil
}

func (c *Clients) isLike(d *Clients) bool {
	return slices.Equal(c.options.Allowed, d.options.Allowed) && c.options.CAFile == d.options.CAFile &&
		c.options.UserAgent == d.options.UserAgent && bytes.Equal(c.authorities, d.authorities)
}

func (c *Clients) closeIdle() {
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

func (c *Clients) transport(
	roots *x509.CertPool, proxy func(*http.Request) (*url.URL, error), control func(network, address string, _ syscall.RawConn) error,
) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: control, Resolver: c.resolver}
	return &http.Transport{
		Proxy: proxy, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: dialTimeout, MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: idleTimeout,
		ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: maxHeader,
	}
}

// Trusted returns a client for URLs that the operator wrote into the settings. They may be in private networks, and go
// through the proxy of the environment. What they redirect to on another host is guarded like anybody's. A call
// takes timeout at most, all in all; 0 and more than a minute mean a minute.
func (c *Clients) Trusted(timeout time.Duration) *http.Client { return client(c.trusted, timeout) }

// Guarded returns a client for URLs that come from anywhere but the settings. Only https and addresses that are
// public, or in Options.Allowed, are reached: *RefusedError and ErrNotHTTPS. timeout is as in Trusted.
func (c *Clients) Guarded(timeout time.Duration) *http.Client { return client(c.guarded, timeout) }

func client(transport http.RoundTripper, timeout time.Duration) *http.Client {
	if timeout <= 0 || timeout > maxTimeout {
		timeout = maxTimeout
	}
	return &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: follow}
}

// NoRedirect returns the same client without redirects, for protocols that need none: the caller gets the answer
// that redirects.
func NoRedirect(c *http.Client) *http.Client {
	still := *c
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &still
}

// ErrRedirects, ErrDowngrade and ErrNotHTTPS are calls that were given up.
var (
	ErrRedirects = fmt.Errorf("more than %d redirects", maxRedirects)
	ErrDowngrade = errors.New("a redirect from https to http")
	ErrNotHTTPS  = errors.New("the URL must use https")
)

// follow decides about a redirect. Only questions are asked elsewhere: what else is sent may hold secrets.
func follow(next *http.Request, via []*http.Request) error {
	last := via[len(via)-1]
	switch {
	case via[0].Method != http.MethodGet && via[0].Method != http.MethodHead:
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return ErrRedirects
	case last.URL.Scheme == "https" && next.URL.Scheme != "https":
		return ErrDowngrade
	}
	return nil
}

// control checks the address of a connection when it is made. No earlier look at a name's addresses would do: name
// servers may answer the next question differently (DNS rebinding).
func (c *Clients) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("an address to connect to: %w", err)
	}
	return c.admit(at.Addr())
}

// admit refuses addresses that are neither public nor allowed: *RefusedError.
func (c *Clients) admit(a netip.Addr) error {
	class := c.classes.class(a)
	if class == Public || c.isAllowed(a) {
		return nil
	}
	return &RefusedError{a, class}
}

func (c *Clients) isAllowed(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	return slices.ContainsFunc(c.options.Allowed, func(p netip.Prefix) bool { return p.Contains(a) })
}

// literals does for a stand-in of the network what control does for the real one, as far as a URL says the address.
type literals struct {
	http.RoundTripper
	clients *Clients
}

func (l literals) RoundTrip(r *http.Request) (*http.Response, error) {
	if a, err := netip.ParseAddr(r.URL.Hostname()); err == nil {
		if err := l.clients.admit(a); err != nil {
			return nil, err
		}
	}
	return l.RoundTripper.RoundTrip(r)
}

// carrier takes the requests of one kind to the network.
type carrier struct {
	network     http.RoundTripper
	elsewhere   http.RoundTripper // for redirects to another host
	userAgent   string
	max         int64 // bytes of an answer
	isHTTPSOnly bool
}

func (c *carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.isHTTPSOnly && r.URL.Scheme != "https" {
		return nil, ErrNotHTTPS
	}
	if r.Header.Get("User-Agent") == "" && c.userAgent != "" {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", c.userAgent)
	}
	network := c.network
	if !strings.EqualFold(origin(r), r.URL.Hostname()) {
		network = c.elsewhere
	}
	res, err := network.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.Body != nil {
		res.Body = &limited{res.Body, c.max, c.max}
	}
	return res, nil
}

// origin is the host that the first of a chain of redirects went to.
func origin(r *http.Request) string {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return r.URL.Hostname()
}
