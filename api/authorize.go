package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

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

// authorize sends the browser to a provider: GET /authorize?provider=... (spec/02 section 2). Errors are JSON, but that of a
// provider that gives no request token lands where the user started: a browser is on its way, and nobody else can tell.
func (s *Server) authorize(ctx context.Context, r *request) (reply, error) {
	target, err := s.startFlow(ctx, r, func(flow json.RawMessage) error {
		return s.db.BeginOauth(ctx, flow, r.context())
	})
	if errors.Is(err, provider.ErrRequestToken) {
		return s.callbackError(r, s.landing(r.redirectTarget()), err), nil
	}
	if err != nil {
		return nil, err
	}
	return found(target), nil
}

// linkIdentity sends a signed-in user to a provider, to add an identity: GET /user/identities/authorize. The callback
// does the rest (spec/02 section 8).
func (s *Server) linkIdentity(ctx context.Context, r *request) (reply, error) {
	target, err := s.startFlow(ctx, r, func(flow json.RawMessage) error {
		return s.db.BeginLinking(ctx, gen.BeginLinkingParams{
			UserID: r.userID, SessionID: r.sessionID, Flow: flow, Context: r.context(),
		})
	})
	if err != nil {
		return nil, err
	}
	if r.query("skip_http_redirect") == "true" {
		return jsonReply(map[string]string{"url": target}, nil)
	}
	return found(target), nil
}

// oauthFlow is what the database remembers of a flow, as postern_internal.begin_oauth() reads it.
type oauthFlow struct {
	State               uuid.UUID `json:"state"`
	Provider            string    `json:"provider"`
	Secret              string    `json:"secret"`
	CodeChallenge       string    `json:"code_challenge"`
	CodeChallengeMethod string    `json:"code_challenge_method"`
	InviteToken         string    `json:"invite_token"`
	IsEmailOptional     bool      `json:"is_email_optional"`
}

// startFlow has begin remember a flow and returns where the browser goes.
func (s *Server) startFlow(ctx context.Context, r *request, begin func(flow json.RawMessage) error) (string, error) {
	p, err := s.provider(ctx, r.query("provider"), r.context())
	if err != nil {
		return "", err
	}
	pkce := pkceParams{r.query("code_challenge"), r.query("code_challenge_method")}
	if err := pkce.check(); err != nil {
		return "", err
	}
	state := uuid.New()
	start, err := p.Start(ctx, state.String(), r.query("scopes"), r.URL.Query())
	if errors.Is(err, provider.ErrRequestToken) {
		return "", externalError("Unable to retrieve request token", err)
	}
	if err != nil {
		return "", unsupported(err)
	}
	flow, err := json.Marshal(oauthFlow{
		State: state, Provider: p.Name, Secret: start.Secret, CodeChallenge: pkce.CodeChallenge,
		CodeChallengeMethod: pkce.CodeChallengeMethod, InviteToken: r.query("invite_token"), IsEmailOptional: p.IsEmailOptional,
	})
	if err != nil {
		return "", err
	}
	return start.URL, begin(flow)
}

// provider returns a provider; to find a custom one takes a call to the database. Errors: as unsupported.
func (s *Server) provider(ctx context.Context, name string, callContext json.RawMessage) (*provider.Provider, error) {
	if name = strings.ToLower(name); !strings.HasPrefix(name, provider.CustomPrefix) {
		return s.builtInProvider(name)
	}
	row, err := s.db.UsableCustomProvider(ctx, name, callContext)
	if err != nil {
		return nil, err
	}
	return s.customProvider(ctx, name, row)
}

func (s *Server) builtInProvider(name string) (*provider.Provider, error) {
	p, err := s.providers.Find(name)
	if err != nil {
		return nil, unsupported(err)
	}
	return p, nil
}

func unsupported(reason error) *Error { return invalid("Unsupported provider: " + reason.Error()) }
