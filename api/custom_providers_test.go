package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/apitest"
)

const (
	shop = "https://shop.example"
	corp = "https://login.corp.example"
)

// shopProvider is an OAuth 2 provider, corpProvider one of OpenID Connect, at the hosts that stageOf plays.
func shopProvider(changes m) m {
	return oauth2Provider(changed(m{
		"identifier": "custom:shop", "authorization_url": shop + "/authorize?v=2", "token_url": shop + "/token", "userinfo_url": shop + "/me",
	}, changes))
}

func corpProvider(changes m) m {
	return oidcProvider(changed(m{"issuer": corp}, changes))
}

// corpDocument is a discovery document.
func corpDocument(changes m) m {
	return changed(m{
		"issuer": corp, "authorization_endpoint": corp + "/auth", "token_endpoint": corp + "/token", "jwks_uri": corp + "/keys",
		"userinfo_endpoint": corp + "/me", "id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported": []string{"openid"}, "response_types_supported": []string{"code"},
		"grant_types_supported": []string{"authorization_code"}, "subject_types_supported": []string{"public"}, "claims_supported": []string{"sub"},
	}, changes)
}

// stageOf plays both providers: the answers of the token endpoints and of userinfo are as given.
func stageOf(t testing.TB, token, me any) *providerStage {
	t.Helper()
	stage := &providerStage{t: t, key: providerKey(), answers: map[string]json.RawMessage{}}
	for request, answer := range map[string]any{
		"POST " + shop + "/token": token, "GET " + shop + "/me": me, "POST " + corp + "/token": token, "GET " + corp + "/me": me,
		"GET " + corp + "/keys": json.RawMessage(`"<jwks>"`), "GET " + corp + "/.well-known/openid-configuration": corpDocument(nil),
	} {
		stage.play(request, answer)
	}
	return stage
}

// play sets the answer to a request; nil is none.
func (p *providerStage) play(request string, answer any) {
	text, isText := answer.(json.RawMessage)
	if !isText {
		var err error
		if text, err = json.Marshal(answer); err != nil {
			p.t.Fatal(err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answers[request] = text; answer == nil {
		delete(p.answers, request)
	}
}

// lines returns what the stage was asked since the last time, without header and body.
func (p *providerStage) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var lines []string
	for _, request := range p.requests {
		line, _, _ := strings.Cut(request, "\n")
		lines = append(lines, line)
	}
	p.requests = nil
	return lines
}

func (s *server) addCustomProvider(body m) string {
	s.t.Helper()
	r := s.do("POST", "/admin/custom-providers", body, s.asAdmin()...)
	if r.Status != http.StatusCreated {
		s.t.Fatalf("%d %s", r.Status, r.Text)
	}
	return r.Body["id"].(string)
}

// roundTrip goes to a provider and comes back with a code: where /authorize and /callback lead.
func (s *server) roundTrip(query string) (there, back *url.URL) {
	s.t.Helper()
	there = s.location("/authorize?" + query)
	return there, s.location("/callback?code=code-1&state=" + there.Query().Get("state"))
}

// location is where a redirect leads.
func (s *server) location(path string) *url.URL {
	s.t.Helper()
	r := s.do("GET", path, nil)
	u, err := url.Parse(r.Header.Get("Location"))
	if err != nil || r.Status != http.StatusFound {
		s.t.Fatalf("%s: %d %s", path, r.Status, r.Text)
	}
	return u
}

var someToken = m{"access_token": "at", "refresh_token": "rt", "token_type": "bearer"}

func TestCustomProviderAuthorize(t *testing.T) {
	t.Parallel()
	s := setupTexting(t, apitest.Database(t), stageOf(t, nil, nil), "GOTRUE_CUSTOM_OAUTH_EXTERNAL_URL=https://login.example.com/auth/v1//")
	s.addCustomProvider(shopProvider(m{"scopes": []string{"read", "mail"}, "authorization_params": m{"prompt": "login", "audience": "shop"}}))
	s.addCustomProvider(shopProvider(m{"identifier": "custom:plain", "pkce_enabled": false, "authorization_params": m{"provider": "x", "State": "y"}}))
	s.exec(`update auth.custom_oauth_providers set authorization_params = authorization_params || '{"nonce": "n", "state": "s", "n": 1}'
		where identifier = 'custom:plain'`) // as no caller of ours may

	s.addCustomProvider(corpProvider(m{"scopes": []string{"email"}}))
	common := func(client string, more url.Values) url.Values {
		values := url.Values{"client_id": {client}, "redirect_uri": {"https://login.example.com/auth/v1/callback"}, "response_type": {"code"}}
		for name, v := range more {
			values[name] = v
		}
		return values
	}
	for _, c := range []struct {
		query, base string
		want        url.Values
	}{
		{"custom:shop", shop + "/authorize", common("c1", url.Values{"v": {"2"}, "scope": {"read mail"}, "prompt": {"login"}, "audience": {"shop"}, "code_challenge_method": {"S256"}})},
		{"CUSTOM:Shop&scopes=a,b%20c&prompt=none&login_hint=ann&nonce=n", shop + "/authorize", common("c1", url.Values{
			"v": {"2"}, "scope": {"a,b c"}, "prompt": {"login"}, "audience": {"shop"}, "login_hint": {"ann"}, "nonce": {"n"}, "code_challenge_method": {"S256"}})},
		{"custom:plain&client_id=x&state=y", shop + "/authorize", common("c1", url.Values{"v": {"2"}, "provider": {"x"}, "State": {"y"}})},
		{"custom:corp", corp + "/auth", common("c2", url.Values{"scope": {"openid email"}, "code_challenge_method": {"S256"}})},
		{"custom:corp&scopes=profile", corp + "/auth", common("c2", url.Values{"scope": {"openid profile"}, "code_challenge_method": {"S256"}})},
		{"custom:corp&scopes=profile+openid", corp + "/auth", common("c2", url.Values{"scope": {"profile openid"}, "code_challenge_method": {"S256"}})},
	} {
		before := s.statements.Load()
		u := s.location("/authorize?provider=" + c.query)
		if n := s.statements.Load() - before; n != 2 {
			t.Errorf("%s takes %d statements, want 2", c.query, n)
		}
		got := u.Query()
		if hasChallenge := len(got.Get("code_challenge")) == 43; hasChallenge != (c.want.Get("code_challenge_method") != "") {
			t.Errorf("%s: code_challenge %q", c.query, got.Get("code_challenge"))
		}
		got.Del("code_challenge")
		got.Del("state")
		u.RawQuery = ""
		if diff := cmp.Diff(c.want, got); diff != "" || u.String() != c.base {
			t.Errorf("%s: %s\n%s", c.query, u, diff)
		}
	}
	if got := s.scan("select string_agg(distinct provider_type, ',') from auth.flow_state"); got != "custom:corp,custom:plain,custom:shop" {
		t.Errorf("flows of %s", got)
	}
}

// userOf is the user that a fragment signs in.
func (s *server) userOf(back *url.URL) m {
	s.t.Helper()
	values, err := url.ParseQuery(back.Fragment)
	if err != nil || values.Get("access_token") == "" {
		s.t.Fatalf("nobody signed in: %s", back)
	}
	return s.do("GET", "/user", nil, bearer(values.Get("access_token"))...).Body
}

// What comes of a visit: identity_data of the new user, without the flag for phones.
func TestCustomProviderIdentity(t *testing.T) {
	t.Parallel()
	// Ten numbers of this size are one float64: an id has to stay as it was written.
	me := m{"sub": "7", "id": json.Number("12345678901234567890"), "email": "Ann@corp.example", "email_verified": true, "mail": "other@corp.example",
		"name": "Ann", "nickname": nil, "groups": []any{"a", "b"}, "shoe": 38, "updated_at": 1700000000, "phone_number": "1"}
	tokenWith := func(claims m) m {
		return changed(m{"id_token": changed(m{"iss": corp, "aud": "c2", "sub": "7", "email": "ann@corp.example", "email_verified": true}, claims)}, someToken)
	}
	for name, c := range map[string]struct {
		provider, token, me m
		want                m
	}{
		"standard claims": {shopProvider(nil), someToken, me, m{
			"sub": "7", "email": "ann@corp.example", "email_verified": true, "name": "Ann", "updated_at": "2023-11-14T22:13:20Z"}},
		"unverified without a flag": {shopProvider(m{"email_optional": true}), someToken, m{"sub": "7"}, m{"sub": "7", "email_verified": false}},
		"mapping": {shopProvider(m{"attribute_mapping": m{
			"sub": "id", "full_name": "name", "name": "nobody", "nickname": "shoe", "shoe": "shoe", "locale": 7, "custom_claims": m{"plan": "pro"},
		}}), someToken, me, m{"sub": "12345678901234567890", "email": "ann@corp.example", "email_verified": true, "name": "Ann", "full_name": "Ann",
			"nickname": "38", "updated_at": "2023-11-14T22:13:20Z", "custom_claims": m{"plan": "pro"}}},
		"allowed claims": {shopProvider(m{"custom_claims_allowlist": []string{"groups", "id", "missing"}}), someToken, me, m{
			"sub": "7", "email": "ann@corp.example", "email_verified": true, "name": "Ann", "updated_at": "2023-11-14T22:13:20Z",
			"custom_claims": m{"groups": []any{"a", "b"}, "id": json.Number("12345678901234567890")}}},
		"address by mapping": {shopProvider(m{"attribute_mapping": m{"email": "mail"}}), someToken,
			m{"sub": "7", "mail": "ann@corp.example", "email_verified": true}, m{"sub": "7", "email": "ann@corp.example", "email_verified": true}},
		"no ID token": {corpProvider(nil), someToken, me, m{
			"sub": "7", "email": "ann@corp.example", "email_verified": true, "name": "Ann", "updated_at": "2023-11-14T22:13:20Z"}},
		"ID token": {corpProvider(nil), tokenWith(m{"at_hash": "of another token", "shoe": 38, "name": "Ann"}), nil, m{
			"iss": corp, "aud": []any{"c2"}, "sub": "7", "email": "ann@corp.example", "email_verified": true, "name": "Ann"}},
		"ID token of another client": {corpProvider(m{"acceptable_client_ids": []string{"ios", "web"}}), tokenWith(m{"aud": []string{"x", "web"}}), nil, m{
			"iss": corp, "aud": []any{"x", "web"}, "sub": "7", "email": "ann@corp.example", "email_verified": true}},
		"the address is that of the ID token": {corpProvider(m{"attribute_mapping": m{"email": "mail", "sub": "id"}, "custom_claims_allowlist": []string{"id"}}),
			tokenWith(m{"mail": "other@corp.example", "id": json.Number("4503599627370497")}), nil, m{"iss": corp, "aud": []any{"c2"}, "sub": "4503599627370497",
				"email": "ann@corp.example", "email_verified": true, "custom_claims": m{"id": json.Number("4503599627370497")}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupTexting(t, apitest.Database(t), stageOf(t, c.token, c.me))
			s.addCustomProvider(c.provider)
			id := c.provider["identifier"].(string)
			_, back := s.roundTrip("provider=" + id)
			user := s.userOf(back)
			if got := user["app_metadata"].(m)["provider"]; got != id {
				t.Errorf("provider %v", got)
			}
			var got m
			text := s.scan("select (identity_data - '{phone_verified,iat,exp}'::text[])::text from auth.identities where provider = $1", id)
			decoder := json.NewDecoder(strings.NewReader(text))
			decoder.UseNumber()
			if err := decoder.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got := s.scan("select provider_id from auth.identities"); got != c.want["sub"] {
				t.Errorf("provider_id %s", got)
			}
		})
	}
}

// Refusals at /authorize, and those of the callback, which reach the app.
func TestCustomProviderRunTimeRefusals(t *testing.T) {
	t.Parallel()
	stage := stageOf(t, someToken, m{"sub": "7", "email": "ann@corp.example", "email_verified": true})
	s := setupTexting(t, apitest.Database(t), stage)
	s.addCustomProvider(shopProvider(nil))
	s.addCustomProvider(corpProvider(nil))
	s.addCustomProvider(shopProvider(m{"identifier": "custom:off", "enabled": false}))
	s.addCustomProvider(corpProvider(m{"identifier": "custom:lost"}))
	s.exec("update auth.custom_oauth_providers set cached_discovery = null, discovery_url = $1 where identifier = 'custom:lost'", corp+"/nowhere")
	for query, message := range map[string]string{
		"custom:nobody": "custom provider custom:nobody not found", "CUSTOM:Nobody": "custom provider custom:nobody not found",
		"custom:": "custom provider custom: not found", "custom:off": "custom provider custom:off is disabled",
		"custom:lost": `Get "` + corp + `/nowhere": the recording has no answer`,
	} {
		s.play([]scenario{{
			name: query, path: "GET /authorize?provider=" + query, status: 400, code: "validation_failed",
			text: strings.Trim(string(quoted("Unsupported provider: "+message)), `"`),
		}})
	}

	token := func(claims m) m { return changed(m{"id_token": claims}, someToken) }
	for _, c := range []struct {
		name, id string
		change   func()
		code     string
		message  string
	}{
		{"disabled meanwhile", "custom:shop", func() { s.exec("update auth.custom_oauth_providers set enabled = false") },
			"oauth_provider_not_supported", "Unsupported provider: custom provider custom:shop is disabled"},
		{"deleted meanwhile", "custom:shop", func() {
			s.exec("update auth.custom_oauth_providers set identifier = 'custom:gone' where identifier = 'custom:shop'")
		},
			"oauth_provider_not_supported", "Unsupported provider: custom provider custom:shop not found"},
		{"no code verifier", "custom:shop", func() { s.exec("update auth.flow_state set oauth_client_state_id = null") },
			"oauth_invalid_state", "OAuth PKCE code verifier missing"},
		{"no tokens", "custom:shop", func() { stage.play("POST "+shop+"/token", nil) }, "unexpected_failure", "Unable to exchange external code: code"},
		{"no userinfo", "custom:shop", func() { stage.play("GET "+shop+"/me", nil) }, "unexpected_failure", "Error getting user profile from external provider"},
		{"userinfo is a list", "custom:shop", func() { stage.play("GET "+shop+"/me", []int{1}) }, "unexpected_failure", "Error getting user profile from external provider"},
		{"no sub, an id does not count", "custom:shop", func() { stage.play("GET "+shop+"/me", m{"id": "7", "email": "ann@corp.example"}) },
			"unexpected_failure", "Error getting user profile from external provider"},
		{"no address", "custom:shop", func() { stage.play("GET "+shop+"/me", m{"sub": "7"}) }, "unexpected_failure", "Error getting user email from external provider"},
		{"unverified", "custom:shop", func() {
			stage.play("GET "+shop+"/me", m{"sub": "8", "email": "bob@corp.example", "email_verified": "true"})
		},
			"provider_email_needs_verification", "Unverified email with custom:shop. A confirmation email has been sent to your custom:shop email"},
		{"a flag about another address", "custom:shop", func() {
			s.exec(`update auth.custom_oauth_providers set attribute_mapping = '{"email": "mail"}'`)
			stage.play("GET "+shop+"/me", m{"sub": "9", "email": "ann@corp.example", "email_verified": true, "mail": "cyd@corp.example"})
		}, "provider_email_needs_verification", "Unverified email with custom:shop. A confirmation email has been sent to your custom:shop email"},
		{"foreign audience", "custom:corp", func() { stage.play("POST "+corp+"/token", token(m{"iss": corp, "aud": "c1", "sub": "7"})) },
			"unexpected_failure", "Error getting user profile from external provider"},
		{"foreign issuer", "custom:corp", func() { stage.play("POST "+corp+"/token", token(m{"iss": shop, "aud": "c2", "sub": "7"})) },
			"unexpected_failure", "Error getting user profile from external provider"},
	} {
		stage.play("POST "+shop+"/token", someToken)
		stage.play("GET "+shop+"/me", m{"sub": "7", "email": "ann@corp.example", "email_verified": true})
		s.exec("update auth.custom_oauth_providers set enabled = true, attribute_mapping = '{}'")
		there := s.location("/authorize?provider=" + c.id)
		c.change()
		before := s.statements.Load()
		back := s.location("/callback?code=code-1&state=" + there.Query().Get("state")).Query()
		if n := s.statements.Load() - before; n > 2 {
			t.Errorf("%s takes %d statements", c.name, n)
		}
		if back.Get("error_code") != c.code || back.Get("error_description") != c.message {
			t.Errorf("%s: %s", c.name, back.Encode())
		}
		s.exec("update auth.custom_oauth_providers set identifier = 'custom:shop' where identifier = 'custom:gone'")
	}
}
