package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
)

// IDToken is one whose signature, issuer and times were checked (OpenID Connect Core 1.0 section 3.1.3.7).
type IDToken struct {
	*oidc.IDToken
	claims rawClaims
}

// verify checks an ID token of this very issuer. The algorithms are those of the discovery document, asymmetric ones only.
func (p *Provider) verify(ctx context.Context, iss, raw string) (*IDToken, error) {
	i, err := p.discover(ctx, iss)
	if err != nil {
		return nil, err
	}
	return i.verify(ctx, raw)
}

// verify checks signature, issuer and times. The issuer's keys are kept, and read again for a token of another key.
func (i *issuer) verify(ctx context.Context, raw string) (*IDToken, error) {
	if strings.Contains(raw, "{") {
		return nil, errors.New("the ID token is not in the compact form") // the only one that RFC 7519 knows
	}
	token, err := i.provider.Verifier(&oidc.Config{SkipClientIDCheck: true}).Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	token.Issuer = i.document.IssuerURL // Google's may be without the scheme
	t := &IDToken{IDToken: token}
	if err := token.Claims(&t.claims); err != nil {
		return nil, err
	}
	return t, nil
}

// IsFor tells whether one of the client ids is an audience of the token.
func (t *IDToken) IsFor(clientIDs []string) bool {
	return slices.ContainsFunc(clientIDs, func(id string) bool { return id != "" && slices.Contains(t.Audience, id) })
}

// Identity reads who the token is about, in the way of its issuer (spec/02 section 12).
func (t *IDToken) Identity() (*Identity, error) {
	for _, d := range definitions() {
		if d.idToken != nil && d.hasIssuer(t.Issuer) {
			return d.idToken(t.claims)
		}
	}
	return standardIdentity(t.claims)
}

func (d definition) hasIssuer(iss string) bool {
	return iss != "" && iss == d.issuer || d.isIssuer != nil && d.isIssuer(iss)
}

// errNoIDToken means that a provider gave none.
var errNoIDToken = errors.New("the provider gave no ID token")

// fromIDToken identifies by the ID token that came with the access token.
func fromIDToken(ctx context.Context, v *visit) (*Identity, error) {
	return fromTokenOf(ctx, v, v.issuer, v.isIssuer)
}

// fromIDTokenIfAny is fromIDToken for those without whose token nobody has come.
func fromIDTokenIfAny(ctx context.Context, v *visit) (*Identity, error) {
	identity, err := fromIDToken(ctx, v)
	if errors.Is(err, errNoIDToken) {
		return nil, ErrNobody
	}
	return identity, err
}

// fromTokenOf identifies by the ID token of this issuer, or with isIssuer by that of any it accepts.
func fromTokenOf(ctx context.Context, v *visit, iss string, isIssuer func(iss string) bool) (*Identity, error) {
	raw, _ := v.token.Extra("id_token").(string)
	if raw == "" {
		return nil, errNoIDToken
	}
	if isIssuer != nil {
		named, err := IssuerOf(raw)
		if err != nil {
			return nil, err
		}
		if !isIssuer(named) {
			return nil, fmt.Errorf("the ID token is of a foreign issuer: %q", named)
		}
		iss = named
	}
	t, err := v.verify(ctx, iss, raw)
	if err != nil {
		return nil, err
	}
	if !t.IsFor(v.clientIDs) {
		return nil, fmt.Errorf("the ID token is for somebody else: %q", t.Audience)
	}
	if t.AccessTokenHash != "" {
		if err := t.VerifyAccessToken(v.token.AccessToken); err != nil {
			return nil, err
		}
	}
	return t.Identity()
}

// IssuerOf is the issuer that a token names, before anything about it was checked.
func IssuerOf(raw string) (string, error) {
	var c jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(raw, &c); err != nil {
		return "", err
	}
	return c.Issuer, nil
}
