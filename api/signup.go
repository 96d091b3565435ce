package api

import (
	"context"
	"encoding/json"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/api/password"
	"github.com/postern-auth/postern/gen"
)

// signUpParams is the body of POST /signup.
type signUpParams struct {
	Email    string          `json:"email"`
	Phone    string          `json:"phone"`
	Password string          `json:"password"`
	Data     json.RawMessage `json:"data"`
	Channel  string          `json:"channel"`
	pkceParams
}

// pkceParams are the members of a body that begin a PKCE flow (RFC 7636).
type pkceParams struct {
	CodeChallenge       string `json:"code_challenge"`
	CodeChallengeMethod string `json:"code_challenge_method"`
}

// check refuses malformed parameters and puts the method into lower case.
func (p *pkceParams) check() (err error) {
	p.CodeChallengeMethod, err = input.PKCE(p.CodeChallenge, p.CodeChallengeMethod)
	return err
}

// object checks that a member is a JSON object, null or missing, and returns it, {} where there is none.
func object(name string, member json.RawMessage) (json.RawMessage, error) {
	if len(member) == 0 || string(member) == "null" {
		return json.RawMessage("{}"), nil
	}
	if member[0] != '{' {
		return nil, badJSON("json: " + name + " must be an object")
	}
	return member, nil
}

// signUp creates an account: POST /signup (spec/01 section 3).
func (s *Server) signUp(ctx context.Context, r *request) (reply, error) {
	var p signUpParams
	if err := r.decode(&p); err != nil {
		return nil, err
	}
	data, err := object("data", p.Data)
	if err != nil {
		return nil, err
	}
	if p.Email == "" && p.Phone == "" {
		return s.signUpAnonymously(ctx, r, data)
	}
	if err := s.checkSignUp(ctx, &p); err != nil {
		return nil, err
	}
	hash, err := s.passwords.Hash(ctx, p.Password)
	if err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	row, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) (gen.SignUpRow, error) {
		return db.SignUp(ctx, gen.SignUpParams{
			Email: p.Email, PasswordHash: hash, Data: data, CodeChallenge: p.CodeChallenge,
			CodeChallengeMethod: p.CodeChallengeMethod, Context: document,
		})
	})
	switch {
	case err != nil:
		return nil, failed("Database error saving new user", err)
	case row.Failure != nil:
		return nil, failure(row.Failure)
	case row.Issued != nil:
		return s.tokenReply(row.Issued, nil)
	}
	return document(row.Account), nil
}

// checkSignUp checks what the settings and the shape of the input decide, in the order of the spec.
func (s *Server) checkSignUp(ctx context.Context, p *signUpParams) (err error) {
	switch {
	case s.cfg.API.DisableSignup:
		return unprocessable("signup_disabled", "Signups not allowed for this instance")
	case p.Password == "":
		return invalid("Signup requires a valid password")
	}
	if err := password.Strength(s.cfg.Password, p.Password); err != nil {
		return err
	}
	switch {
	case p.Email != "" && p.Phone != "":
		return invalid("Only an email address or phone number should be provided on signup.")
	case p.Phone != "" && p.Channel != "" && p.Channel != "sms":
		return errChannel
	case p.Phone != "" && p.CodeChallenge != "":
		return invalid("PKCE not supported for phone signups")
	}
	if err := p.check(); err != nil {
		return err
	}
	if p.Phone != "" {
		return s.checkPhone(p.Phone, badRequest("phone_provider_disabled", "Phone signups are disabled"))
	}
	if !s.cfg.External.EmailEnabled {
		return badRequest("email_provider_disabled", "Email signups are disabled")
	}
	if p.Email, err = input.Email(p.Email); err != nil || s.cfg.Mailer.Autoconfirm {
		return err
	}
	return s.mailCheck.Check(ctx, p.Email)
}

var errChannel = invalid("Invalid channel, supported values are 'sms' or 'whatsapp'. 'whatsapp' is only supported if Twilio or Twilio Verify is used as the provider.")

// checkPhone is the end of every way by phone as long as no SMS can be sent: off is the error while it is off.
func (s *Server) checkPhone(number string, off *Error) error {
	if !s.cfg.External.PhoneEnabled {
		return off
	}
	if _, err := input.Phone(number); err != nil {
		return err
	}
	return errNoSMS
}

var errNoSMS = &Error{Status: 500, Code: codeUnexpected, Message: "Unable to get SMS provider"}

// signUpAnonymously creates an account without an address (spec/01 section 3.2).
func (s *Server) signUpAnonymously(ctx context.Context, r *request, data json.RawMessage) (reply, error) {
	switch {
	case !s.cfg.External.AnonymousUsersEnabled:
		return nil, unprocessable("anonymous_provider_disabled", "Anonymous sign-ins are disabled")
	case s.cfg.API.DisableSignup:
		return nil, unprocessable("signup_disabled", "Signups not allowed for this instance")
	}
	issued, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) ([]byte, error) {
		return db.SignUpAnonymously(ctx, data, document)
	})
	if err != nil {
		return nil, failed("Database error creating anonymous user", err)
	}
	return s.tokenReply(issued, nil)
}
