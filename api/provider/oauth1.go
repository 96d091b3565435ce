package provider

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"

	"github.com/dghubble/oauth1"
	"golang.org/x/oauth2"
)

// ErrRequestToken means that a provider gave no request token, so that the browser can go nowhere.
var ErrRequestToken = errors.New("the provider gave no request token")

// IsOAuth1 tells whether the provider speaks OAuth 1.0a (RFC 5849).
func (p *Provider) IsOAuth1() bool { return p.finish != nil }

// beginOAuth1 gets a request token; its secret stays here (RFC 5849 section 2.1). The state travels in the callback URL.
func beginOAuth1(requestTokenPath string) func(*Provider, context.Context, string) (Start, error) {
	return func(p *Provider, _ context.Context, state string) (Start, error) {
		c := p.oauth1()
		c.CallbackURL = addQuery(p.redirectURL, url.Values{"state": {state}})
		c.Endpoint.RequestTokenURL = p.token.at(p.base, requestTokenPath)
		token, secret, err := c.RequestToken()
		if err != nil {
			return Start{}, fmt.Errorf("%w: %w", ErrRequestToken, err)
		}
		return Start{
			URL:    addQuery(p.authorize.url(p.base), url.Values{"oauth_token": {token}}),
			Secret: url.Values{"oauth_token": {token}, "oauth_token_secret": {secret}}.Encode(),
		}, nil
	}
}

// finishOAuth1 exchanges the request token that this flow began with (RFC 5849 section 2.3).
func finishOAuth1(p *Provider, ctx context.Context, a Answer) (*visit, error) {
	kept, err := url.ParseQuery(a.Secret)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(kept.Get("oauth_token")), []byte(a.Code)) != 1 {
		return nil, errors.New("the request token is another flow's")
	}
	c := p.oauth1()
	token, secret, err := c.AccessToken(a.Code, kept.Get("oauth_token_secret"), a.Verifier)
	if err != nil {
		return nil, err
	}
	signing := *c.HTTPClient
	signing.Transport = oauth1.NewClient(
		context.WithValue(ctx, oauth1.HTTPClient, c.HTTPClient), c, oauth1.NewToken(token, secret)).Transport
	return &visit{Provider: p, token: &oauth2.Token{AccessToken: token}, answer: a, http: &signing}, nil
}

// oauth1 is the provider as the library knows it.
func (p *Provider) oauth1() *oauth1.Config {
	c := oauth1.NewConfig(p.clientIDs[0], p.clientSecret)
	c.Endpoint.AccessTokenURL, c.HTTPClient = p.token.url(p.base), p.http
	return c
}
