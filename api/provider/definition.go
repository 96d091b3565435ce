package provider

import (
	"context"

	"golang.org/x/oauth2"

	"github.com/postern-auth/postern/api/config"
)

// definition is what a file of this package says about a provider (spec/02 section 13). A new provider is one such file,
// its line in definitions, and a recording in api/testdata/providers.
type definition struct {
	authorize, token endpoint
	api              endpoint // in front of the paths that visits read; also iss of what they find
	ownAPIPath       string   // of the API under a URL of one's own, where it is another
	needsURL         string   // what is missing without a URL of one's own; "" when there is a public host
	scopes           []string
	hasFixedScopes   bool             // those of a request are ignored
	authStyle        oauth2.AuthStyle // of the token request; by default Basic is tried first
	needsPKCE        bool             // towards the provider

	parameters        map[string]string // of every authorization request
	ignoresParameters bool              // those of a client's request
	tokenFields       func(p *Provider) map[string]string

	issuer    string                // of its ID tokens
	isIssuer  func(iss string) bool // where it has several
	discovers bool                  // starts with the issuer's discovery document, which has the endpoints not given above
	idToken   func(c rawClaims) (*Identity, error)
	audience  func(c config.OIDC) string // of its ID tokens, besides the client ids

	isOneIssuer  bool                        // a discovery document may name any of its issuers
	issuerIsBase bool                        // the issuer is the URL of one's own
	signs        func(base, iss string) bool // issuers of the tokens that clients bring, where these are others than isIssuer
	skipsNonce   bool                        // clients cannot give the provider a nonce of theirs

	identify func(ctx context.Context, v *visit) (*Identity, error)

	// Where the protocol is not OAuth 2, and where scopes do not add up.
	begin       func(p *Provider, ctx context.Context, state string) (Start, error)
	finish      func(p *Provider, ctx context.Context, a Answer) (*visit, error)
	splitScopes func(requested string) []string
}

// endpoint is an address at a provider. A URL of one's own takes the place of base.
type endpoint struct{ base, path string }

func (e endpoint) url(own string) string { return e.at(own, e.path) }

// at is another path at the same place.
func (e endpoint) at(own, path string) string {
	if own != "" {
		return own + path
	}
	return e.base + path
}

// apiURL is what the paths of the provider's API begin with.
func (p *Provider) apiURL() string {
	if p.base != "" && p.ownAPIPath != "" {
		return p.base + p.ownAPIPath
	}
	return p.api.url(p.base)
}

// definitions are the built-in providers by name.
func definitions() map[string]definition {
	return map[string]definition{
		"apple":              apple(),
		"azure":              azure(),
		"bitbucket":          bitbucket(),
		"discord":            discord(),
		"facebook":           facebook(),
		"figma":              figma(),
		"fly":                fly(),
		"github":             github(),
		"gitlab":             gitlab(),
		"google":             google(),
		"kakao":              kakao(),
		"keycloak":           keycloak(),
		"linkedin":           linkedin(),
		"linkedin_oidc":      linkedinOIDC(),
		"notion":             notion(),
		"slack":              slack(),
		"slack_oidc":         slackOIDC(),
		"snapchat":           snapchat(),
		"spotify":            spotify(),
		"twitch":             twitch(),
		"twitter":            twitter(),
		"vercel_marketplace": vercelMarketplace(),
		"workos":             workos(),
		"x":                  x(),
		"zoom":               zoom(),
	}
}
