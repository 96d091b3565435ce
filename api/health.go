package api

import (
	"context"
	"net/http"

	"github.com/postern-auth/postern/sql"
)

// health says that the process answers: GET /health (spec/01 section 2). The database is not asked.
func (s *Server) health(context.Context, *request) (reply, error) {
	return jsonReply(map[string]string{
		"version":     Version,
		"name":        "Postern",
		"description": "Postern is an auth server whose logic lives in PostgreSQL",
	}, nil)
}

// Version is stamped by the linker.
var Version = "dev"

// healthLive says the same without a body of its own: GET /health/live.
func (s *Server) healthLive(context.Context, *request) (reply, error) {
	return document(`{"status":"ok"}`), nil
}

// healthReady says whether requests can be answered: the database is there and as new as this server needs it.
// GET /health/ready: 200, or 503 with the reason.
func (s *Server) healthReady(ctx context.Context, _ *request) (reply, error) {
	if err := sql.Ready(ctx, s.pool); err != nil {
		return nil, &Error{
			Status: http.StatusServiceUnavailable, Code: "not_ready", Message: "The database is not ready", cause: err,
			Header: http.Header{"Retry-After": {"1"}},
		}
	}
	return document(`{"status":"ok"}`), nil
}

// getSettings tells clients what is switched on: GET /settings (spec/01 section 2).
func (s *Server) getSettings(context.Context, *request) (reply, error) {
	external := map[string]bool{
		"email":           s.cfg.External.EmailEnabled,
		"phone":           s.cfg.External.PhoneEnabled,
		"anonymous_users": s.cfg.External.AnonymousUsersEnabled,
	}
	for name, p := range s.cfg.Providers {
		if name != "x" && name != "vercel_marketplace" {
			external[name] = p.Enabled
		}
	}
	return jsonReply(map[string]any{
		"external":           external,
		"disable_signup":     s.cfg.API.DisableSignup,
		"mailer_autoconfirm": s.cfg.Mailer.Autoconfirm,
		"phone_autoconfirm":  s.cfg.SMS.Autoconfirm,
		"sms_provider":       s.cfg.SMS.Provider,
		"saml_enabled":       s.cfg.SAML.Enabled,
		// the reference says true while SAML is off
		"saml_private_key_next_configured": !s.cfg.SAML.Enabled,
		"passkeys_enabled":                 s.cfg.Passkey.Enabled,
	}, nil)
}

// jwks publishes the public keys: GET /.well-known/jwks.json (RFC 7517).
func (s *Server) jwks(context.Context, *request) (reply, error) {
	return withHeader{cacheable, document(s.keys.JWKS())}, nil
}
