package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/provider"
	"github.com/postern-auth/postern/gen"
)

// callback takes the browser back from a provider: GET and POST /callback (spec/02 section 3). It makes two calls to the
// database, before and after those to the provider. Errors land where the user started.
func (s *Server) callback(ctx context.Context, r *request) (reply, error) {
	state, err := callbackState(r)
	var flow gen.ResumeOauthRow
	if err == nil {
		flow, err = s.db.ResumeOauth(ctx, gen.ResumeOauthParams{
			State: state, HasCode: r.parameter("error") == "" && callbackCode(r) != "", Context: r.context(),
		})
	}
	if err != nil { // and nobody knows where it started
		return seeOther(withQuery(s.cfg.Site.URL, s.errorQuery(r, err))), nil
	}
	target := s.landing(flow.Referrer)
	answer, err := s.finishCallback(ctx, r, state, flow, target)
	if err != nil {
		return s.callbackError(r, target, err), nil
	}
	return confidential{answer}, nil
}

// landing is where a flow ends that was to end at a target.
func (s *Server) landing(target string) string {
	return cmp.Or(s.cfg.External.RedirectURL, target, s.cfg.Site.URL)
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
	document, err := s.visitor(ctx, r, flow)
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

// visitor is who came back from a provider, as finish_oauth() reads it. The order of the checks is that of spec/02 section 3.
func (s *Server) visitor(ctx context.Context, r *request, flow gen.ResumeOauthRow) (json.RawMessage, error) {
	if code := r.parameter("error"); code != "" {
		return nil, &OAuthError{Code: code, Description: r.parameter("error_description")}
	}
	code := callbackCode(r)
	if code == "" {
		return nil, badRequest("bad_oauth_callback", "OAuth callback with missing authorization code missing")
	}
	p, err := s.flowProvider(ctx, flow)
	if err != nil {
		return nil, err
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
		return nil, externalError(noEmail, nil)
	}
	return s.identityDocument(p.Name, identity)
}

// flowProvider is the provider of a flow. The row of a custom one came with the flow.
func (s *Server) flowProvider(ctx context.Context, flow gen.ResumeOauthRow) (p *provider.Provider, err error) {
	if flow.Custom == nil {
		p, err = s.builtInProvider(flow.Provider)
	} else {
		p, err = s.customProvider(ctx, strings.ToLower(flow.Provider), flow.Custom)
	}
	var refused *Error
	if errors.As(err, &refused) {
		return nil, badRequest("oauth_provider_not_supported", refused.Message)
	}
	return p, err
}

// identify asks the provider who came; what went wrong there is for the log.
func identify(ctx context.Context, p *provider.Provider, answer provider.Answer) (*provider.Identity, error) {
	identity, err := p.Identify(ctx, answer)
	switch isExchange := errors.Is(err, provider.ErrExchange); {
	case isExchange && p.IsOAuth1():
		return nil, externalError("Unable to retrieve access token", err)
	case isExchange:
		shown := []rune(answer.Code)
		return nil, externalError("Unable to exchange external code: "+string(shown[:min(len(shown), 4)]), err)
	case errors.Is(err, provider.ErrNobody), err != nil && p.IsOAuth1():
		return nil, externalError(noEmail, err)
	case err != nil:
		return nil, externalError("Error getting user profile from external provider", err)
	}
	return identity, nil
}

const noEmail = "Error getting user email from external provider"

// externalError tells users that a provider failed them, and the log why.
func externalError(message string, cause error) error {
	return &Error{Status: http.StatusInternalServerError, Code: codeUnexpected, Message: message, cause: cause}
}

// deniedCodes are refusals that a redirect calls access_denied whatever their status (spec/02 section 5).
var deniedCodes = map[string]bool{
	"signup_disabled": true, "user_banned": true, "provider_email_needs_verification": true,
	"identity_linking_required": true,
}

// errorQuery is an error as parameters of a redirect. Details of server errors go to the log.
func (s *Server) errorQuery(r *request, err error) url.Values {
	var oauth *OAuthError
	if errors.As(err, &oauth) {
		return url.Values{"error": {oauth.Code}, "error_description": {oauth.Description}}
	}
	e := toWire(err)
	if e.Status >= http.StatusInternalServerError {
		s.logFailure(r, err)
	}
	if message := shownMessage(err); message != "" {
		return url.Values{"error": {"server_error"}, "error_description": {message}}
	}
	name := redirectErrors[e.Status]
	if deniedCodes[e.Code] {
		name = "access_denied"
	}
	return url.Values{
		"error": {cmp.Or(name, "server_error")}, "error_code": {e.code()}, "error_description": {e.Message},
	}
}

// shownMessage is what an application's own trigger or constraint says, "" for other errors.
func shownMessage(err error) string {
	var pg *pgconn.PgError
	if _, body := databaseBody(err, false); body == nil || !errors.As(err, &pg) || pg.SchemaName == hookSchema {
		return ""
	}
	return pg.Message
}

// callbackError sends the browser back with an error in query and fragment.
func (s *Server) callbackError(r *request, target string, err error) reply {
	values := s.errorQuery(r, err)
	return found(withErrorFragment(withQuery(target, values), values, true))
}
