package api

import (
	"context"
	"encoding/json"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// verifyParams is the body of POST /verify.
type verifyParams struct {
	Type, Token, Email, Phone string
	TokenHash                 string `json:"token_hash"`
	RedirectTo                string `json:"redirect_to"`
}

const halfDoneMessage = "Confirmation link accepted. Please proceed to confirm link sent to the other email"

// verify redeems a code or the hash of a link: POST /verify (spec/01 section 10); link.go has the way in a browser.
func (s *Server) verify(ctx context.Context, r *request) (reply, error) {
	var p verifyParams
	if err := r.decode(&p); err != nil {
		return nil, err
	}
	if err := p.checkShape(); err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	if p.isPhoneCode() {
		return s.verifyPhone(ctx, r, &p)
	}
	args := gen.VerifyOtpParams{Type: p.Type, TokenHash: p.TokenHash, Token: p.Token, Email: p.Email, Phone: p.Phone}
	row, err := verifyOtp(ctx, r, args)
	if err != nil {
		return nil, failed("Database error updating user", err)
	}
	if row.Failure != nil {
		return nil, failure(row.Failure)
	}
	if row.IsHalfDone {
		return jsonReply(map[string]string{"code": "200", "msg": halfDoneMessage}, nil)
	}
	answer, err := s.tokenReply(row.Issued, nil)
	return confidential{answer}, err
}

func verifyOtp(ctx context.Context, r *request, args gen.VerifyOtpParams) (gen.VerifyOtpRow, error) {
	return call(ctx, r, func(db *gen.Queries, document json.RawMessage) (gen.VerifyOtpRow, error) {
		args.Context = document
		return db.VerifyOtp(ctx, args)
	})
}

// isPhoneCode tells whether the body is about a code that came by text message.
func (p *verifyParams) isPhoneCode() bool {
	return p.Token != "" && p.Phone != "" && (p.Type == "sms" || p.Type == "phone_change")
}

// verifyPhone redeems a code that came by text message.
func (s *Server) verifyPhone(ctx context.Context, r *request, p *verifyParams) (reply, error) {
	row, err := phoneCall(ctx, r, func(db *gen.Queries, document json.RawMessage) (gen.VerifyPhoneOtpRow, error) {
		return db.VerifyPhoneOtp(ctx, gen.VerifyPhoneOtpParams{
			Type: p.Type, Phone: p.Phone, Token: p.Token, Context: document,
		})
	})
	if err != nil {
		return nil, failed("Database error updating user", err)
	}
	if row.Failure != nil {
		return nil, failure(row.Failure)
	}
	answer, err := s.tokenReply(row.Issued, nil)
	return confidential{answer}, err
}

func (p *verifyParams) checkShape() (err error) {
	if p.Type == "" {
		return invalid("Verify requires a verification type")
	}
	if (p.Token == "") == (p.TokenHash == "") {
		return invalid("Verify requires either a token or a token hash")
	}
	if p.TokenHash != "" {
		if p.Email != "" || p.Phone != "" || p.RedirectTo != "" {
			return invalid("Only the token_hash and type should be provided")
		}
		return nil
	}
	switch {
	case p.Phone != "" && p.Email == "":
		p.Phone, err = input.Phone(p.Phone)
		return err
	case p.Email != "" && p.Phone == "":
		if p.Email, err = input.Email(p.Email); err != nil {
			return unprocessable(codeValidationFailed, "Invalid email format")
		}
		return nil
	}
	return invalid("Only an email address or phone number should be provided on verify")
}
