// Package captcha asks hCaptcha or Turnstile whether a human solved a challenge (spec/06 section 9).
package captcha

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/postern-auth/postern/api/outbound"
)

// endpoints are the verification URLs by provider.
var endpoints = map[string]string{
	"hcaptcha":  "https://hcaptcha.com/siteverify",
	"turnstile": "https://challenges.cloudflare.com/turnstile/v0/siteverify",
}

// maxAnswer bounds the answer that is read, in bytes.
const maxAnswer = 1 << 16

// Verifier asks one provider.
type Verifier struct {
	endpoint, secret string
	client           *http.Client
}

// New returns a verifier for a provider, hcaptcha or turnstile, that asks by client.
func New(provider, secret string, client *http.Client) (*Verifier, error) {
	endpoint, ok := endpoints[provider]
	if !ok {
		return nil, fmt.Errorf("unsupported captcha provider: %s", provider)
	}
	return &Verifier{endpoint: endpoint, secret: secret, client: outbound.NoRedirect(client)}, nil
}

// Via returns the same verifier with another transport, for tests that stand in for the provider.
func (v *Verifier) Via(transport http.RoundTripper) *Verifier {
	client := *v.client
	client.Transport = transport
	return &Verifier{endpoint: v.endpoint, secret: v.secret, client: &client}
}

// Refused is the provider's no, or that there was nothing to ask about. Reasons are for the client.
type Refused struct{ Reasons string }

func (e *Refused) Error() string { return "captcha protection: request disallowed (" + e.Reasons + ")" }

// Verify asks about the token that a client got for solving a challenge. Errors: *Refused; others when the provider could
// not be asked or did not answer in JSON.
func (v *Verifier) Verify(ctx context.Context, token, clientIP string) error {
	token = strings.TrimSpace(token)
	if token == "" {
		return &Refused{"no captcha_token found"}
	}
	form := "secret=" + url.QueryEscape(v.secret) + "&response=" + url.QueryEscape(token) + "&remoteip=" + url.QueryEscape(clientIP)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.endpoint, strings.NewReader(form))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := outbound.ReadAll(res.Body, maxAnswer)
	if err != nil {
		return fmt.Errorf("reading the answer of the captcha provider: %w", err)
	}
	var answer struct {
		Success    bool     `json:"success"`
		ErrorCodes []string `json:"error-codes"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("reading the answer of the captcha provider (status %d): %w", res.StatusCode, err)
	}
	if !answer.Success {
		return &Refused{strings.Join(answer.ErrorCodes, ", ")}
	}
	return nil
}
