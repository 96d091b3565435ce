package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/postern-auth/postern/gen"
)

// linking wants a user's token, and manual linking to be on (spec/02 section 8).
func linking(s *Server, ctx context.Context, r *request) error {
	if err := signedIn(s, ctx, r); err != nil {
		return err
	}
	if !s.cfg.Security.ManualLinking {
		return &Error{Status: http.StatusNotFound, Code: "manual_linking_disabled", Message: "Manual linking is disabled"}
	}
	return nil
}

// linkIdentity sends a signed-in user to a provider, to add an identity: GET /user/identities/authorize. The callback
// does the rest.
func (s *Server) linkIdentity(ctx context.Context, r *request) (reply, error) {
	p, err := s.provider(r.query("provider"), r.query("scopes"))
	if err != nil {
		return nil, invalid(err.Error())
	}
	pkce := pkceParams{r.query("code_challenge"), r.query("code_challenge_method")}
	if err := pkce.check(); err != nil {
		return nil, err
	}
	state, err := s.db.BeginLinking(ctx, gen.BeginLinkingParams{
		UserID: r.userID, SessionID: r.sessionID, Provider: p.Name, CodeChallenge: pkce.CodeChallenge,
		CodeChallengeMethod: pkce.CodeChallengeMethod, IsEmailOptional: p.IsEmailOptional, Context: r.context(),
	})
	if err != nil {
		return nil, err
	}
	target := p.AuthorizeURL(state.String(), r.URL.Query())
	if r.query("skip_http_redirect") == "true" {
		return jsonReply(map[string]string{"url": target}, nil)
	}
	return found(target), nil
}

// unlinkIdentity removes an identity of the caller: DELETE /user/identities/{id} (spec/02 section 10).
func (s *Server) unlinkIdentity(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("identity_id")
	if err != nil {
		return nil, err
	}
	if r.claims.Audience != r.audience() {
		return nil, forbidden("unexpected_audience", "Token audience doesn't match request audience")
	}
	defer s.outbox.Wake()
	if err := callExec(ctx, r, func(db *gen.Queries, document json.RawMessage) error {
		return db.UnlinkIdentity(ctx, gen.UnlinkIdentityParams{
			UserID: r.userID, SessionID: r.sessionID, IdentityID: id, Context: document,
		})
	}); err != nil {
		return nil, failed("Database error deleting identity", err)
	}
	return emptyObject, nil
}
