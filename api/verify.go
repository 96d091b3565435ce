package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

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

// verify redeems a code or the hash of a link: POST /verify (spec/01 section 10).
func (s *Server) verify(ctx context.Context, r *request) (reply, error) {
	var p verifyParams
	if err := r.decode(&p); err != nil {
		return nil, err
	}
	if err := p.checkShape(); err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	args := gen.VerifyOtpParams{Type: p.Type, TokenHash: p.TokenHash, Token: p.Token, Email: p.Email, Phone: p.Phone}
	row, err := verifyOtp(ctx, r, args)
	if err != nil {
		return nil, failed("Database error updating user", err)
	}
	if row.IsHalfDone {
		return jsonReply(map[string]string{"code": "200", "msg": halfDoneMessage}, nil)
	}
	return s.tokenReply(row.Issued, nil)
}

func verifyOtp(ctx context.Context, r *request, args gen.VerifyOtpParams) (gen.VerifyOtpRow, error) {
	return call(ctx, r, func(db *gen.Queries, document json.RawMessage) (gen.VerifyOtpRow, error) {
		args.Context = document
		return db.VerifyOtp(ctx, args)
	})
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

// verifyLink redeems a mailed link in a browser: GET /verify (spec/01 section 10). What it finds out travels in the
// URL of the redirect, errors, too.
func (s *Server) verifyLink(ctx context.Context, r *request) (reply, error) {
	linkType, hash := r.query("type"), r.query("token")
	switch {
	case linkType == "":
		return nil, invalid("Verify requires a verification type")
	case hash == "":
		return nil, invalid("Verify requires a token or a token hash")
	}
	target, isPKCE := r.redirectTarget(), strings.HasPrefix(hash, "pkce_")
	defer s.outbox.Wake()
	row, err := verifyOtp(ctx, r, gen.VerifyOtpParams{Type: linkType, TokenHash: hash, GivesCode: true})
	switch {
	case err != nil:
		e := toWire(err)
		if e.Status >= http.StatusInternalServerError {
			s.log.Error("verifying a link failed", "error", err)
		}
		return seeOther(errorURL(target, e, isPKCE)), nil
	case row.IsHalfDone:
		values := url.Values{"message": {halfDoneMessage}}
		if isPKCE {
			target = withQuery(target, values)
		}
		values.Set("sb", "")
		return seeOther(target + "#" + values.Encode()), nil
	case row.AuthCode != nil:
		return seeOther(withQuery(target, url.Values{"code": {*row.AuthCode}})), nil
	}
	t, err := s.issue(row.Issued)
	if err != nil {
		return nil, err
	}
	return withHeader{t.header, seeOther(target + "#" + t.fragment(row.EffectiveType))}, nil
}

// redirectErrors are the error values of RFC 6749 section 4.1.2.1 by status.
var redirectErrors = map[int]string{
	http.StatusBadRequest: "invalid_request", http.StatusUnauthorized: "unauthorized_client",
	http.StatusForbidden: "access_denied", http.StatusInternalServerError: "server_error",
	http.StatusServiceUnavailable: "temporarily_unavailable",
}

// errorURL puts an error into the fragment of a redirect target, and for PKCE into the query, too. With both, the
// fragment's percent signs are escaped once more: so does the reference, and clients undo it (spec/01 section 10.4).
func errorURL(target string, e *Error, inQuery bool) string {
	values := url.Values{"error_code": {e.code()}, "error_description": {e.Message}}
	if name := redirectErrors[e.Status]; name != "" {
		values.Set("error", name)
	}
	if inQuery {
		target = withQuery(target, values)
	}
	return withErrorFragment(target, values, inQuery)
}

// withErrorFragment appends an error to a URL, escaped twice where the query has it as well.
func withErrorFragment(target string, values url.Values, isTwice bool) string {
	values.Set("sb", "")
	fragment := values.Encode()
	if isTwice {
		fragment = strings.ReplaceAll(fragment, "%", "%25")
	}
	return target + "#" + fragment
}

// withQuery merges values into the query of a URL, keys sorted.
func withQuery(target string, values url.Values) string {
	u, err := url.Parse(target)
	if err != nil { // the allow list parsed it before
		return target
	}
	query := u.Query()
	for name, v := range values {
		query[name] = v
	}
	u.RawQuery = query.Encode()
	return u.String()
}
