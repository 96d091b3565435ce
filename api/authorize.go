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

// found sends a browser on: 302.
type found string

func (u found) write(w http.ResponseWriter) {
	w.Header().Set("Location", string(u))
	w.WriteHeader(http.StatusFound)
}

// authorize sends the browser to a provider: GET /authorize?provider=... (spec/02 section 2).
func (s *Server) authorize(ctx context.Context, r *request) (reply, error) {
	p, err := s.provider(r.query("provider"), r.query("scopes"))
	if err != nil {
		return nil, invalid(err.Error())
	}
	pkce := pkceParams{r.query("code_challenge"), r.query("code_challenge_method")}
	if err := pkce.check(); err != nil {
		return nil, err
	}
	state, err := s.db.BeginOauth(ctx, gen.BeginOauthParams{
		Provider: p.Name, CodeChallenge: pkce.CodeChallenge, CodeChallengeMethod: pkce.CodeChallengeMethod,
		InviteToken: r.query("invite_token"), IsEmailOptional: p.IsEmailOptional, Context: r.context(),
	})
	if err != nil {
		return nil, err
	}
	return found(p.AuthorizeURL(state.String(), r.URL.Query())), nil
}

// provider returns a provider; the error is the message for the wire.
func (s *Server) provider(name, scopes string) (*provider.Provider, error) {
	p, err := provider.New(name, scopes, s.cfg.Providers, s.cfg.API.InternalHTTPTimeout)
	if err != nil {
		return nil, errors.New("Unsupported provider: " + err.Error())
	}
	return p, nil
}

// callback takes the browser back from a provider: GET and POST /callback (spec/02 section 3). It makes two calls to the
// database, before and after those to the provider. Errors land where the user started.
func (s *Server) callback(ctx context.Context, r *request) (reply, error) {
	state, err := callbackState(r)
	if err != nil {
		return seeOther(withQuery(s.cfg.Site.URL, errorQuery(toWire(err)))), nil
	}
	flow, err := s.db.ResumeOauth(ctx, state, r.context())
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

// finishCallback asks the provider who came, and signs them in.
func (s *Server) finishCallback(
	ctx context.Context, r *request, state uuid.UUID, flow gen.ResumeOauthRow, target string,
) (reply, error) {
	if code := r.parameter("error"); code != "" {
		return nil, &OAuthError{Code: code, Description: r.parameter("error_description")}
	}
	code := r.parameter("code")
	if code == "" {
		return nil, badRequest("bad_oauth_callback", "OAuth callback with missing authorization code missing")
	}
	p, err := s.provider(flow.Provider, "")
	if err != nil {
		return nil, badRequest("oauth_provider_not_supported", err.Error())
	}
	identity, err := identify(ctx, p, code)
	if err != nil {
		return nil, err
	}
	if len(identity.Emails) == 0 && !flow.IsEmailOptional {
		return nil, &Error{Status: 500, Code: codeUnexpected, Message: "Error getting user email from external provider"}
	}
	document, err := json.Marshal(identity)
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

func identify(ctx context.Context, p *provider.Provider, code string) (*provider.Identity, error) {
	identity, err := p.Identify(ctx, code)
	switch {
	case errors.Is(err, provider.ErrExchange):
		shown := code[:min(len(code), 4)]
		return nil, &Error{Status: 500, Code: codeUnexpected, Message: "Unable to exchange external code: " + shown, cause: err}
	case err != nil:
		return nil, &Error{
			Status: 500, Code: codeUnexpected, Message: "Error getting user profile from external provider", cause: err,
		}
	}
	return identity, nil
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
