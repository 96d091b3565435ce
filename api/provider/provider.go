// Package provider talks to OAuth 2 providers (RFC 6749): where to send the browser, the exchange of its code, and who
// came back (spec/02). Each provider is a small file of data on the engine in this one.
package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/postern-auth/postern/api/config"
)

const maxAnswer = 1 << 20 // bytes read of an answer

// Provider is one configured provider.
type Provider struct {
	Name            string
	IsEmailOptional bool
	oauth           oauth2.Config
	apiURL          string
	profile         func(ctx context.Context, c *client) (*Identity, error)
	http            *http.Client
}

// Identity is who came back from a provider, as postern_internal.finish_oauth() reads it.
type Identity struct {
	Subject      string         `json:"sub"`
	Data         map[string]any `json:"data"`   // claims for identity_data, empty ones left out
	Emails       []Email        `json:"emails"` // never null
	AccessToken  string         `json:"access_token"`
	RefreshToken string         `json:"refresh_token"`
}

// Email is an address at a provider.
type Email struct {
	Address    string `json:"email"`
	IsVerified bool   `json:"verified"`
	IsPrimary  bool   `json:"primary"`
}

// kind is what a file of this package says about a provider.
type kind struct {
	authorizeURL, tokenURL, apiURL string // by default
	selfHosted                     func(base string) (authorizeURL, tokenURL, apiURL string)
	scopes                         []string
	profile                        func(ctx context.Context, c *client) (*Identity, error)
}

func kinds() map[string]kind { return map[string]kind{"github": github()} }

// New returns the provider of that name with further scopes, separated by commas. timeout limits each call to it. The error is the reason for the
// message "Unsupported provider: <reason>".
func New(name, scopes string, settings map[string]config.Provider, timeout time.Duration) (*Provider, error) {
	name = strings.ToLower(name)
	k, hasKind := kinds()[name]
	c, hasSettings := settings[name]
	switch {
	case !hasSettings, c.Enabled && !hasKind:
		return nil, &unknownError{name}
	case !c.Enabled:
		return nil, errors.New("provider is not enabled")
	case len(c.ClientID) == 0 || c.ClientID[0] == "":
		return nil, errors.New("missing OAuth client ID")
	case c.Secret == "":
		return nil, errors.New("missing OAuth secret")
	case c.RedirectURI == "":
		return nil, errors.New("missing redirect URI")
	}
	if base := strings.TrimSuffix(c.URL, "/"); base != "" {
		k.authorizeURL, k.tokenURL, k.apiURL = k.selfHosted(base)
	}
	all := append([]string{}, k.scopes...)
	for scope := range strings.SplitSeq(scopes, ",") {
		if scope != "" {
			all = append(all, scope)
		}
	}
	return &Provider{
		Name: name, IsEmailOptional: c.EmailOptional, apiURL: k.apiURL, profile: k.profile,
		oauth: oauth2.Config{
			ClientID: c.ClientID[0], ClientSecret: string(c.Secret), RedirectURL: c.RedirectURI, Scopes: all,
			Endpoint: oauth2.Endpoint{AuthURL: k.authorizeURL, TokenURL: k.tokenURL},
		},
		http: &http.Client{Timeout: timeout},
	}, nil
}

// unknownError is a name that no provider has.
type unknownError struct{ name string }

func (e *unknownError) Error() string { return "Provider " + e.name + " could not be found" }

// reserved are parameters of a request to /authorize that are not passed on to the provider (spec/02 section 2).
var reserved = map[string]bool{
	"provider": true, "scopes": true, "code_challenge": true, "code_challenge_method": true, "client_id": true,
	"client_secret": true, "redirect_uri": true, "response_type": true, "state": true, "code_verifier": true,
}

// AuthorizeURL is where the browser goes; parameters of the client's request travel with it.
func (p *Provider) AuthorizeURL(state string, parameters url.Values) string {
	var options []oauth2.AuthCodeOption
	for name, values := range parameters {
		if name == "workos_provider" {
			name = "provider"
		} else if reserved[strings.ToLower(name)] {
			continue
		}
		options = append(options, oauth2.SetAuthURLParam(name, values[0]))
	}
	return p.oauth.AuthCodeURL(state, options...)
}

// ErrExchange and ErrProfile tell which of the two steps of Identify failed.
var (
	ErrExchange = errors.New("the code could not be exchanged")
	ErrProfile  = errors.New("the profile could not be read")
)

// Identify exchanges the code of a callback and asks who came back.
func (p *Provider) Identify(ctx context.Context, code string) (*Identity, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.http)
	token, err := p.oauth.Exchange(ctx, code)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExchange, err)
	}
	identity, err := p.profile(ctx, &client{http: p.oauth.Client(ctx, token), apiURL: p.apiURL})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	identity.AccessToken, identity.RefreshToken = token.AccessToken, token.RefreshToken
	return identity, nil
}

// client reads a provider's API on behalf of a user.
type client struct {
	http   *http.Client
	apiURL string
}

// get decodes the JSON answer of a path below the API's URL.
func (c *client) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.apiURL+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// claims returns a map of texts without the empty ones.
func claims(all map[string]string) map[string]any {
	out := make(map[string]any, len(all))
	for name, value := range all {
		if value != "" {
			out[name] = value
		}
	}
	return out
}
