package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// CustomPrefix begins the names of providers that are rows of auth.custom_oauth_providers instead of settings.
const CustomPrefix = "custom:"

// CustomRefusal is why a custom provider cannot be used.
type CustomRefusal string

// The reasons, as postern_internal.usable_custom_provider() names them.
const (
	CustomOff      CustomRefusal = "off"
	CustomNotFound CustomRefusal = "not_found"
	CustomDisabled CustomRefusal = "disabled"
)

// CustomError is a custom provider that cannot be used.
type CustomError struct {
	Identifier string
	Refusal    CustomRefusal
}

// Error is the reason for the message "Unsupported provider: <reason>" (spec/02 section 2).
func (e *CustomError) Error() string {
	switch e.Refusal {
	case CustomOff:
		return "custom OAuth providers are disabled"
	case CustomDisabled:
		return "custom provider " + e.Identifier + " is disabled"
	}
	return "custom provider " + e.Identifier + " not found"
}

// Custom is a row of auth.custom_oauth_providers as postern_internal.usable_custom_provider() gives it.
type Custom struct {
	Refusal             CustomRefusal  `json:"refusal"`
	ID                  string         `json:"id"`
	ProviderType        string         `json:"provider_type"` // oauth2 or oidc
	Identifier          string         `json:"identifier"`
	ClientID            string         `json:"client_id"`
	ClientSecret        string         `json:"client_secret"` // opened by the caller
	AcceptableClientIDs []string       `json:"acceptable_client_ids"`
	Scopes              []string       `json:"scopes"`
	HasPKCE             bool           `json:"pkce_enabled"`
	AttributeMapping    map[string]any `json:"attribute_mapping"`
	ClaimsAllowlist     []string       `json:"custom_claims_allowlist"`
	AuthorizationParams map[string]any `json:"authorization_params"`
	IsEmailOptional     bool           `json:"email_optional"`
	SkipsNonceCheck     bool           `json:"skip_nonce_check"`
	Issuer              string         `json:"issuer"`
	DiscoveryURL        string         `json:"discovery_url"`
	Document            *Document      `json:"cached_discovery"`
	DocumentReadAt      *time.Time     `json:"discovery_cached_at"`
	AuthorizationURL    string         `json:"authorization_url"`
	TokenURL            string         `json:"token_url"`
	UserinfoURL         string         `json:"userinfo_url"`
	UpdatedAt           string         `json:"updated_at"` // as it was written: it only tells versions apart
}

// IsOIDC tells which of the two types it is.
func (c *Custom) IsOIDC() bool { return c.ProviderType == "oidc" }

// Custom returns the provider of a row, on the engine of the built-in ones. redirectURL is where it sends people back.
// Every call to it is guarded: anybody who administers providers could name any address.
func (r *Registry) Custom(c *Custom, redirectURL string) *Provider {
	d := definition{
		authorize: endpoint{c.AuthorizationURL, ""}, token: endpoint{c.TokenURL, ""},
		needsPKCE: c.HasPKCE, parameters: ownParameters(c.AuthorizationParams), splitScopes: c.requestScopes, identify: customUserinfo,
	}
	if c.IsOIDC() {
		d.discovers, d.issuer, d.identify = true, c.Issuer, customOIDC
	}
	return &Provider{
		Name: c.Identifier, IsEmailOptional: c.IsEmailOptional, definition: d, registry: r, http: r.guarded, custom: c,
		clientIDs: append([]string{c.ClientID}, c.AcceptableClientIDs...), clientSecret: c.ClientSecret, redirectURL: redirectURL,
	}
}

// protocolParameters are those of the protocol, which no row may set (spec/08 section 5).
var protocolParameters = []string{
	"client_id", "client_secret", "redirect_uri", "response_type", "state", "code_challenge", "code_challenge_method",
	"code_verifier", "nonce",
}

// ownParameters are what a row adds to each visit, whoever wrote it.
func ownParameters(all map[string]any) map[string]string {
	texts := map[string]string{}
	for name, value := range all {
		if text, ok := value.(string); ok && !slices.Contains(protocolParameters, name) {
			texts[name] = text
		}
	}
	return texts
}

// requestScopes are those of a request in place of those of the row (spec/02 section 2).
func (c *Custom) requestScopes(requested string) []string {
	scopes := strings.Fields(requested)
	if len(scopes) == 0 {
		scopes = slices.Clone(c.Scopes)
	}
	if c.IsOIDC() && !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append([]string{oidc.ScopeOpenID}, scopes...)
	}
	return scopes
}

// documentURL is where the discovery document of an OIDC provider is.
func (c *Custom) documentURL() string {
	if c.DiscoveryURL != "" {
		return c.DiscoveryURL
	}
	return DocumentURL(c.Issuer)
}

// discoverCustom returns the issuer of a row. What is remembered belongs to this version of the row: another server may
// have changed it. A document in the row counts while it is fresh, unless it lacks the algorithms, as those do that the
// reference stored.
func (p *Provider) discoverCustom(ctx context.Context) (*issuer, error) {
	c, known := p.custom, p.registry.customs
	version := strings.Join([]string{c.ID, c.UpdatedAt, c.Issuer, c.documentURL()}, " ")
	if d := c.Document; d != nil && c.DocumentReadAt != nil && d.IssuerURL == c.Issuer && len(d.Algorithms) > 0 {
		known.offer(version, func() *issuer {
			return newIssuer(context.Background(), p.http, *d, *c.DocumentReadAt)
		})
	}
	return known.find(ctx, p.http, c.Issuer, c.documentURL(), version)
}

// discoveryTimeout is how long an administrator waits for a discovery document (spec/02 section 14).
const discoveryTimeout = 10 * time.Second

// CustomDocument reads the discovery document of a custom provider that is to be stored; discoveryURL "" is the usual
// address. Errors: *DiscoveryError.
func (r *Registry) CustomDocument(ctx context.Context, iss, discoveryURL string) (*Document, error) {
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	c := Custom{Issuer: iss, DiscoveryURL: discoveryURL}
	d, err := readWholeDocument(ctx, r.guarded, iss, c.documentURL())
	var incomplete *DiscoveryError
	if err != nil && !errors.As(err, &incomplete) {
		return nil, &DiscoveryError{`OIDC discovery from "` + c.documentURL() + `" failed: ` + err.Error(), err}
	}
	return d, err
}

// DiscoveryError says what is wrong with a discovery document, in the words of the wire.
type DiscoveryError struct {
	Message string
	cause   error
}

func (e *DiscoveryError) Error() string { return e.Message }

// Unwrap returns the reason, if there is one besides the words.
func (e *DiscoveryError) Unwrap() error { return e.cause }

func readWholeDocument(ctx context.Context, client *http.Client, iss, documentURL string) (*Document, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, documentURL, nil)
	if err != nil {
		return nil, err
	}
	var d Document
	if err := getJSON(client, req, &d); err != nil {
		return nil, err
	}
	var missing []string
	for _, field := range []struct{ name, value string }{
		{"issuer", d.IssuerURL}, {"authorization_endpoint", d.AuthURL}, {"token_endpoint", d.TokenURL}, {"jwks_uri", d.JWKSURL},
	} {
		if field.value == "" {
			missing = append(missing, field.name)
		}
	}
	switch {
	case len(missing) > 0:
		return nil, &DiscoveryError{"OIDC discovery document is missing required fields: " + strings.Join(missing, ", "), nil}
	case d.IssuerURL != iss:
		return nil, fmt.Errorf("oidc: issuer did not match the issuer returned by provider, expected %q got %q", iss, d.IssuerURL)
	}
	return &d, nil
}

// ReadCustom decodes what postern_internal.usable_custom_provider() says of a name. Errors: *CustomError.
func ReadCustom(identifier string, document []byte) (*Custom, error) {
	var c Custom
	if err := json.Unmarshal(document, &c); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", identifier, err)
	}
	if c.Refusal != "" {
		return nil, &CustomError{identifier, c.Refusal}
	}
	return &c, nil
}
