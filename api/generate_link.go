package api

import (
	"context"
	"encoding/json"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// linkParams is the body of POST /admin/generate_link, and what SQL gets of it.
type linkParams struct {
	Type       string          `json:"type"`
	Email      string          `json:"email"`
	NewEmail   string          `json:"new_email"`
	Password   string          `json:"password,omitempty"`
	Data       json.RawMessage `json:"data"`
	RedirectTo string          `json:"redirect_to"`
}

// generateLink makes a link that the administrator delivers: POST /admin/generate_link (spec/01 section 13).
func (s *Server) generateLink(ctx context.Context, r *request) (reply, error) {
	var p linkParams
	err := r.decode(&p)
	if err != nil {
		return nil, err
	}
	if p.Data, err = object("data", p.Data); err != nil {
		return nil, err
	}
	if p.Email, err = input.Email(p.Email); err != nil {
		return nil, err
	}
	if !s.redirects.Allowed(p.RedirectTo) {
		p.RedirectTo = r.redirectTarget()
	}
	var args gen.GenerateLinkParams
	refused := s.checkLink(ctx, &p)
	if p.Type == "signup" && refused == nil {
		hash, err := s.passwords.Hash(ctx, p.Password)
		if err != nil {
			return nil, err
		}
		args.PasswordHash = &hash
	}
	p.Password = ""
	args.Refusal = refusal(refused)
	args.Link, _ = json.Marshal(p) // texts and JSON that was decoded: cannot fail
	link, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) ([]byte, error) {
		args.Context = document
		return db.GenerateLink(ctx, args)
	})
	if err != nil {
		return nil, failed("Database error saving new user", err)
	}
	return document(link), nil
}

// checkLink checks what matters for some accounts only: the password of a new one, the new address of one that is there.
func (s *Server) checkLink(ctx context.Context, p *linkParams) (err error) {
	switch p.Type {
	case "signup":
		if p.Password == "" {
			return invalid("Signup requires a valid password")
		}
		return s.policy.Strength(ctx, p.Password)
	case "email_change_current", "email_change_new":
		p.NewEmail, err = input.Email(p.NewEmail)
	}
	return err
}
