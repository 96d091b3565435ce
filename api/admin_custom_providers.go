package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/postern-auth/postern/gen"
)

// customProviderParams is the body of POST and PUT, as the database gets it. Lists, objects and switches that are
// missing or null change nothing; an empty list does.
type customProviderParams struct {
	ProviderType        string                     `json:"provider_type,omitzero"`
	Identifier          string                     `json:"identifier,omitzero"`
	Name                string                     `json:"name,omitzero"`
	ClientID            string                     `json:"client_id,omitzero"`
	ClientSecret        string                     `json:"client_secret,omitzero"`
	AcceptableClientIDs []string                   `json:"acceptable_client_ids,omitzero"`
	Scopes              []string                   `json:"scopes,omitzero"`
	PKCEEnabled         *bool                      `json:"pkce_enabled,omitzero"`
	AttributeMapping    map[string]json.RawMessage `json:"attribute_mapping,omitzero"`
	ClaimsAllowlist     []string                   `json:"custom_claims_allowlist,omitzero"`
	AuthorizationParams map[string]json.RawMessage `json:"authorization_params,omitzero"`
	Enabled             *bool                      `json:"enabled,omitzero"`
	EmailOptional       *bool                      `json:"email_optional,omitzero"`
	SkipNonceCheck      *bool                      `json:"skip_nonce_check,omitzero"`
	Issuer              string                     `json:"issuer,omitzero"`
	DiscoveryURL        string                     `json:"discovery_url,omitzero"`
	AuthorizationURL    string                     `json:"authorization_url,omitzero"`
	TokenURL            string                     `json:"token_url,omitzero"`
	UserinfoURL         string                     `json:"userinfo_url,omitzero"`
	JWKSURI             string                     `json:"jwks_uri,omitzero"`
}

// customProviderBody reads the body; what is wrong with it counts after what the database checks first.
func customProviderBody(r *request) (document, refused json.RawMessage) {
	var p customProviderParams
	err := r.decode(&p)
	if err != nil {
		p = customProviderParams{}
	}
	document, _ = json.Marshal(p) // what was decoded: cannot fail
	return document, refusal(err)
}

// customIdentifier is the provider that a path names, as it is written there: custom%3Ax is another one than custom:x
// (spec/02 section 14).
func (r *request) customIdentifier() string {
	path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// adminListCustomProviders lists providers: GET /admin/custom-providers[?type=] (spec/08 section 5).
func (s *Server) adminListCustomProviders(ctx context.Context, r *request) (reply, error) {
	providers, err := s.db.ListCustomProviders(ctx, r.query("type"), r.context())
	if err != nil {
		return nil, err
	}
	return jsonReply(map[string]json.RawMessage{"providers": providers}, nil)
}

// adminCreateCustomProvider adds a provider: POST /admin/custom-providers. The database asks this server to look up the
// addresses, to read the discovery document and to encrypt the secret.
func (s *Server) adminCreateCustomProvider(ctx context.Context, r *request) (reply, error) {
	body, refused := customProviderBody(r)
	created, err := answeringCall(ctx, r, true, func(db *gen.Queries, c json.RawMessage) ([]byte, error) {
		return db.CreateCustomProvider(ctx, gen.CreateCustomProviderParams{Provider: body, Refusal: refused, Context: c})
	})
	if err != nil {
		return nil, err
	}
	return plainReply(func(w http.ResponseWriter) { writeJSON(w, http.StatusCreated, created) }), nil
}

// adminGetCustomProvider shows a provider: GET /admin/custom-providers/{identifier}.
func (s *Server) adminGetCustomProvider(ctx context.Context, r *request) (reply, error) {
	found, err := s.db.GetCustomProvider(ctx, r.customIdentifier(), r.context())
	if err != nil {
		return nil, err
	}
	return document(found), nil
}

// adminUpdateCustomProvider changes a provider: PUT /admin/custom-providers/{identifier}.
func (s *Server) adminUpdateCustomProvider(ctx context.Context, r *request) (reply, error) {
	body, refused := customProviderBody(r)
	updated, err := answeringCall(ctx, r, true, func(db *gen.Queries, c json.RawMessage) ([]byte, error) {
		return db.UpdateCustomProvider(ctx, gen.UpdateCustomProviderParams{
			Identifier: r.customIdentifier(), Changes: body, Refusal: refused, Context: c,
		})
	})
	if err != nil {
		return nil, err
	}
	return document(updated), nil
}

// adminDeleteCustomProvider removes a provider: DELETE /admin/custom-providers/{identifier}.
func (s *Server) adminDeleteCustomProvider(ctx context.Context, r *request) (reply, error) {
	if err := s.db.DeleteCustomProvider(ctx, r.customIdentifier(), r.context()); err != nil {
		return nil, err
	}
	return noContent{}, nil
}
