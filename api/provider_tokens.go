package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/api/provider"
	"github.com/postern-auth/postern/gen"
)

// Tokens of OAuth providers that are kept on request (POSTERN_PROVIDER_TOKENS): sealed here, stored by
// sql/functions/identities/provider_tokens.sql, given to the user's own sessions, and refreshed at the provider.

// keptTokens are tokens as the database keeps them.
type keptTokens struct {
	ID           uuid.UUID  `json:"id"`
	AccessToken  string     `json:"access_token"`
	RefreshToken *string    `json:"refresh_token"` // nil: none, or the one before goes on to count
	Scope        *string    `json:"scope"`
	ExpiresAt    *time.Time `json:"expires_at"`
}

// providerTokenSpace makes ids of kept tokens from provider and subject, so that they are known before the identity is.
var providerTokenSpace = uuid.MustParse("b2c7e4a6-6f0b-4c53-9c1e-5d0b7d1c8a11")

// identityDocument is an identity as the database reads it, with the tokens to keep if they are wanted.
func (s *Server) identityDocument(name string, identity *provider.Identity) (json.RawMessage, error) {
	document := struct {
		*provider.Identity
		Kept *keptTokens `json:"kept,omitempty"`
	}{Identity: identity}
	if s.cfg.ProviderTokens.Keeps(name) && identity.AccessToken != "" {
		kept, err := s.sealTokens(uuid.NewSHA1(providerTokenSpace, []byte(name+" "+identity.Subject)), identity.Tokens)
		if err != nil {
			return nil, err
		}
		document.Kept = kept
	}
	return json.Marshal(document)
}

func (s *Server) sealTokens(id uuid.UUID, t provider.Tokens) (*keptTokens, error) {
	kept := &keptTokens{ID: id, ExpiresAt: t.ExpiresAt}
	var err error
	if kept.AccessToken, err = s.seals.Seal(id.String(), t.AccessToken); err != nil {
		return nil, fmt.Errorf("encrypting the token of a provider: %w", err)
	}
	if t.RefreshToken != "" {
		sealed, err := s.seals.Seal(id.String(), t.RefreshToken)
		if err != nil {
			return nil, fmt.Errorf("encrypting the token of a provider: %w", err)
		}
		kept.RefreshToken = &sealed
	}
	if t.Scope != "" {
		kept.Scope = &t.Scope
	}
	return kept, nil
}

// listProviderTokens lists whose tokens are kept for the caller: GET /user/provider-tokens.
func (s *Server) listProviderTokens(ctx context.Context, r *request) (reply, error) {
	tokens, err := s.db.ListProviderTokens(ctx, r.userID, r.sessionID)
	if err != nil {
		return nil, err
	}
	return document(tokens), nil
}

const (
	refreshPoll  = 200 * time.Millisecond // while another request refreshes the token
	refreshPolls = 50
)

// providerToken gives the caller an access token of a provider that is valid for a minute at least: GET
// /user/provider-tokens/{identity_id}. One that is at its end is refreshed first, by one request of all.
func (s *Server) providerToken(ctx context.Context, r *request) (reply, error) {
	id, err := uuid.Parse(r.params.ByName("identity_id"))
	if err != nil {
		return nil, &Error{Status: http.StatusNotFound, Code: codeValidationFailed, Message: "identity_id must be an UUID"}
	}
	for range refreshPolls {
		row, err := s.db.TakeProviderToken(ctx, gen.TakeProviderTokenParams{
			UserID: r.userID, SessionID: r.sessionID, IdentityID: id,
		})
		switch {
		case err != nil:
			return nil, err
		case row.IsDue:
			if err := s.refreshProviderToken(ctx, row.ID, row.Provider, row.RefreshToken); err != nil {
				return nil, err
			}
		case row.IsBusy:
			select {
			case <-time.After(refreshPoll):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		default:
			return s.providerTokenReply(row)
		}
	}
	return nil, unavailable("The token is being refreshed", nil)
}

func (s *Server) providerTokenReply(row gen.TakeProviderTokenRow) (reply, error) {
	plain, _, err := s.seals.Open(row.ID.String(), row.AccessToken)
	if err != nil {
		return nil, fmt.Errorf("decrypting a token of %s: %w", row.Provider, err)
	}
	answer := map[string]any{}
	if err := json.Unmarshal(row.Document, &answer); err != nil {
		return nil, err
	}
	answer["access_token"] = plain
	return jsonReply(answer, http.Header{"Cache-Control": {"no-store"}})
}

// refreshProviderToken asks the provider for the next tokens and stores them. Errors: provider_token_expired (422) when it
// refuses; unexpected_failure (500) when it cannot be reached, and then the next one may try.
func (s *Server) refreshProviderToken(ctx context.Context, id uuid.UUID, name, sealed string) error {
	finish := gen.FinishProviderRefreshParams{ID: id, Used: sealed}
	tokens, err := s.nextTokens(ctx, id, name, sealed)
	var refused *provider.RefusedError
	if errors.As(err, &refused) {
		finish.Refusal = &refused.Code
		err = unprocessable("provider_token_expired", "The token of "+name+" has expired. Sign in with "+name+" again")
	} else if err == nil {
		var kept *keptTokens
		if kept, err = s.sealTokens(id, tokens); err == nil {
			finish.Kept, err = json.Marshal(kept)
		}
	}
	return errors.Join(err, s.db.FinishProviderRefresh(ctx, finish))
}

func (s *Server) nextTokens(ctx context.Context, id uuid.UUID, name, sealed string) (provider.Tokens, error) {
	p, err := s.provider(ctx, name, s.settings.published)
	if err != nil {
		return provider.Tokens{}, err
	}
	plain, _, err := s.seals.Open(id.String(), sealed)
	if err != nil {
		return provider.Tokens{}, fmt.Errorf("decrypting a refresh token of %s: %w", name, err)
	}
	return p.Refresh(ctx, plain)
}

const (
	aheadEvery = 10 * time.Second
	aheadBatch = 50 // tokens; the lease of a batch is 30 seconds
)

// refreshProviderTokens refreshes kept tokens before they expire, until ctx ends. Servers share the work.
func (s *Server) refreshProviderTokens(ctx context.Context) {
	tick := time.NewTicker(aheadEvery)
	defer tick.Stop()
	for {
		due, err := s.db.ClaimDueProviderTokens(ctx, s.cfg.ProviderTokens.RefreshAhead.Seconds(), aheadBatch)
		if err != nil && ctx.Err() == nil {
			s.log.Error("kept tokens of providers cannot be read", "error", err)
		}
		refreshed := 0
		for _, t := range due {
			if err := s.refreshProviderToken(ctx, t.ID, t.Provider, t.RefreshToken); err == nil {
				refreshed++
			} else if ctx.Err() == nil {
				s.log.Warn("a token of a provider was not refreshed", "provider", t.Provider, "error", err)
			}
		}
		if refreshed == aheadBatch {
			continue // there may be more
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
