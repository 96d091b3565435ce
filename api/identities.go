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
