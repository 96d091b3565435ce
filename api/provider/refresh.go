package provider

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/oauth2"
)

// RefusedError means that a provider takes a refresh token no more: the person has to sign in again. Code is the
// provider's word for it (RFC 6749 section 5.2).
type RefusedError struct{ Code string }

func (e *RefusedError) Error() string { return "the provider refused the refresh token: " + e.Code }

// Refresh exchanges a refresh token (RFC 6749 section 6). Errors: RefusedError, and what may go away by itself.
func (p *Provider) Refresh(ctx context.Context, refreshToken string) (Tokens, error) {
	c, err := p.config(ctx)
	if err != nil {
		return Tokens{}, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.http)
	token, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
	var told *oauth2.RetrieveError
	if errors.As(err, &told) && told.ErrorCode == "invalid_grant" {
		return Tokens{}, &RefusedError{told.ErrorCode}
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("refreshing a token of %s: %w", p.Name, err)
	}
	return tokensOf(token), nil
}
