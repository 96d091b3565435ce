package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/api/token"
	"github.com/postern-auth/postern/gen"
)

// guard decides whether a request may reach its handler.
type guard func(s *Server, ctx context.Context, r *request) error

// authenticated reads and verifies the bearer token (spec/00 section 8).
func authenticated(s *Server, _ context.Context, r *request) error {
	bearer, ok := token.Bearer(r.Header.Get("Authorization"))
	if !ok {
		return &Error{
			Status: http.StatusUnauthorized, Code: "no_authorization", Message: "This endpoint requires a valid Bearer token",
		}
	}
	claims, err := s.keys.Verify(bearer)
	if err != nil {
		return forbidden(codeBadJWT, err.Error())
	}
	r.claims = claims
	return nil
}

// signedIn wants a user's token. That user and session exist and no ban stands is checked by the function the
// handler calls, in the same round trip.
func signedIn(s *Server, ctx context.Context, r *request) error {
	if err := authenticated(s, ctx, r); err != nil {
		return err
	}
	return r.identify()
}

// identify reads user and session ids out of the claims.
func (r *request) identify() error {
	if r.claims.Subject == "" {
		return forbidden(codeBadJWT, "invalid claim: missing sub claim")
	}
	var err error
	if r.userID, err = uuid.Parse(r.claims.Subject); err != nil {
		return badRequest(codeBadJWT, "invalid claim: sub claim must be a UUID")
	}
	if r.claims.SessionID == "" || r.claims.SessionID == uuid.Nil.String() {
		return nil
	}
	id, err := uuid.Parse(r.claims.SessionID)
	if err != nil {
		return forbidden(codeBadJWT, "invalid claim: session_id claim must be a UUID")
	}
	r.sessionID = &id
	return nil
}

// admin wants a token with an administrator's role. One that names a session, a user's, costs a second round trip:
// the session is checked first.
func admin(s *Server, ctx context.Context, r *request) error {
	if err := authenticated(s, ctx, r); err != nil {
		return err
	}
	if r.claims.SessionID != "" && r.claims.SessionID != uuid.Nil.String() {
		if err := r.identify(); err != nil {
			return err
		}
		if err := s.db.CheckAdminSession(ctx, gen.CheckAdminSessionParams{
			UserID: r.userID, SessionID: *r.sessionID, Context: r.context(),
		}); err != nil {
			return err
		}
	}
	if !slices.Contains(s.cfg.JWT.AdminRoles, r.claims.Role) {
		return forbidden("not_admin", "User not allowed")
	}
	r.actor = r.claims.Role
	return nil
}
