package api

import (
	"context"
	"encoding/json"

	"github.com/postern-auth/postern/api/input"
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

// signUpLimit is the limit of a sign-up. Anonymous ones have their own, where they are allowed at all.
func signUpLimit(r *request) string {
	var p signUpParams
	switch {
	case r.decode(&p) != nil:
		return ""
	case p.Email != "" || p.Phone != "":
		return limitSignUp
	case r.server.cfg.External.AnonymousUsersEnabled:
		return limitAnonymous
	}
	return ""
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
	return s.signedUp(call(ctx, r, func(db *gen.Queries, document json.RawMessage) (gen.SignUpRow, error) {
		if p.Phone != "" {
			row, err := db.SignUpByPhone(ctx, gen.SignUpByPhoneParams{
				Phone: p.Phone, PasswordHash: hash, Data: data, Channel: p.Channel, Context: document,
			})
			return gen.SignUpRow(row), err
		}
		return db.SignUp(ctx, gen.SignUpParams{
			Email: p.Email, PasswordHash: hash, Data: data, CodeChallenge: p.CodeChallenge,
			CodeChallengeMethod: p.CodeChallengeMethod, Context: document,
		})
	}))
}

// signedUp answers a sign-up: with a session, an account that waits for its confirmation, or a refusal.
func (s *Server) signedUp(row gen.SignUpRow, err error) (reply, error) {
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
	if err := s.policy.Strength(ctx, p.Password); err != nil {
		return err
	}
	if p.Phone != "" {
		return s.checkPhoneSignUp(p)
	}
	if err := p.check(); err != nil {
		return err
	}
	if !s.cfg.External.EmailEnabled {
		return badRequest("email_provider_disabled", "Email signups are disabled")
	}
	if p.Email, err = input.Email(p.Email); err != nil || s.cfg.Mailer.Autoconfirm {
		return err
	}
	return s.mailCheck.Check(ctx, p.Email)
}

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
