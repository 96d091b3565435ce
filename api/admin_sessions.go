package api

import (
	"context"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/gen"
)

// adminListSessions lists the sessions of any user: GET /admin/users/{id}/sessions, as postern.list_sessions does.
func (s *Server) adminListSessions(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("user_id")
	if err != nil {
		return nil, err
	}
	sessions, err := s.db.AdminListSessions(ctx, id)
	if err != nil {
		return nil, err
	}
	return document(sessions), nil
}

// adminEndSession ends one session of a user: DELETE /admin/users/{id}/sessions/{id}.
func (s *Server) adminEndSession(ctx context.Context, r *request) (reply, error) {
	id, err := r.pathUUID("session_id")
	if err != nil {
		return nil, err
	}
	return endedReply(s.adminSignOut(ctx, r, &id))
}

// adminEndSessions ends all sessions of a user: DELETE /admin/users/{id}/sessions.
func (s *Server) adminEndSessions(ctx context.Context, r *request) (reply, error) {
	return endedReply(s.adminSignOut(ctx, r, nil))
}

// adminLogOut does the same, with the answer of POST /logout: POST /admin/users/{id}/logout.
func (s *Server) adminLogOut(ctx context.Context, r *request) (reply, error) {
	if _, err := s.adminSignOut(ctx, r, nil); err != nil {
		return nil, err
	}
	return noContent{}, nil
}

// adminSignOut ends all sessions of the user in the path, or one, and returns how many ended.
func (s *Server) adminSignOut(ctx context.Context, r *request, only *uuid.UUID) (ended int32, err error) {
	id, err := r.pathUUID("user_id")
	if err != nil {
		return 0, err
	}
	return s.db.AdminSignOut(ctx, gen.AdminSignOutParams{UserID: id, SessionID: only, Context: r.context()})
}
