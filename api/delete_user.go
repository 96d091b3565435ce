package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/gen"
)

// deletionRoutes are there where POSTERN_USER_DELETION is on; elsewhere DELETE is a method that /user does not have.
func (s *Server) deletionRoutes() []route {
	if !s.cfg.Deletion.IsOn() {
		return nil
	}
	return []route{
		{"DELETE", "/user", signedIn, s.limited(by(limitUser), s.deleteUser)},
		{"DELETE", "/user/", signedIn, s.limited(by(limitUser), s.deleteUser)},
	}
}

// deleteUser deletes the caller's account: DELETE /user (docs/http-additions.md). The body is optional: {"nonce"}, the code
// of GET /reauthenticate.
func (s *Server) deleteUser(ctx context.Context, r *request) (reply, error) {
	var p struct {
		Nonce string `json:"nonce"`
	}
	body, err := r.readBody()
	if err == nil && len(body) > 0 {
		err = r.decode(&p)
	}
	if err != nil {
		return nil, err
	}
	refused, err := phoneCall(ctx, r, func(db *gen.Queries, document json.RawMessage) ([]byte, error) {
		return db.DeleteOwnUser(ctx, gen.DeleteOwnUserParams{
			UserID: r.userID, SessionID: r.sessionID, Nonce: p.Nonce, IsSoft: s.cfg.Deletion.IsSoft(),
			ProofWithin: s.cfg.Deletion.ProofWithin.Seconds(), Context: document,
		})
	})
	if err == nil {
		err = failure(refused)
	}
	if err != nil {
		return nil, failed("Database error deleting user", s.explainHold(ctx, r, err))
	}
	return emptyObject, nil
}

// explainHold turns the violation of a foreign key, by which a row of the application holds on to the user, into a refusal
// that names no table. The log names it.
func (s *Server) explainHold(ctx context.Context, r *request, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "23503" && pg.Code != "23001" {
		return err
	}
	s.log.LogAttrs(ctx, slog.LevelError, "a foreign key keeps a user from deleting the account: see postern.delete_user_plan",
		slog.String("user_id", r.userID.String()), slog.String("request_id", r.id), s.describeDatabaseError(ctx, pg))
	return &Error{
		Status: http.StatusConflict, Code: "user_not_deletable",
		Message: "The account cannot be deleted while other data refers to it",
	}
}
