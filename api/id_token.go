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

// idTokenParams is the body of the ID-token grant.
type idTokenParams struct {
	IDToken      string   `json:"id_token"`
	Provider     string   `json:"provider"`
	ClientID     string   `json:"client_id"`
	Issuer       string   `json:"issuer"`
	Nonce        string   `json:"nonce"`
	AccessToken  string   `json:"access_token"`
	LinkIdentity formBool `json:"link_identity"`
}

// formBool is a boolean that a form can hold as well.
type formBool bool

// UnmarshalJSON reads true and false, also in quotes.
func (b *formBool) UnmarshalJSON(text []byte) error {
	if string(text) == `"true"` || string(text) == `"false"` {
		text = text[1 : len(text)-1]
	}
	return json.Unmarshal(text, (*bool)(b))
}

// idTokenGrant signs in with an ID token that a client got from a provider by itself, or adds that identity to the account
// of a signed-in user (spec/02 section 12). The token is checked before the one call to the database; to find a custom provider
// takes another one.
func (s *Server) idTokenGrant(ctx context.Context, r *request) (reply, error) {
	var p idTokenParams
	if err := r.decodeForm(&p); err != nil {
		return nil, err
	}
	linkingUser, err := s.checkIDTokenParams(ctx, r, &p)
	if err != nil {
		return nil, err
	}
	verifier, identity, err := s.verifyIDToken(ctx, r, provider.IDTokenRequest{
		Token: p.IDToken, Provider: p.Provider, Issuer: p.Issuer, ClientID: p.ClientID, Nonce: p.Nonce, AccessToken: p.AccessToken,
	})
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(identity)
	if err != nil {
		return nil, err
	}
	defer s.outbox.Wake()
	row, err := call(ctx, r, func(db *gen.Queries, c json.RawMessage) (gen.SignInWithIDTokenRow, error) {
		return db.SignInWithIDToken(ctx, gen.SignInWithIDTokenParams{
			Provider: verifier.Provider, Identity: document, IsEmailOptional: verifier.IsEmailOptional, Context: c,
			LinkingUserID: linkingUser, LinkingSessionID: r.sessionID,
		})
	})
	switch {
	case err != nil:
		return nil, s.serverError(r, err)
	case row.Failure != nil:
		return nil, failure(row.Failure)
	}
	return s.tokenReply(row.Issued, nil)
}

// checkIDTokenParams returns the user who links the identity, nil for a sign-in.
func (s *Server) checkIDTokenParams(ctx context.Context, r *request, p *idTokenParams) (*uuid.UUID, error) {
	switch {
	case p.IDToken == "":
		return nil, invalidGrant("id_token required")
	case p.Provider == "" && (p.ClientID == "" || p.Issuer == ""):
		return nil, invalidGrant("provider or client_id and issuer required")
	case !bool(p.LinkIdentity):
		return nil, nil
	case r.Header.Get("Authorization") == "":
		return nil, invalidGrant("Linking requires a valid user access token in Authorization")
	}
	if err := signedIn(s, ctx, r); err != nil {
		return nil, err
	}
	return &r.userID, nil
}

func invalidGrant(description string) error {
	return &OAuthError{Code: "invalid request", Description: description}
}

// verifyIDToken returns whom the token names. Why a token is bad is told to the log only.
func (s *Server) verifyIDToken(
	ctx context.Context, r *request, q provider.IDTokenRequest,
) (*provider.Verifier, *provider.Identity, error) {
	verifier, err := s.providers.ForIDToken(ctx, q, s.findCustomProvider)
	var unselected *provider.SelectionError
	switch {
	case errors.As(err, &unselected):
		return nil, nil, badRequest(unselected.Code, unselected.Message)
	case errors.Is(err, provider.ErrDiscovery):
		return nil, nil, &Error{Status: http.StatusInternalServerError, Message: unexpectedMessage, IsPlain: true, cause: err}
	case err != nil:
		return nil, nil, s.serverError(r, err)
	}
	identity, err := verifier.Verify(ctx, q)
	var refused *provider.TokenError
	switch {
	case errors.As(err, &refused):
		s.log.WarnContext(ctx, "an ID token was refused", "provider", verifier.Provider, "reason", err, "request_id", r.id)
		return nil, nil, &OAuthError{Code: refused.Code, Description: refused.Description}
	case err != nil:
		return nil, nil, err
	}
	return verifier, identity, nil
}

// findCustomProvider reads the row of a custom provider. No secret is needed to check tokens, so it stays sealed. The call
// is not one that takes the request's token of the limit.
func (s *Server) findCustomProvider(ctx context.Context, name string) (*provider.Custom, error) {
	name = strings.ToLower(name)
	row, err := s.db.UsableCustomProvider(ctx, name, s.settings.published)
	if err != nil {
		return nil, err
	}
	return provider.ReadCustom(name, row)
}

// serverError gives an error without an explanation the form that grants have for it: as an OAuth error.
func (s *Server) serverError(r *request, err error) error {
	if !isUnexplained(err) && !toWire(err).IsPlain {
		return err
	}
	s.logFailure(r, err)
	return &OAuthError{Code: "server_error", Description: "Internal Server Error"}
}
