package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestIDTokenCustomProvider is the row custom:* of spec/02 section 12.
func TestIDTokenCustomProvider(t *testing.T) {
	t.Parallel()
	const corpIss = "https://login.corp.example"
	s, world := setupIssuers(t)
	world.open(corpIss, m{"authorization_endpoint": corpIss + "/auth", "token_endpoint": corpIss + "/token"})
	add := func(identifier, more string) {
		s.exec(`insert into auth.custom_oauth_providers (provider_type, identifier, name, client_id, client_secret,
				acceptable_client_ids, issuer, authorization_url, token_url, userinfo_url, attribute_mapping, custom_claims_allowlist)
			select coalesce(d.provider_type, 'oidc'), $1, $1, 'corp', 'secret', '{corp-ios}', case when d.provider_type is null then '`+corpIss+`' end,
				d.url, d.url, d.url, '{"name": "nickname"}', '{groups}'
			from (values (`+more+`)) as d (provider_type, url)`, identifier)
	}
	add("custom:corp", "null::text, null::text")
	add("custom:off", "null::text, null::text")
	add("custom:shop", "'oauth2', 'https://shop.example/x'")
	add("custom:free", "null::text, null::text")
	s.exec(`update auth.custom_oauth_providers set enabled = false where identifier = 'custom:off'`)
	s.exec(`update auth.custom_oauth_providers set email_optional = true, skip_nonce_check = true where identifier = 'custom:free'`)
	grant := func(name string, claims m) m {
		all := m{"aud": "corp"}
		for k, v := range claims {
			all[k] = v
		}
		return m{"provider": name, "id_token": idToken(corpIss, all)}
	}
	s.play([]scenario{
		{"its token", grantPath, grant("custom:corp", m{"name": "Ida", "nickname": "i", "groups": []string{"a"}}), nil, 200, "", okGrant,
			"select concat_ws(' ', provider, identity_data ->> 'name', identity_data -> 'custom_claims') from auth.identities", "custom:corp Ida"},
		{"for another application of it", grantPath, grant("custom:corp", m{"aud": "corp-ios"}), nil, 200, "", okGrant, "", ""},
		{"in capitals", grantPath, grant("custom:CORP", nil), nil, 200, "", `"provider":"custom:corp"`, "select count(*) from auth.identities", "1"},
		{"optional: address and nonce", grantPath, grant("custom:free", m{"sub": "p-2", "email": nil, "nonce": "x"}), nil, 200, "", okGrant, "", ""},
		{"not there", grantPath, grant("custom:nobody", nil), nil, 400, "validation_failed", `Custom provider \"custom:nobody\" not found`, "", ""},
		{"disabled", grantPath, grant("custom:off", nil), nil, 400, "provider_disabled", `Custom provider \"custom:off\" is disabled`, "", ""},
		{"without ID tokens", grantPath, grant("custom:shop", nil), nil, 400, "validation_failed", `Provider \"custom:shop\" is not an OIDC provider`, "", ""},
	})
	for name, body := range map[string]m{
		badIDToken: {"provider": "custom:corp", "id_token": idToken(googleIss, m{"aud": "corp"})},
		oauthError("invalid request", "Unacceptable audience in id_token: [app]"):                            grant("custom:corp", m{"aud": "app"}),
		oauthError("invalid request", "Passed nonce and nonce in id_token should either both exist or not."): grant("custom:corp", m{"nonce": "x"}),
	} {
		if r := s.grant(body); r.Status != 400 || r.Text != name {
			t.Errorf("%d %s, want %s", r.Status, r.Text, name)
		}
	}
	before := s.statements.Load()
	if r := s.grant(grant("custom:corp", nil)); r.Status != 200 || s.statements.Load()-before != 2 {
		t.Errorf("%d after %d calls", r.Status, s.statements.Load()-before)
	}
	// a provider with Google's issuer is that provider, with its own client ids
	s.exec("update auth.custom_oauth_providers set issuer = $1 where identifier = 'custom:corp'", googleIss)
	if r := s.grant(m{"provider": "custom:corp", "id_token": idToken(googleIss, nil)}); r.Text != oauthError("invalid request", "Unacceptable audience in id_token: [app]") {
		t.Errorf("Google's token for another application: %d %s", r.Status, r.Text)
	}

	off := setupTexting(t, s.dsn, world, append([]string{"GOTRUE_CUSTOM_OAUTH_ENABLED=false"}, idTokenSettings...)...)
	off.play([]scenario{{"switched off", grantPath, grant("custom:corp", nil), nil, 400, "validation_failed", "Custom OAuth providers are disabled", "", ""}})
}

// TestIDTokenCustomSecrets is about a provider whose document lists shared secrets, from the row as well.
func TestIDTokenCustomSecrets(t *testing.T) {
	t.Parallel()
	const corpIss = "https://login.corp.example"
	s, world := setupIssuers(t)
	secret := []byte("a secret that its document of keys tells everybody")
	world.open(corpIss, m{
		"authorization_endpoint": corpIss + "/auth", "token_endpoint": corpIss + "/token",
		"id_token_signing_alg_values_supported": []string{"HS256"},
	})
	world.setKeys(corpIss, jose.JSONWebKey{Key: secret, KeyID: "shared"})
	s.exec(`insert into auth.custom_oauth_providers (provider_type, identifier, name, client_id, client_secret, issuer)
		values ('oidc', 'custom:corp', 'Corp', 'app', 'secret', $1)`, corpIss)
	if r := s.grant(m{"provider": "custom:corp", "id_token": signedBy(secret, "shared", corpIss, nil)}); r.Text != badIDToken {
		t.Errorf("%d %s", r.Status, r.Text)
	}
}

// TestIDTokenCustomLimit counts refused tokens of custom providers against the limit, too, although a call was made.
func TestIDTokenCustomLimit(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t, "GOTRUE_RATE_LIMIT_TOKEN_REFRESH=1")
	var codes []int
	for range 40 {
		codes = append(codes, s.grant(m{"provider": "custom:" + strings.Repeat("x", 9), "id_token": "x"}).Status)
	}
	if got := slices.Index(codes, http.StatusTooManyRequests); got != 30 {
		t.Errorf("refused at the %dth request: %v", got, codes)
	}
}
