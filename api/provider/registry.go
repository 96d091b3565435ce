package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/oauth2"

	"github.com/postern-auth/postern/api/config"
)

// Registry makes providers of settings, and remembers what it learned about them.
type Registry struct {
	settings map[string]config.Provider
	oidc     config.OIDC
	trusted  *http.Client // to what the operator's settings name
	guarded  *http.Client // to what anybody else names
	issuers  *issuers
	customs  *issuers // of custom providers, by version of their row
	configs  sync.Map // configKey -> *oauth2.Config, which remembers how a token endpoint wants its credentials
}

// NewRegistry returns one. The clients limit time and size of every answer; guarded refuses private addresses.
func NewRegistry(settings map[string]config.Provider, oidc config.OIDC, trusted, guarded *http.Client) *Registry {
	return &Registry{
		settings: settings, oidc: oidc, trusted: trusted, guarded: guarded, issuers: newIssuers(oidc.CacheTTL),
		customs: newIssuers(oidc.CacheTTL),
	}
}

// Find returns the built-in provider of that name, in any case. The error is the reason for the message
// "Unsupported provider: <reason>".
func (r *Registry) Find(name string) (*Provider, error) {
	name = strings.ToLower(name)
	d, isBuiltIn := definitions()[name]
	c := r.settings[name]
	switch {
	case !isBuiltIn:
		return nil, fmt.Errorf("Provider %s could not be found", name) //nolint:staticcheck // the wire's message
	case !c.Enabled:
		return nil, errors.New("provider is not enabled")
	case len(c.ClientID) == 0 || c.ClientID[0] == "":
		return nil, errors.New("missing OAuth client ID")
	case c.Secret == "":
		return nil, errors.New("missing OAuth secret")
	case c.RedirectURI == "":
		return nil, errors.New("missing redirect URI")
	}
	p := &Provider{
		Name: name, IsEmailOptional: c.EmailOptional, definition: d, registry: r, http: r.trusted,
		clientIDs: r.audiences(d, c), clientSecret: string(c.Secret), redirectURL: c.RedirectURI, base: baseOf(c),
	}
	if p.needsURL != "" && p.base == "" {
		return nil, errors.New(p.needsURL)
	}
	return p, nil
}

// audiences are those of a provider's ID tokens, the client id for redirects first.
func (r *Registry) audiences(d definition, c config.Provider) []string {
	if d.audience == nil || d.audience(r.oidc) == "" {
		return c.ClientID
	}
	return append(slices.Clone(c.ClientID), d.audience(r.oidc))
}

// baseOf is the URL of one's own of a provider.
func baseOf(c config.Provider) string { return strings.TrimSuffix(c.URL, "/") }

// configKey is all that a token request depends on.
type configKey struct{ clientID, clientSecret, redirectURL, authorizeURL, tokenURL string }

// config is the provider as x/oauth2 knows it. Errors: the discovery document cannot be had.
func (p *Provider) config(ctx context.Context) (*oauth2.Config, error) {
	authorizeURL, tokenURL := p.authorize.url(p.base), p.token.url(p.base)
	if p.discovers {
		i, err := p.discover(ctx, p.issuer)
		if err != nil {
			return nil, err
		}
		if p.authorize.path == "" {
			authorizeURL, tokenURL = i.document.AuthURL, i.document.TokenURL
		}
	}
	key := configKey{p.clientIDs[0], p.clientSecret, p.redirectURL, authorizeURL, tokenURL}
	if known, ok := p.registry.configs.Load(key); ok {
		return known.(*oauth2.Config), nil
	}
	known, _ := p.registry.configs.LoadOrStore(key, &oauth2.Config{
		ClientID: key.clientID, ClientSecret: key.clientSecret, RedirectURL: key.redirectURL,
		Endpoint: oauth2.Endpoint{AuthURL: authorizeURL, TokenURL: tokenURL, AuthStyle: p.authStyle},
	})
	return known.(*oauth2.Config), nil
}
