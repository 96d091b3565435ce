package api

import (
	"context"
	"net/http"
	"strings"
)

// Features that this server does not have yet answer as the reference does where they are switched off, so that clients
// can tell: routes with a guard check the token first (spec/03, spec/04, spec/08).
var (
	errNoSAML    = &Error{Status: http.StatusNotFound, Code: "saml_provider_disabled", Message: "SAML 2.0 is disabled"}
	errNoOAuth   = &Error{Status: http.StatusNotFound, Code: "feature_disabled", Message: "OAuth server is disabled"}
	errNoPasskey = &Error{Status: http.StatusNotFound, Code: "passkey_disabled", Message: "Passkeys are disabled"}
	errNoWeb3    = unprocessable("web3_provider_disabled", "Web3 provider is disabled")
)

func disabled(e *Error) handler {
	return func(context.Context, *request) (reply, error) { return nil, e }
}

func (s *Server) disabledRoutes() []route {
	return []route{
		{"POST", "/sso", nil, s.limited(by(limitSSO), s.human(nil, disabled(errNoSAML)))},
		{"POST", "/sso/", nil, s.limited(by(limitSSO), s.human(nil, disabled(errNoSAML)))},
		{"GET", "/sso/saml/metadata", nil, disabled(errNoSAML)},
		{"POST", "/sso/saml/acs", nil, s.limited(by(limitSAML), disabled(errNoSAML))},

		{"POST", "/oauth/clients/register", nil, s.limited(by(limitOAuthRegister), disabled(errNoOAuth))},
		{"GET", "/oauth/authorize", nil, disabled(errNoOAuth)},
		{"GET", "/oauth/authorizations/:authorization_id", nil, disabled(errNoOAuth)},
		{"POST", "/oauth/authorizations/:authorization_id/consent", nil, disabled(errNoOAuth)},
		{"POST", "/oauth/token", nil, disabled(errNoOAuth)},
		{"GET", "/oauth/userinfo", nil, disabled(errNoOAuth)},
		{"GET", "/user/oauth/grants", signedIn, disabled(errNoOAuth)},
		{"DELETE", "/user/oauth/grants", signedIn, disabled(errNoOAuth)},
		{"GET", "/admin/oauth/clients", admin, disabled(errNoOAuth)},
		{"POST", "/admin/oauth/clients", admin, disabled(errNoOAuth)},

		{"POST", "/passkeys/authentication/options", nil, s.limited(by(limitPasskey), s.human(nil, disabled(errNoPasskey)))},
		{"POST", "/passkeys/authentication/verify", nil, disabled(errNoPasskey)},
		{"POST", "/passkeys/registration/options", signedIn, disabled(errNoPasskey)},
		{"POST", "/passkeys/registration/verify", signedIn, disabled(errNoPasskey)},
		{"GET", "/passkeys", signedIn, disabled(errNoPasskey)},
		{"GET", "/passkeys/", signedIn, disabled(errNoPasskey)},
	}
}

// discovery describes the server to OpenID Connect clients: GET /.well-known/openid-configuration, and the same as
// /.well-known/oauth-authorization-server (RFC 8414, spec/08 section 1.1).
func (s *Server) discovery(context.Context, *request) (reply, error) {
	base := strings.TrimRight(s.cfg.JWT.Issuer, "/")
	return jsonReply(map[string]any{
		"issuer":                                s.cfg.JWT.Issuer,
		"authorization_endpoint":                base + "/oauth/authorize",
		"token_endpoint":                        base + "/oauth/token",
		"jwks_uri":                              base + "/.well-known/jwks.json",
		"userinfo_endpoint":                     base + "/oauth/userinfo",
		"scopes_supported":                      []string{"openid", "profile", "email", "phone", "offline_access"},
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "ES256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "none"},
		"claims_supported": []string{
			"sub", "aud", "iss", "exp", "iat", "auth_time", "nonce", "email", "email_verified", "phone_number",
			"phone_number_verified", "name", "picture", "preferred_username", "updated_at",
		},
		"code_challenge_methods_supported": []string{"S256", "plain"},
	}, cacheable)
}

// cacheable is what documents about keys and endpoints say of themselves.
var cacheable = http.Header{"Cache-Control": {"public, max-age=600"}}
