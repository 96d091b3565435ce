package api

import (
	"context"
	"encoding/json"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// invite makes an account for an address and mails a link to it: POST /invite (spec/01 section 11).
func (s *Server) invite(ctx context.Context, r *request) (reply, error) {
	var p struct {
		Email string
		Data  json.RawMessage
	}
	if err := r.decode(&p); err != nil {
		return nil, err
	}
	data, err := object("data", p.Data)
	if err != nil {
		return nil, err
	}
	email, err := input.Email(p.Email)
	if err != nil {
		return nil, err
	}
	if err := s.mailCheck.Check(ctx, email); err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	account, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) ([]byte, error) {
		return db.Invite(ctx, gen.InviteParams{Email: email, Data: data, Context: document})
	})
	if err != nil {
		return nil, failed("Database error saving new user", err)
	}
	return document(account), nil
}
