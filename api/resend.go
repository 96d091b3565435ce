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
	if err := s.checkResendAddress(&p); err != nil {
		return nil, err
	}
	if err := s.mailCheck.Check(ctx, p.Email); err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	messageID, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) (string, error) {
		return db.Resend(ctx, gen.ResendParams{
			Type: p.Type, Email: p.Email, Phone: p.Phone, CodeChallenge: p.CodeChallenge,
			CodeChallengeMethod: p.CodeChallengeMethod, Context: document,
		})
	})
	if err != nil {
		return nil, err
	}
	return sentReply(messageID)
}

// checkResendAddress checks the one of address and number that is given.
func (s *Server) checkResendAddress(p *resendParams) (err error) {
	if p.Phone != "" {
		p.Phone, err = s.phone(p.Phone, badRequest("phone_provider_disabled", "Phone logins are disabled"))
		return err
	}
	if !s.cfg.External.EmailEnabled {
		return badRequest("email_provider_disabled", "Email logins are disabled")
	}
	p.Email, err = input.Email(p.Email)
	return err
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
