package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/postern-auth/postern/api/config"
)

// IDTokenRequest is what a client says of an ID token that it got from a provider by itself (spec/02 section 12).
type IDTokenRequest struct {
	Token       string
	Provider    string // "" where the issuer is named
	Issuer      string
	ClientID    string // with an issuer for which no provider is configured
	Nonce       string // before it was hashed for the provider
	AccessToken string // that came with the token, "" for none
}

// Verifier checks the ID tokens of one issuer.
type Verifier struct {
	Provider        string // as identities name it: the issuer where no provider is configured for it
	IsEmailOptional bool

	issuer     *issuer
	audiences  []string
	skipsNonce bool
}

// SelectionError means that tokens of what a request names are not taken. Code and message are the wire's.
type SelectionError struct{ Code, Message string }

func (e *SelectionError) Error() string { return e.Code + ": " + e.Message }

// TokenError means that a token proves nothing. Code and Description are the wire's, the cause is for the log.
type TokenError struct {
	Code, Description string
	cause             error
}

func (e *TokenError) Error() string {
	if e.cause != nil {
		return e.Description + ": " + e.cause.Error()
	}
	return e.Description
}

// ErrDiscovery means that the discovery document of an issuer cannot be had, or is of another issuer.
var ErrDiscovery = errors.New("the issuer could not be discovered")

// idTokenProviders are the providers whose tokens clients may bring, in the order in which they are compared with a request.
var idTokenProviders = []string{
	"apple", "google", "azure", "facebook", "keycloak", "kakao", "vercel_marketplace", "snapchat",
}

// ForIDToken returns who checks the token of a request: the first provider that it names, by name or by issuer, or its issuer
// itself where the settings allow that one. What the token says of itself decides nothing but which issuer of that one provider
// it is. custom finds custom providers. Errors: SelectionError, ErrDiscovery, those of custom.
func (r *Registry) ForIDToken(ctx context.Context, q IDTokenRequest, custom FindCustom) (*Verifier, error) {
	all := definitions()
	for _, name := range idTokenProviders {
		d, c := all[name], r.settings[name]
		if q.Provider == name || d.answersTo(q.Issuer, c) {
			return r.verifierOf(ctx, name, d, c, q)
		}
	}
	if strings.HasPrefix(q.Provider, CustomPrefix) {
		return r.customVerifier(ctx, q.Provider, custom)
	}
	if q.Issuer == "" || !slices.Contains(r.oidc.AllowedIssuers, q.Issuer) {
		return nil, notTaken(`Custom OIDC provider "` + q.Provider + `" not allowed`)
	}
	v := &Verifier{Provider: q.Issuer}
	if ids := r.oidc.ClientIDs; len(ids) == 0 || slices.Contains(ids, q.ClientID) {
		v.audiences = []string{q.ClientID}
	}
	return r.discovered(ctx, v, q.Issuer)
}

// FindCustom returns the row of a custom provider. Errors: CustomError, and whatever else happens.
type FindCustom func(ctx context.Context, name string) (*Custom, error)

// customVerifier checks the tokens of a custom provider: its row decides on issuer and audiences. The discovery document is
// at the standard address, and the row's mapping of claims is not for these tokens (spec/02 section 12).
func (r *Registry) customVerifier(ctx context.Context, name string, find FindCustom) (*Verifier, error) {
	c, err := find(ctx, name)
	var unusable *CustomError
	switch {
	case errors.As(err, &unusable):
		return nil, unusable.selection(name)
	case err != nil:
		return nil, err
	case !c.IsOIDC():
		return nil, notTaken(`Provider "` + name + `" is not an OIDC provider`)
	case c.Issuer == "":
		return nil, notTaken(`OIDC provider "` + name + `" missing issuer`)
	}
	v := &Verifier{
		Provider: c.Identifier, IsEmailOptional: c.IsEmailOptional, skipsNonce: c.SkipsNonceCheck,
		audiences: append([]string{c.ClientID}, c.AcceptableClientIDs...),
	}
	return r.discoveredBy(ctx, r.customs, r.guarded, v, c.Issuer)
}

// selection is the error in the words of this grant.
func (e *CustomError) selection(name string) error {
	switch e.Refusal {
	case CustomOff:
		return notTaken("Custom OAuth providers are disabled")
	case CustomDisabled:
		return &SelectionError{"provider_disabled", `Custom provider "` + name + `" is disabled`}
	}
	return notTaken(`Custom provider "` + name + `" not found`)
}

// verifierOf checks the tokens of a built-in provider.
func (r *Registry) verifierOf(
	ctx context.Context, name string, d definition, c config.Provider, q IDTokenRequest,
) (*Verifier, error) {
	iss := d.issuer
	switch {
	case d.issuerIsBase:
		iss = baseOf(c)
	case d.isIssuer != nil:
		var err error
		if iss, err = d.issuerNamed(strings.ToUpper(name[:1])+name[1:], baseOf(c), q); err != nil {
			return nil, err
		}
	}
	if !c.Enabled {
		return nil, &SelectionError{"provider_disabled", `Provider (issuer "` + iss + `") is not enabled`}
	}
	v := &Verifier{
		Provider: name, IsEmailOptional: c.EmailOptional, audiences: r.audiences(d, c), skipsNonce: d.skipsNonce || c.SkipNonceCheck,
	}
	return r.discovered(ctx, v, iss)
}

// discovered adds the keys of an issuer that the operator's settings name.
func (r *Registry) discovered(ctx context.Context, v *Verifier, iss string) (*Verifier, error) {
	return r.discoveredBy(ctx, r.issuers, r.trusted, v, iss)
}

func (r *Registry) discoveredBy(
	ctx context.Context, known *issuers, client *http.Client, v *Verifier, iss string,
) (*Verifier, error) {
	var err error
	if v.issuer, err = known.find(ctx, client, iss, DocumentURL(iss), DocumentURL(iss)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDiscovery, err)
	}
	return v, nil
}

// answersTo tells whether a request that names this issuer means the provider.
func (d definition) answersTo(iss string, c config.Provider) bool {
	if d.issuerIsBase {
		return iss != "" && c.Enabled && iss == baseOf(c)
	}
	return d.hasIssuer(iss)
}

// issuerNamed is the issuer of a token where a provider has several: it is the token's word, but must be one of them.
func (d definition) issuerNamed(title, base string, q IDTokenRequest) (string, error) {
	isIssuer := d.isIssuer
	if d.signs != nil {
		isIssuer = func(iss string) bool { return d.signs(base, iss) }
	}
	named, err := IssuerOf(q.Token)
	switch {
	case err != nil || named == "":
		return "", notTaken("Unable to detect issuer in ID token for " + title + " provider")
	case !isIssuer(named):
		return "", notTaken("Detected ID token issuer is not an " + title + " ID token issuer")
	case q.Issuer != "" && q.Issuer != named:
		return "", notTaken("Provided issuer does not match ID token issuer")
	}
	return named, nil
}

func notTaken(message string) error { return &SelectionError{"validation_failed", message} }

// Verify checks the token of a request and returns whom it names. Errors: TokenError.
func (v *Verifier) Verify(ctx context.Context, q IDTokenRequest) (*Identity, error) {
	t, err := v.issuer.verify(ctx, q.Token)
	if err == nil && q.AccessToken != "" && t.AccessTokenHash != "" {
		err = t.VerifyAccessToken(q.AccessToken)
	}
	if err != nil {
		return nil, badToken(err)
	}
	switch {
	case t.claims.text("sub") == "":
		return nil, refusedToken("Missing sub claim in id_token")
	case !t.IsFor(v.audiences):
		return nil, refusedToken(fmt.Sprintf("Unacceptable audience in id_token: %v", t.Audience))
	}
	if err := v.checkNonce(q.Nonce, t.Nonce); err != nil {
		return nil, err
	}
	identity, err := t.Identity()
	if err == nil {
		err = identity.check()
	}
	if err != nil {
		return nil, badToken(err)
	}
	return identity, nil
}

// checkNonce compares the nonce of a request with that of its token, which is its hash.
func (v *Verifier) checkNonce(plain, hashed string) error {
	if v.skipsNonce {
		return nil
	}
	if (plain == "") != (hashed == "") {
		return refusedToken("Passed nonce and nonce in id_token should either both exist or not.")
	}
	if hash := sha256.Sum256([]byte(plain)); plain != "" && hex.EncodeToString(hash[:]) != hashed {
		return &TokenError{Code: "invalid nonce", Description: "Nonces mismatch"}
	}
	return nil
}

func refusedToken(description string) error {
	return &TokenError{Code: "invalid request", Description: description}
}

func badToken(cause error) error {
	return &TokenError{Code: "invalid request", Description: "Bad ID token", cause: cause}
}
