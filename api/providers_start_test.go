package api_test

import (
	"encoding/json"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

// TestProvidersWithoutTheirDocument begins visits that need a discovery document which cannot be had, or is another's
// (spec/02 section 2): nobody is sent away, and nothing is remembered.
func TestProvidersWithoutTheirDocument(t *testing.T) {
	t.Parallel()
	stage := &providerStage{t: t, key: providerKey(), answers: map[string]json.RawMessage{
		"GET https://www.linkedin.com/oauth/.well-known/openid-configuration": json.RawMessage(
			`{"issuer": "https://www.linkedin.com", "jwks_uri": "https://www.linkedin.com/oauth/openid/jwks"}`),
	}}
	var settings []string
	for _, name := range []string{"APPLE", "GOOGLE", "LINKEDIN_OIDC"} {
		prefix := "GOTRUE_EXTERNAL_" + name + "_"
		settings = append(settings, prefix+"ENABLED=true", prefix+"CLIENT_ID=client", prefix+"SECRET=secret",
			prefix+"REDIRECT_URI=https://api.example.com/callback")
	}
	s := setupTexting(t, apitest.Database(t), stage, settings...)
	const flows, none = "select count(*)::text from auth.flow_state", "0"
	s.play([]scenario{
		{"Apple", "GET /authorize?provider=apple", nil, nil, 400, "validation_failed",
			"Unsupported provider: Get \\\"https://appleid.apple.com/.well-known/openid-configuration\\\"", flows, none},
		{"Google", "GET /authorize?provider=google", nil, nil, 400, "validation_failed",
			"Unsupported provider: Get \\\"https://accounts.google.com/.well-known/openid-configuration\\\"", flows, none},
		{"LinkedIn, another issuer", "GET /authorize?provider=LinkedIn_OIDC", nil, nil, 400, "validation_failed",
			"Unsupported provider: oidc: issuer did not match", flows, none},
	})
}
