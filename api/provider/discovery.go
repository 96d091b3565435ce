package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/sync/singleflight"

	"github.com/postern-auth/postern/api/outbound"
)

const (
	maxAnswer  = 1 << 20          // bytes of an answer
	staleFor   = 10 * time.Second // how long an old document counts until somebody tries again to read it
	maxIssuers = 1000             // that are remembered: tokens of anybody's Azure tenant can name one
)

// Document is what a discovery document says (OpenID Connect Discovery 1.0 section 3).
type Document struct {
	oidc.ProviderConfig
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported []string `json:"response_types_supported,omitempty"`
	GrantTypesSupported    []string `json:"grant_types_supported,omitempty"`
	SubjectTypesSupported  []string `json:"subject_types_supported,omitempty"`
}

// issuer is one whose discovery document was read, and its keys.
type issuer struct {
	document Document
	provider *oidc.Provider
	readAt   time.Time
}

// issuers remembers issuers. Parallel questions share one request; when a document cannot be read again, the old one
// goes on to count.
type issuers struct {
	ttl     time.Duration
	reading singleflight.Group
	mu      sync.Mutex
	known   map[string]*issuer // by key: the address of the document, or one that says more
}

func newIssuers(ttl time.Duration) *issuers { return &issuers{ttl: ttl, known: map[string]*issuer{}} }

// DocumentURL is where an issuer's discovery document is by default.
func DocumentURL(iss string) string {
	return strings.TrimRight(iss, "/") + "/.well-known/openid-configuration"
}

// discover returns an issuer of this provider.
func (p *Provider) discover(ctx context.Context, iss string) (*issuer, error) {
	if p.custom != nil {
		return p.discoverCustom(ctx)
	}
	return p.registry.issuers.find(ctx, p.http, iss, DocumentURL(iss), DocumentURL(iss))
}

func (s *issuers) find(ctx context.Context, client *http.Client, iss, documentURL, key string) (*issuer, error) {
	s.mu.Lock()
	known := s.known[key]
	s.mu.Unlock()
	if known != nil && known.document.IssuerURL == iss && time.Since(known.readAt) < s.ttl {
		return known, nil
	}
	found, err, _ := s.reading.Do(key+" "+iss, func() (any, error) {
		// whoever else waits for it must not be let down by the one that asked first
		return readIssuer(context.WithoutCancel(ctx), client, iss, documentURL)
	})
	if err != nil {
		if known == nil || known.document.IssuerURL != iss {
			return nil, err
		}
		stale := *known
		stale.readAt = time.Now().Add(min(staleFor, s.ttl) - s.ttl) // else everybody waits for a server that is down
		found = &stale
	}
	s.remember(key, found.(*issuer))
	return found.(*issuer), nil
}

// offer takes an issuer whose document is known from elsewhere, unless one is remembered already.
func (s *issuers) offer(key string, newIssuer func() *issuer) {
	s.mu.Lock()
	isKnown := s.known[key] != nil
	s.mu.Unlock()
	if !isKnown {
		s.remember(key, newIssuer())
	}
}

func (s *issuers) remember(key string, i *issuer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxIssuers {
		clear(s.known)
	}
	s.known[key] = i
}

// ReadDocument reads a discovery document. Its issuer must be the expected one, to the letter: otherwise one provider
// could vouch for the people of another. Apple's documents may name the other of its two issuers.
func ReadDocument(ctx context.Context, client *http.Client, iss, documentURL string) (*Document, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, documentURL, nil)
	if err != nil {
		return nil, err
	}
	var d Document
	if err := getJSON(client, req, &d); err != nil {
		return nil, err
	}
	if !isSameIssuer(d.IssuerURL, iss) {
		return nil, fmt.Errorf("oidc: issuer did not match the issuer returned by provider, expected %q got %q", iss, d.IssuerURL)
	}
	return &d, nil
}

func isSameIssuer(a, b string) bool {
	if a == b {
		return true
	}
	for _, d := range definitions() {
		if d.isOneIssuer && d.hasIssuer(a) && d.hasIssuer(b) {
			return true
		}
	}
	return false
}

// signatures are the algorithms that ID tokens may have. Others in a document do not count: with a shared secret (HS256)
// everybody who knows it could make tokens, and "none" is none.
var signatures = map[string]bool{
	oidc.RS256: true, oidc.RS384: true, oidc.RS512: true, oidc.PS256: true, oidc.PS384: true, oidc.PS512: true,
	oidc.ES256: true, oidc.ES384: true, oidc.ES512: true, oidc.EdDSA: true,
}

// newIssuer is the issuer of a document, whose keys the client reads.
func newIssuer(ctx context.Context, client *http.Client, d Document, readAt time.Time) *issuer {
	d.Algorithms = slices.DeleteFunc(slices.Clone(d.Algorithms), func(name string) bool { return !signatures[name] })
	return &issuer{d, d.NewProvider(oidc.ClientContext(ctx, client)), readAt}
}

func readIssuer(ctx context.Context, client *http.Client, iss, documentURL string) (*issuer, error) {
	d, err := ReadDocument(ctx, client, iss, documentURL)
	if err != nil {
		return nil, err
	}
	d.IssuerURL = iss
	return newIssuer(ctx, client, *d, time.Now()), nil
}

// getJSON decodes the answer of a request. Errors: any status but 2xx, and what is not JSON in UTF-8 of at most a megabyte.
func getJSON(client *http.Client, req *http.Request, into any) error {
	req.Header.Set("Accept", "application/json")
	where := req.URL.Redacted()
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("GET %s: %s", where, res.Status)
	}
	text, err := outbound.ReadAll(res.Body, maxAnswer)
	switch {
	case err != nil:
	case !utf8.Valid(text): // decoding would make one text of different ones
		err = errors.New("the answer is not UTF-8")
	default:
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("GET %s: %w", where, err)
	}
	return nil
}
