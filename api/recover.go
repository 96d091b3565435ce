package api

import (
	"context"
	"encoding/json"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// recover mails a link for a new password: POST /recover (spec/01 section 9.4).
func (s *Server) recover(ctx context.Context, r *request) (reply, error) {
	if !s.cfg.External.EmailEnabled {
		return nil, badRequest("email_provider_disabled", "Email logins are disabled")
	}
	var p struct {
		Email string
		pkceParams
	}
	if err := r.decode(&p); err != nil {
		return nil, err
	}
	if p.Email == "" {
		return nil, invalid("Password recovery requires an email")
	}
	email, err := input.Email(p.Email)
	if err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := s.mailCheck.Check(ctx, email); err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	if err := callExec(ctx, r, func(db *gen.Queries, document json.RawMessage) error {
		return db.Recover(ctx, gen.RecoverParams{
			Email: email, CodeChallenge: p.CodeChallenge, CodeChallengeMethod: p.CodeChallengeMethod, Context: document,
		})
	}); err != nil {
		return nil, err
	}
	return emptyObject, nil
}
