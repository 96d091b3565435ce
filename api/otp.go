package api

import (
	"context"
	"encoding/json"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// otpParams is the body of POST /otp and of POST /magiclink.
type otpParams struct {
	Email      string          `json:"email"`
	Phone      string          `json:"phone"`
	CreateUser *bool           `json:"create_user"`
	Data       json.RawMessage `json:"data"`
	Channel    string          `json:"channel"`
	pkceParams
}

// otp sends a code or a link for signing in: POST /otp (spec/01 section 9.1).
func (s *Server) otp(ctx context.Context, r *request) (reply, error) {
	var p otpParams
	if err := p.decode(r); err != nil {
		return nil, err
	}
	switch {
	case p.Email != "" && p.Phone != "":
		return nil, invalid("Only an email address or phone number should be provided")
	case p.Email != "" && p.Channel != "":
		return nil, invalid("Channel should only be specified with Phone OTP")
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	mayCreate := p.CreateUser == nil || *p.CreateUser
	if !mayCreate && p.isIllFormed() {
		return nil, unprocessable("otp_disabled", "Signups not allowed for otp")
	}
	switch {
	case p.Email != "":
		if err := s.checkMagicLink(); err != nil {
			return nil, err
		}
		return s.sendMagicLink(ctx, r, &p, mayCreate)
	case p.Phone != "":
		return s.sendSMSCode(ctx, r, &p, mayCreate)
	}
	return nil, invalid("One of email or phone must be set")
}

// decode reads the body, data as a JSON object.
func (p *otpParams) decode(r *request) error {
	err := r.decode(p)
	if err == nil {
		p.Data, err = object("data", p.Data)
	}
	return err
}

// isIllFormed tells whether the address or number cannot be anybody's.
func (p *otpParams) isIllFormed() bool {
	if p.Email != "" {
		_, err := input.Email(p.Email)
		return err != nil
	}
	_, err := input.Phone(p.Phone)
	return p.Phone != "" && err != nil
}

// sendSMSCode is POST /otp with a phone number (spec/01 section 9.3). It takes no part in PKCE.
func (s *Server) sendSMSCode(ctx context.Context, r *request, p *otpParams, mayCreate bool) (reply, error) {
	phone, err := s.phone(p.Phone, badRequest("phone_provider_disabled", "Unsupported phone provider"))
	if err != nil {
		return nil, err
	}
	channel, err := s.channel(p.Channel)
	if err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	messageID, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) (string, error) {
		return db.SendSmsCode(ctx, gen.SendSmsCodeParams{
			Phone: phone, CreateUser: mayCreate, Data: p.Data, Channel: channel, Context: document,
		})
	})
	if err != nil {
		return nil, failed("Database error saving new user", err)
	}
	return sentReply(messageID)
}

// magicLink sends a link for signing in: POST /magiclink (spec/01 section 9.2).
func (s *Server) magicLink(ctx context.Context, r *request) (reply, error) {
	if err := s.checkMagicLink(); err != nil {
		return nil, err
	}
	var p otpParams
	if err := p.decode(r); err != nil {
		return nil, legacyJSONError(err)
	}
	if p.Email == "" {
		return nil, unprocessable(codeValidationFailed, "Password recovery requires an email")
	}
	return s.sendMagicLink(ctx, r, &p, true)
}

// legacyJSONError is how the oldest endpoint words what r.decode refuses, whatever the reason.
func legacyJSONError(err error) error {
	e := toWire(err)
	if e.Code == codeValidationFailed {
		return err
	}
	return badRequest("bad_json", "Could not read verification params: "+e.Message)
}

func (s *Server) checkMagicLink() error {
	switch {
	case !s.cfg.External.EmailEnabled:
		return unprocessable("email_provider_disabled", "Email logins are disabled")
	case !s.cfg.External.MagicLinkEnabled:
		return unprocessable("email_provider_disabled", "Login with magic link is disabled")
	}
	return nil
}

func (s *Server) sendMagicLink(ctx context.Context, r *request, p *otpParams, mayCreate bool) (reply, error) {
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
		return db.SendMagicLink(ctx, gen.SendMagicLinkParams{
			Email: email, CreateUser: mayCreate, Data: p.Data, CodeChallenge: p.CodeChallenge,
			CodeChallengeMethod: p.CodeChallengeMethod, Context: document,
		})
	}); err != nil {
		return nil, failed("Database error saving new user", err)
	}
	return emptyObject, nil
}
