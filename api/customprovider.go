package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/postern-auth/postern/api/outbound"
	"github.com/postern-auth/postern/api/provider"
)

// customProvider makes a provider of what postern_internal.usable_custom_provider() says of a name in lower case. Errors:
// as unsupported, and a secret that cannot be opened.
func (s *Server) customProvider(ctx context.Context, name string, row json.RawMessage) (*provider.Provider, error) {
	c, err := provider.ReadCustom(name, row)
	var refused *provider.CustomError
	if errors.As(err, &refused) {
		return nil, unsupported(refused)
	}
	if err != nil {
		return nil, err
	}
	if err := s.openCustomSecret(ctx, c); err != nil {
		return nil, err
	}
	return s.providers.Custom(c, s.customCallbackURL()), nil
}

// customCallbackURL is where custom providers send people back (spec/08 section 5.1).
func (s *Server) customCallbackURL() string {
	base := s.cfg.CustomOAuth.ExternalURL
	if base == "" {
		base = s.cfg.API.ExternalURL
	}
	return strings.TrimRight(base, "/") + "/callback"
}

// openCustomSecret opens the secret of a provider.
func (s *Server) openCustomSecret(ctx context.Context, c *provider.Custom) error {
	plain, err := s.openSecret(ctx, "custom_oauth_providers.client_secret", c.ID, c.ClientSecret)
	if err != nil {
		return fmt.Errorf("decrypting the secret of %s: %w", c.Identifier, err)
	}
	c.ClientSecret = plain
	return nil
}

// answerCustomProvider answers the questions of sql/functions/providers/ask.sql.
func (s *Server) answerCustomProvider(ctx context.Context, what string, payload json.RawMessage) (json.RawMessage, error) {
	var q struct {
		URLs         []string `json:"urls"`
		Issuer       string   `json:"issuer"`
		DiscoveryURL string   `json:"discovery_url"`
		ID           string   `json:"id"`
		Plain        string   `json:"plain"`
	}
	if err := json.Unmarshal(payload, &q); err != nil {
		return nil, fmt.Errorf("decoding a question about a custom provider: %w", err)
	}
	var answer struct {
		Refusal  string             `json:"refusal,omitempty"`
		Document *provider.Document `json:"document,omitempty"`
		Stored   string             `json:"stored,omitempty"`
	}
	var err error
	switch what {
	case "urls":
		answer.Refusal, err = s.refuseURLs(ctx, q.URLs)
	case "document":
		var refused *provider.DiscoveryError
		if answer.Document, err = s.providers.CustomDocument(ctx, q.Issuer, q.DiscoveryURL); errors.As(err, &refused) {
			answer.Refusal, err = refused.Message, nil
		}
	case "seal":
		answer.Stored, err = s.seals.Seal(q.ID, q.Plain)
	default:
		err = fmt.Errorf("the database asks for %q of a custom provider, which this server does not know", what)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// refuseURLs says what is wrong with the first bad one of some addresses, "" if nothing is.
func (s *Server) refuseURLs(ctx context.Context, urls []string) (string, error) {
	for _, address := range urls {
		err := s.outbound.CheckURL(ctx, address)
		var refused *outbound.URLError
		if errors.As(err, &refused) {
			return refused.Message, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}
