package api

import (
	"context"

	"github.com/postern-auth/postern/gen"
)

// Sessions over HTTP beyond POST /logout: users look at their own, and end them (docs/http-additions.md).

// endedSessions is the answer of requests that end sessions: how many did.
type endedSessions struct {
	Ended int32 `json:"ended"`
}

func endedReply(ended int32, err error) (reply, error) {
	if err != nil {
		return nil, err
	}
	return jsonReply(endedSessions{ended}, nil)
}

// listSessions lists the caller's sessions: GET /user/sessions.
func (s *Server) listSessions(ctx context.Context, r *request) (reply, error) {
	sessions, err := s.db.ListOwnSessions(ctx, gen.ListOwnSessionsParams{
		UserID: r.userID, SessionID: r.sessionID, Context: r.context(),
	})
	if err != nil {
		return nil, err
	}
	return document(sessions), nil
}

// endSession ends one of the caller's sessions: DELETE /user/sessions/{id}.
func (s *Server) endSession(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("session_id")
	if err != nil {
		return nil, err
	}
	return endedReply(s.db.EndOwnSession(ctx, gen.EndOwnSessionParams{
		UserID: r.userID, SessionID: r.sessionID, EndedID: id, Context: r.context(),
	}))
}

// endSessions ends all of the caller's sessions but this one, or those that the scope names: DELETE
// /user/sessions?scope=others|global|local.
func (s *Server) endSessions(ctx context.Context, r *request) (reply, error) {
	return endedReply(s.endOwnSessions(ctx, r, "others"))
}

// endOwnSessions ends the caller's sessions in the scope that the request names. A token without a session has no others:
// all of them end.
func (s *Server) endOwnSessions(ctx context.Context, r *request, defaultScope string) (ended int32, err error) {
	scope := r.query("scope")
	switch scope {
	case "":
		scope = defaultScope
	case "global", "local", "others":
	default:
		return 0, invalid(`Unsupported logout scope "` + scope + `"`)
	}
	if r.sessionID == nil {
		scope = "global"
	}
	return s.db.LogOut(ctx, gen.LogOutParams{
		UserID: r.userID, SessionID: r.sessionID, Scope: scope, Context: r.context(),
	})
}
