// Package provider talks to OAuth 2 and OpenID Connect providers: where to send the browser, the exchange of what it
// brings back, and who came (spec/02; RFC 6749, RFC 7636, OpenID Connect Core 1.0). Each provider is a small file of
// data, its definition, on the engine of the other files.
package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// Provider is one that is configured.
type Provider struct {
	Name            string
	IsEmailOptional bool

	definition
	registry     *Registry
	clientIDs    []string // the first one starts flows, all are audiences of ID tokens
	clientSecret string
	redirectURL  string
	base         string // URL of one's own; "" for the definition's hosts
	http         *http.Client
	custom       *Custom // the row that it was made of; nil for the built-in ones
}

// Identity is who came back from a provider, as postern_internal.finish_oauth() reads it.
type Identity struct {
	Subject string         `json:"sub"`
	Data    map[string]any `json:"data"`   // claims for identity_data, empty ones left out
	Emails  []Email        `json:"emails"` // never null
	Tokens
}

// Tokens are what the provider lets us do for a person.
type Tokens struct {
	AccessToken  string     `json:"access_token"`
	RefreshToken string     `json:"refresh_token"` // "" for none
	Scope        string     `json:"scope"`         // "" where the provider did not say
	ExpiresAt    *time.Time `json:"expires_at"`    // of the access token; nil: never
}

func tokensOf(t *oauth2.Token) Tokens {
	tokens := Tokens{AccessToken: t.AccessToken, RefreshToken: t.RefreshToken}
	tokens.Scope, _ = t.Extra("scope").(string)
	if !t.Expiry.IsZero() {
		at := t.Expiry.UTC()
		tokens.ExpiresAt = &at
	}
	return tokens
}

// Email is an address at a provider.
type Email struct {
	Address    string `json:"email,omitempty"` // "" where the provider vouches for a person without telling the address
	IsVerified bool   `json:"verified"`
	IsPrimary  bool   `json:"primary"`
}

// Start is where the browser goes, and what the server keeps until it is back: the code verifier, "" if there is none.
type Start struct{ URL, Secret string }

// Answer is what the browser brought back. Code is oauth_token with OAuth 1.0a; User is what Apple says of a person once.
type Answer struct{ Code, Verifier, User, Secret string }

// reserved are parameters of a request to /authorize that are not passed on to the provider (spec/02 section 2).
var reserved = map[string]bool{
	"provider": true, "scopes": true, "code_challenge": true, "code_challenge_method": true, "client_id": true,
	"client_secret": true, "redirect_uri": true, "response_type": true, "state": true, "code_verifier": true,
}

// Start returns where the browser goes. Further scopes and parameters of the client's request travel with it.
func (p *Provider) Start(ctx context.Context, state, scopes string, parameters url.Values) (Start, error) {
	if p.begin != nil {
		return p.begin(p, ctx, state)
	}
	c, err := p.config(ctx)
	if err != nil {
		return Start{}, err
	}
	query := url.Values{}
	if !p.ignoresParameters {
		forward(parameters, query)
	}
	for name, value := range p.parameters {
		query.Set(name, value)
	}
	query.Set("client_id", c.ClientID)
	query.Set("redirect_uri", c.RedirectURL)
	query.Set("response_type", "code")
	query.Set("state", state)
	if all := p.requestScopes(scopes); len(all) > 0 {
		query.Set("scope", strings.Join(all, " "))
	}
	start := Start{}
	if p.needsPKCE {
		start.Secret = oauth2.GenerateVerifier()
		query.Set("code_challenge", oauth2.S256ChallengeFromVerifier(start.Secret))
		query.Set("code_challenge_method", "S256")
	}
	start.URL = addQuery(c.Endpoint.AuthURL, query)
	return start, nil
}

// NeedsSecret tells whether the exchange takes the secret of the start.
func (p *Provider) NeedsSecret() bool { return p.needsPKCE || p.finish != nil }

// forward copies the parameters that a client may send to a provider, the first value of each.
func forward(parameters, query url.Values) {
	for name, values := range parameters {
		if name == "workos_provider" {
			query.Set("provider", values[0])
		} else if !reserved[strings.ToLower(name)] {
			query.Set(name, values[0])
		}
	}
}

// addQuery appends parameters to an address that may have some of its own.
func addQuery(address string, query url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + query.Encode()
}

// requestScopes are the provider's own scopes and those of a request.
func (p *Provider) requestScopes(more string) []string {
	if p.splitScopes != nil {
		return p.splitScopes(more)
	}
	all := append([]string{}, p.scopes...)
	if p.hasFixedScopes {
		return all
	}
	for scope := range strings.SplitSeq(more, ",") {
		if scope != "" {
			all = append(all, scope)
		}
	}
	return all
}

// ErrExchange, ErrProfile and ErrNobody tell which step of Identify failed.
var (
	ErrExchange = errors.New("the code could not be exchanged")
	ErrProfile  = errors.New("the profile could not be read")
	ErrNobody   = errors.New("the provider names neither a person nor an address")
)

// Identify exchanges what the browser brought back and asks who came. Errors wrap ErrExchange, ErrProfile or ErrNobody.
func (p *Provider) Identify(ctx context.Context, a Answer) (*Identity, error) {
	exchange := (*Provider).exchange
	if p.finish != nil {
		exchange = p.finish
	}
	v, err := exchange(p, ctx, a)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExchange, err)
	}
	identity, err := p.identify(ctx, v)
	if err == nil && identity.Subject == "" && len(identity.Emails) == 0 {
		return nil, ErrNobody
	}
	if err == nil {
		identity.Tokens = tokensOf(v.token)
		err = identity.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	return identity, nil
}

// check refuses what no account can be made of.
func (i *Identity) check() error {
	text, err := json.Marshal(i)
	switch {
	case err != nil:
		return err
	case i.Subject == "":
		return errors.New("nobody is named: sub is empty")
	case strings.ContainsRune(i.Subject, utf8.RuneError): // what several people's could have become
		return errors.New("sub is no text")
	case isDeeper(i.Data, maxDepth):
		return errors.New("the claims are too deep")
	case bytes.Contains(text, []byte(`\u0000`)):
		return errors.New("PostgreSQL cannot hold texts with NUL characters")
	}
	return nil
}

// maxDepth is how deep the claims of a person may be nested: PostgreSQL has a limit, too, and a server error for it.
const maxDepth = 100

// isDeeper tells whether a JSON value is nested deeper than that.
func isDeeper(value any, depth int) bool {
	inner := func(v any) bool { return depth == 0 || isDeeper(v, depth-1) }
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			if inner(member) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, inner)
	}
	return false
}

// exchange gets the tokens of a code (RFC 6749 section 4.1.3).
func (p *Provider) exchange(ctx context.Context, a Answer) (*visit, error) {
	c, err := p.config(ctx)
	if err != nil {
		return nil, err
	}
	var options []oauth2.AuthCodeOption
	if a.Secret != "" {
		options = append(options, oauth2.VerifierOption(a.Secret))
	}
	if p.tokenFields != nil {
		for name, value := range p.tokenFields(p) {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.http)
	token, err := c.Exchange(ctx, a.Code, options...)
	if err != nil {
		return nil, err
	}
	return &visit{Provider: p, token: token, answer: a, http: p.http}, nil
}
