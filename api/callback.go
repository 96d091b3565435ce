package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/api/provider"
	"github.com/postern-auth/postern/gen"
)

// callback takes the browser back from a provider: GET and POST /callback (spec/02 section 3). It makes two calls to the
// database, before and after those to the provider. Errors land where the user started.
func (s *Server) callback(ctx context.Context, r *request) (reply, error) {
	state, err := callbackState(r)
	if err != nil {
		return seeOther(withQuery(s.cfg.Site.URL, errorQuery(toWire(err)))), nil
	}
	flow, err := s.db.ResumeOauth(ctx, gen.ResumeOauthParams{
		State: state, HasCode: r.parameter("error") == "" && callbackCode(r) != "", Context: r.context(),
	})
	if err != nil {
		return seeOther(withQuery(s.cfg.Site.URL, errorQuery(toWire(err)))), nil
	}
	target := s.cfg.Site.URL
	if s.cfg.External.RedirectURL != "" {
		target = s.cfg.External.RedirectURL
	} else if flow.Referrer != "" {
		target = flow.Referrer
	}
	answer, err := s.finishCallback(ctx, r, state, flow, target)
	if err != nil {
		return s.callbackError(target, err), nil
	}
	return answer, nil
}

func callbackState(r *request) (uuid.UUID, error) {
	text := r.parameter("state")
	if text == "" {
		return uuid.Nil, badRequest("bad_oauth_callback", "OAuth state parameter missing")
	}
	state, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, badRequest("bad_oauth_state", "OAuth state parameter is invalid")
	}
	return state, nil
}

// callbackCode is the code that a provider gave; with OAuth 1.0a it is called oauth_token.
func callbackCode(r *request) string {
	if code := r.parameter("code"); code != "" {
		return code
	}
	return r.parameter("oauth_token")
}

// finishCallback asks the provider who came, and signs them in.
func (s *Server) finishCallback(
	ctx context.Context, r *request, state uuid.UUID, flow gen.ResumeOauthRow, target string,
) (reply, error) {
	if code := r.parameter("error"); code != "" {
		return nil, &OAuthError{Code: code, Description: r.parameter("error_description")}
	}
	code := callbackCode(r)
	if code == "" {
		return nil, badRequest("bad_oauth_callback", "OAuth callback with missing authorization code missing")
	}
	p, err := s.provider(flow.Provider)
	if err != nil {
		return nil, badRequest("oauth_provider_not_supported", err.Error())
	}
	if flow.Failure != nil {
		return nil, failure(flow.Failure)
	}
	if p.NeedsSecret() && flow.Secret == "" {
		return nil, badRequest("oauth_invalid_state", "OAuth PKCE code verifier missing")
	}
	identity, err := identify(ctx, p, provider.Answer{
		Code: code, Verifier: r.parameter("oauth_verifier"), User: r.parameter("user"), Secret: flow.Secret,
	})
	if err != nil {
		return nil, err
	}
	if len(identity.Emails) == 0 && !flow.IsEmailOptional {
		return nil, noEmail(nil)
	}
	document, err := s.identityDocument(p.Name, identity)
	if err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	row, err := call(ctx, r, func(db *gen.Queries, c json.RawMessage) (gen.FinishOauthRow, error) {
		return db.FinishOauth(ctx, gen.FinishOauthParams{State: state, Identity: document, Context: c})
	})
	switch {
	case err != nil:
		return nil, err
	case row.Failure != nil:
		return nil, failure(row.Failure)
	case row.AuthCode != nil:
		return found(withQuery(target, url.Values{"code": {*row.AuthCode}})), nil
	}
	t, err := s.issue(row.Issued)
	if err != nil {
		return nil, err
	}
	return withHeader{t.header, found(target + "#" + t.providerFragment())}, nil
}

// identify asks the provider who came; what went wrong there is for the log.
func identify(ctx context.Context, p *provider.Provider, answer provider.Answer) (*provider.Identity, error) {
	identity, err := p.Identify(ctx, answer)
	switch {
	case errors.Is(err, provider.ErrExchange):
		shown := answer.Code[:min(len(answer.Code), 4)]
		return nil, &Error{Status: 500, Code: codeUnexpected, Message: "Unable to exchange external code: " + shown, cause: err}
	case errors.Is(err, provider.ErrNobody):
		return nil, noEmail(err)
	case err != nil:
		return nil, &Error{
			Status: 500, Code: codeUnexpected, Message: "Error getting user profile from external provider", cause: err,
		}
	}
	return identity, nil
}

func noEmail(cause error) error {
	return &Error{
		Status: 500, Code: codeUnexpected, Message: "Error getting user email from external provider", cause: cause,
	}
}

// deniedCodes are refusals that a redirect calls access_denied whatever their status (spec/02 section 5).
var deniedCodes = map[string]bool{
	"signup_disabled": true, "user_banned": true, "provider_email_needs_verification": true,
}

// errorQuery is an error as parameters of a redirect.
func errorQuery(e *Error) url.Values {
	name := redirectErrors[e.Status]
	if deniedCodes[e.Code] {
		name = "access_denied"
	} else if name == "" {
		name = "server_error"
	}
	return url.Values{"error": {name}, "error_code": {e.code()}, "error_description": {e.Message}}
}

// callbackError sends the browser back with an error in query and fragment.
func (s *Server) callbackError(target string, err error) reply {
	var oauth *OAuthError
	var values url.Values
	if errors.As(err, &oauth) {
		values = url.Values{"error": {oauth.Code}, "error_description": {oauth.Description}}
	} else {
		e := toWire(err)
		if e.Status >= http.StatusInternalServerError {
			s.log.Error("a callback failed", "error", err)
		}
		values = errorQuery(e)
	}
	return found(withErrorFragment(withQuery(target, values), values, true))
}
