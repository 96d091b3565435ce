package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/seal"
	"github.com/postern-auth/postern/gen"
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

// asked returns what the stage was asked since the last time, without header and body.
func (p *providerStage) asked() []string {
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

// visit goes to a provider and comes back with a code: where /authorize and /callback lead.
func (s *server) visit(query string) (there, back *url.URL) {
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
	s.addCustomProvider(shopProvider(m{"identifier": "custom:plain", "pkce_enabled": false}))
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
		{"custom:plain&client_id=x&state=y", shop + "/authorize", common("c1", url.Values{"v": {"2"}})},
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
			_, back := s.visit("provider=" + id)
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

// The callback makes two statements; several servers follow a change at once, whoever made it.
func TestCustomProviderChangesCountEverywhere(t *testing.T) {
	t.Parallel()
	stage := stageOf(t, someToken, m{"sub": "7", "email": "ann@corp.example", "email_verified": true})
	dsn := apitest.Database(t)
	first, second := setupTexting(t, dsn, stage), setupTexting(t, dsn, stage)
	first.addCustomProvider(corpProvider(nil))
	const document = "GET " + corp + "/.well-known/openid-configuration"
	expect := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, stage.asked()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", what, diff)
		}
	}
	expect("creation", document)
	for range 2 {
		before := second.statements.Load()
		_, back := second.visit("provider=custom:corp")
		if n := second.statements.Load() - before; n != 4 {
			t.Errorf("a visit takes %d statements, want 4", n)
		}
		second.userOf(back)
		expect("a visit with the document in the row", "POST "+corp+"/token", "GET "+corp+"/me")
	}

	stage.play(document, corpDocument(m{"authorization_endpoint": corp + "/v2/auth", "token_endpoint": shop + "/token"}))
	if r := first.do("PUT", "/admin/custom-providers/custom:corp", m{"issuer": corp, "client_id": "c3", "client_secret": "s3"}, first.asAdmin()...); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	expect("a given issuer", document)
	there, back := second.visit("provider=custom:corp")
	second.userOf(back)
	if there.Path != "/v2/auth" || there.Query().Get("client_id") != "c3" {
		t.Errorf("the change does not count: %s", there)
	}
	expect("a visit after the change", "POST "+shop+"/token", "GET "+corp+"/me")

	// by SQL: the document is read by the server that needs it, and remembered until the next change
	second.exec("select postern.update_custom_provider('custom:corp', discovery_url => $1)", corp+"/doc")
	stage.play("GET "+corp+"/doc", corpDocument(m{"authorization_endpoint": corp + "/v3/auth"}))
	for i, s := range []*server{first, first, second} {
		if there := s.location("/authorize?provider=custom:corp"); there.Path != "/v3/auth" {
			t.Errorf("the change does not count: %s", there)
		}
		if i == 1 {
			expect("what one server remembers", "GET "+corp+"/doc")
		}
	}
	expect("what another server has to ask", "GET "+corp+"/doc")
	stage.play("GET "+corp+"/doc", corpDocument(m{"authorization_endpoint": corp + "/v4/auth"}))
	second.exec("select postern.update_custom_provider('custom:corp', name => 'Corp 2')")
	if there := first.location("/authorize?provider=custom:corp"); there.Path != "/v4/auth" {
		t.Errorf("a change of the name makes the document be read: %s", there)
	}
	second.exec("select postern.delete_custom_provider('custom:corp')")
	first.play([]scenario{{name: "deleted", path: "GET /authorize?provider=custom:corp", status: 400, code: "validation_failed"}})
}

// A stored document without algorithms, as the reference leaves it, or an old one is read anew.
func TestCustomProviderStoredDocument(t *testing.T) {
	t.Parallel()
	stage := stageOf(t, someToken, nil)
	s := setupTexting(t, apitest.Database(t), stage)
	id := s.addCustomProvider(corpProvider(nil))
	stage.asked()
	const document = "GET " + corp + "/.well-known/openid-configuration"
	for name, c := range map[string]struct {
		change string
		asks   int
	}{
		"fresh":              {"discovery_cached_at = now() - interval '10 minutes'", 0},
		"old":                {"discovery_cached_at = now() - interval '2 hours'", 1},
		"without algorithms": {"discovery_cached_at = now(), cached_discovery = cached_discovery - 'id_token_signing_alg_values_supported'", 1},
		"of another issuer":  {`discovery_cached_at = now(), cached_discovery = cached_discovery || '{"issuer": "https://x.example"}'`, 1},
		"none":               {"cached_discovery = null", 1},
	} {
		row := s.scan("select cached_discovery::text from auth.custom_oauth_providers")
		s.exec("update auth.custom_oauth_providers set updated_at = clock_timestamp(), " + c.change)
		s.location("/authorize?provider=custom:corp")
		if got := len(stage.asked()); got != c.asks {
			t.Errorf("%s: the document was read %d times", name, got)
		}
		s.exec("update auth.custom_oauth_providers set cached_discovery = $1 where id = $2", row, id)
	}
	// when it cannot be read again, what this version of the row said goes on to count
	s.exec("update auth.custom_oauth_providers set discovery_cached_at = now() - interval '2 hours', updated_at = clock_timestamp()")
	stage.play(document, nil)
	s.location("/authorize?provider=custom:corp")
}

// Secrets are sealed for their row; those that SQL left are sealed at first use; all can be sealed under a new key.
func TestCustomProviderSecretsAreEncrypted(t *testing.T) {
	t.Parallel()
	stage := stageOf(t, someToken, m{"sub": "7", "email": "ann@corp.example", "email_verified": true})
	first := setupTexting(t, apitest.Database(t), stage, encryption("old")...)
	second := setupTexting(t, first.dsn, stage, encryption("new")...)
	off := setupTexting(t, first.dsn, stage, encryption("new")[3])
	stored := func() string { return first.scan("select client_secret from auth.custom_oauth_providers") }
	expect := func(what, id, key, plain string) {
		t.Helper()
		if got := keyOf(stored()); got != key {
			t.Errorf("%s: the secret is %s, want %s: %s", what, got, key, stored())
		}
		if got, _, err := sealer(t, "new").Open(id, stored()); err != nil || got != plain {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	visits := func(s *server, statements int64) {
		t.Helper()
		before := s.statements.Load()
		there := s.location("/authorize?provider=custom:shop")
		back := s.location("/callback?code=code-1&state=" + there.Query().Get("state"))
		if n := s.statements.Load() - before; n != statements {
			t.Errorf("a visit takes %d statements, want %d", n, statements)
		}
		s.userOf(back)
	}
	id := first.addCustomProvider(shopProvider(nil))
	expect("creation", id, "old", "s1")
	if _, _, err := sealer(t, "old").Open("00000000-0000-4000-8000-000000000001", stored()); err == nil {
		t.Error("the secret can be read in another row")
	}
	visits(first, 4)
	visits(off, 4)
	expect("use without a reason", id, "old", "s1")
	visits(second, 5)
	expect("use with another key", id, "new", "s1")
	first.do("PUT", "/admin/custom-providers/custom:shop", m{"client_secret": "s4"}, first.asAdmin()...)
	expect("change", id, "old", "s4")
	first.do("PUT", "/admin/custom-providers/custom:shop", m{"name": "Shop"}, second.asAdmin()...)
	expect("change of something else", id, "old", "s4")

	version := "select updated_at::text from auth.custom_oauth_providers"
	first.exec("select postern.update_custom_provider('custom:shop', client_secret => 's5')")
	expect("change by SQL", id, "plain", "s5")
	visits(off, 4)
	before := first.scan(version)
	visits(second, 5)
	expect("use of what SQL left", id, "new", "s5")
	if got := first.scan(version); got != before {
		t.Errorf("sealing is a change of the provider: %s, was %s", got, before)
	}
	if requests := strings.Join(stage.requests, "\n"); !strings.Contains(requests, "Authorization: Basic YzE6czU=") { // c1:s5
		t.Errorf("the provider did not get the secret: %s", requests)
	}

	done, err := sealer(t, "old").Rotate(t.Context(), gen.New(first.DB), "custom_oauth_providers.client_secret", 10,
		func(id string, err error) { t.Errorf("%s: %v", id, err) })
	if err != nil || done.Sealed != 1 {
		t.Errorf("rotation: %+v, %v", done, err)
	}
	expect("rotation", id, "old", "s5")
	visits(first, 4)

	// what no key opens is the operator's concern, and is not told
	first.exec("update auth.custom_oauth_providers set client_secret = $1", strings.Replace(stored(), `"old"`, `"gone"`, 1))
	if r := first.do("GET", "/authorize?provider=custom:shop", nil); r.Status != 500 || strings.Contains(r.Text, "gone") {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	if !strings.Contains(first.logged.String(), (seal.UnknownKeyError{ID: "gone"}).Error()[:20]) {
		t.Errorf("the log does not say why: %s", first.logged)
	}
}

// Discovery when a provider is made or changed.
func TestCustomProviderDiscovery(t *testing.T) {
	t.Parallel()
	stage := stageOf(t, nil, nil)
	s := setupTexting(t, apitest.Database(t), stage)
	const usual = corp + "/.well-known/openid-configuration"
	failed := `OIDC discovery from \"` + usual + `\" failed: `
	create := func(name string, body m, status int, want ...string) {
		t.Helper()
		administer(t, s, []adminStep{{name, "POST", "/admin/custom-providers", body, status, want}})
	}
	stage.play("GET "+usual, nil)
	create("no answer", corpProvider(nil), 400, failed+`Get \"`+usual)
	stage.play("GET "+usual, "no object")
	create("no object", corpProvider(nil), 400, failed+`GET `+usual)
	stage.play("GET "+usual, corpDocument(m{"issuer": corp + "/"}))
	create("another issuer", corpProvider(nil), 400,
		failed+`oidc: issuer did not match the issuer returned by provider, expected \"`+corp+`\" got \"`+corp+`/\"`)
	stage.play("GET "+usual, m{})
	create("empty", corpProvider(nil), 400,
		`"OIDC discovery document is missing required fields: issuer, authorization_endpoint, token_endpoint, jwks_uri"`)
	stage.play("GET "+usual, corpDocument(m{"token_endpoint": nil}))
	create("one missing", corpProvider(nil), 400, `"OIDC discovery document is missing required fields: token_endpoint"`)
	stage.play("GET "+usual, corpDocument(m{"padding": strings.Repeat("x", 1<<20)}))
	create("too large", corpProvider(nil), 400, failed)
	if n := s.scan("select count(*) from auth.custom_oauth_providers"); n != "0" {
		t.Fatalf("%s providers", n)
	}

	stage.play("GET "+usual, corpDocument(nil))
	create("works", corpProvider(m{"scopes": []string{"email"}, "authorization_url": "http://ignored"}), 201,
		`"scopes":["openid","email"]`, `"issuer":"`+corp+`"`, `"discovery_document":{`, `"userinfo_endpoint":"`+corp+`/me"`, `"scopes_supported":["openid"]`,
		`"response_types_supported":["code"]`, `"grant_types_supported":["authorization_code"]`, `"subject_types_supported":["public"]`,
		"!claims_supported", "!id_token_signing", "!discovery_url", "!authorization_url")
	if stage.asked(); s.scan("select (discovery_cached_at > now() - interval '1 minute')::text from auth.custom_oauth_providers") != "true" {
		t.Error("the document is not in the row")
	}
	const one = "/admin/custom-providers/custom:corp"
	stage.play("GET "+corp+"/other", corpDocument(m{"token_endpoint": corp + "/t2"}))
	administer(t, s, []adminStep{
		{"nothing about discovery", "PUT", one, object{"name": "C", "scopes": []string{}}, 200, []string{`"token_endpoint":"` + corp + `/token"`, `"scopes":["openid"]`}},
		{"another address", "PUT", one, object{"discovery_url": corp + "/other"}, 200, []string{`"token_endpoint":"` + corp + `/t2"`, `"discovery_url":"` + corp + `/other"`}},
		{"an issuer that is not there", "PUT", one, object{"issuer": shop}, 400, []string{`OIDC discovery from \"` + corp + `/other\" failed: oidc: issuer did not match`}},
		{"what was stays", "GET", one, nil, 200, []string{`"token_endpoint":"` + corp + `/t2"`, `"issuer":"` + corp + `"`}},
	})
	if diff := cmp.Diff([]string{"GET " + corp + "/other", "GET " + corp + "/other"}, stage.asked()); diff != "" {
		t.Error(diff)
	}
}
