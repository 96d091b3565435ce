package api

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// resendParams is the body of POST /resend.
type resendParams struct {
	Type, Email, Phone string
	pkceParams
}

// resend sends a pending confirmation again: POST /resend (spec/01 section 9.5).
func (s *Server) resend(ctx context.Context, r *request) (reply, error) {
	var p resendParams
	if err := r.decode(&p); err != nil {
		return nil, err
	}
	if err := p.checkShape(); err != nil {
		return nil, err
	}
	if p.Phone != "" {
		return nil, s.checkPhone(p.Phone, badRequest("phone_provider_disabled", "Phone logins are disabled"))
	}
	if !s.cfg.External.EmailEnabled {
		return nil, badRequest("email_provider_disabled", "Email logins are disabled")
	}
	email, err := input.Email(p.Email)
	if err != nil {
		return nil, err
	}
	if err := s.mailCheck.Check(ctx, email); err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	if err := callExec(ctx, r, func(db *gen.Queries, document json.RawMessage) error {
		return db.Resend(ctx, gen.ResendParams{
			Type: p.Type, Email: email, CodeChallenge: p.CodeChallenge, CodeChallengeMethod: p.CodeChallengeMethod,
			Context: document,
		})
	}); err != nil {
		return nil, err
	}
	return emptyObject, nil
}

func (p *resendParams) checkShape() error {
	if !slices.Contains([]string{"signup", "email_change", "sms", "phone_change"}, p.Type) {
		return invalid("Missing one of these types: signup, email_change, sms, phone_change")
	}
	if p.Type == "signup" || p.Type == "email_change" {
		if err := p.check(); err != nil {
			return err
		}
	}
	switch {
	case p.Type == "signup" && p.Email == "":
		return invalid("Type provided requires an email address")
	case p.Type == "sms" && p.Phone == "":
		return invalid("Type provided requires a phone number")
	case p.Email != "" && p.Phone != "":
		return invalid("Only an email address or phone number should be provided.")
	case p.Email == "" && p.Phone == "":
		return invalid("Missing email address or phone number")
	}
	return nil
}
