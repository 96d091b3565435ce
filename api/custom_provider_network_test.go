package api_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest/idp"
)

// setupCustom starts a provider that speaks TLS, and a server that may reach it where it is and knows it as custom:corp and,
// without OpenID Connect, as custom:shop.
func setupCustom(t *testing.T, settings ...string) (*server, *idp.Provider) {
	t.Helper()
	p := idp.Start(t, idp.Options{TLS: true})
	s := setup(t, append([]string{"POSTERN_OUTBOUND_CA_FILE=" + p.CAFile(t), "POSTERN_OUTBOUND_ALLOWED_NETWORKS=127.0.0.1"}, settings...)...)
	s.addCustomProvider(oidcProvider(m{"issuer": p.URL}))
	s.addCustomProvider(oauth2Provider(m{
		"identifier": "custom:shop", "authorization_url": p.URL + idp.AuthorizePath, "token_url": p.URL + idp.TokenPath,
		"userinfo_url": p.URL + idp.UserinfoPath,
	}))
	return s, p
}

// visitCustom goes to the provider and back, and returns where the browser ends.
func visitCustom(s *server, p *idp.Provider, identifier string) *url.URL {
	s.t.Helper()
	back := p.Visit(s.t, s.location("/authorize?provider="+identifier).String())
	return s.location("/callback?" + back.RawQuery)
}

func TestCustomProviderOverTLS(t *testing.T) {
	t.Parallel()
	s, p := setupCustom(t)
	for _, credentials := range []string{"basic", "form"} {
		for _, algorithm := range []string{"RS256", "ES256"} {
			p.Set(func(k *idp.Knobs) {
				k.Credentials, k.Algorithm, k.DemandsPKCE, k.Secret = credentials, algorithm, true, "s2"
			})
			user := s.userOf(visitCustom(s, p, "custom:corp"))
			if user["email"] != "ann@idp.example.com" || user["app_metadata"].(m)["provider"] != "custom:corp" {
				t.Errorf("%s, %s: %v", credentials, algorithm, user)
			}
			p.RotateKeys(t)
			// A way to send credentials that worked is remembered; new ones make a client of their own.
			s.exec("update auth.custom_oauth_providers set client_id = $1 where identifier = 'custom:corp'", credentials+algorithm)
		}
	}
	if n := len(p.Requests(idp.UserinfoPath)); n != 0 {
		t.Errorf("userinfo was asked %d times in spite of the ID token", n)
	}
	p.Set(func(k *idp.Knobs) { k.Flaw, k.Secret = idp.NoIDToken, "s1" })
	s.userOf(visitCustom(s, p, "custom:shop"))
	if n := len(p.Requests(idp.UserinfoPath)); n != 1 {
		t.Errorf("userinfo was asked %d times", n)
	}
	if got := s.scan("select string_agg(provider, ',' order by provider) from auth.identities"); got != "custom:corp,custom:shop" {
		t.Errorf("identities: %s", got)
	}
}

// ID tokens with a flaw sign nobody in; at_hash is not checked (spec/02 section 14).
func TestCustomProviderFlawedTokens(t *testing.T) {
	t.Parallel()
	s, p := setupCustom(t)
	for _, flaw := range slices.DeleteFunc(idp.Flaws(), func(f idp.Flaw) bool { return f == idp.WrongAtHash }) {
		p.Set(func(k *idp.Knobs) { k.Flaw = flaw })
		if end := visitCustom(s, p, "custom:corp"); end.Query().Get("error_code") != "unexpected_failure" || strings.Contains(end.Fragment, "access_token") {
			t.Errorf("%s: ends at %s", flaw, end)
		}
	}
	if n := s.scan("select count(*) from auth.users"); n != "0" {
		t.Errorf("%s users came of it", n)
	}
	for _, flaw := range []idp.Flaw{idp.WrongAtHash, idp.AudienceList, idp.NoKid, idp.NoNonce, idp.NoIDToken, ""} {
		p.Set(func(k *idp.Knobs) { k.Flaw = flaw })
		s.userOf(visitCustom(s, p, "custom:corp"))
	}
}

// Whatever a custom provider does, the browser lands where it started, and soon; nobody is led into private networks.
func TestCustomProviderFaults(t *testing.T) {
	t.Parallel()
	s, p := setupCustom(t, "GOTRUE_INTERNAL_HTTP_TIMEOUT=1s")
	for _, fault := range idp.Faults() {
		for endpoint, set := range map[string]func(k *idp.Knobs){
			"token":    func(k *idp.Knobs) { k.Token = fault },
			"keys":     func(k *idp.Knobs) { k.Keys = fault },
			"userinfo": func(k *idp.Knobs) { k.Flaw, k.Userinfo = idp.NoIDToken, fault },
		} {
			p.Set(func(k *idp.Knobs) { k.Token, k.Keys, k.Userinfo, k.Flaw = idp.OK, idp.OK, idp.OK, ""; set(k) })
			if end := visitCustom(s, p, "custom:corp"); end.Query().Get("error_code") != "unexpected_failure" {
				t.Errorf("%s, %s: ends at %s", endpoint, fault, end)
			}
		}
	}
	p.Set(func(k *idp.Knobs) { k.Token, k.Keys, k.Userinfo, k.Flaw = idp.OK, idp.OK, idp.OK, "" })
	s.userOf(visitCustom(s, p, "custom:corp"))

	for _, fault := range idp.Faults() {
		p.Set(func(k *idp.Knobs) { k.Discovery = fault })
		r := s.do("POST", "/admin/custom-providers", oidcProvider(m{"identifier": "custom:faulty", "issuer": p.URL}), s.asAdmin()...)
		if text, _ := r.Body["msg"].(string); r.Status != 400 || !strings.HasPrefix(text, "OIDC discovery ") {
			t.Errorf("discovery, %s: %d %s", fault, r.Status, r.Text)
		}
	}
}

// Without the operator's leave no custom provider leads to this machine, however it got into the table or onto the page.
func TestCustomProviderMayNotLeadInside(t *testing.T) {
	t.Parallel()
	p := idp.Start(t, idp.Options{TLS: true})
	s := setup(t, "POSTERN_OUTBOUND_CA_FILE="+p.CAFile(t))
	administer(t, s, []adminStep{
		{"by the API", "POST", "/admin/custom-providers", oidcProvider(m{"issuer": p.URL}), 400, []string{"URL cannot point to localhost or loopback addresses"}},
	})
	s.exec("select postern.create_custom_provider('custom:corp', 'Corp', 'c', 's', issuer => $1)", p.URL)
	s.exec(`select postern.create_custom_provider('custom:shop', 'Shop', 'c', 's', authorization_url => $1, token_url => $2, userinfo_url => $1)`,
		p.URL+idp.AuthorizePath, p.URL+idp.TokenPath)
	r := s.do("GET", "/authorize?provider=custom:corp", nil)
	if r.Status != 400 || !strings.HasPrefix(r.Body["msg"].(string), "Unsupported provider: ") {
		t.Errorf("OpenID Connect: %d %s", r.Status, r.Text)
	}
	if end := visitCustom(s, p, "custom:shop"); end.Query().Get("error_description") == "" {
		t.Errorf("OAuth 2: ends at %s", end)
	}
	for _, path := range []string{idp.DiscoveryPath, idp.TokenPath} {
		if n := len(p.Requests(path)); n != 0 {
			t.Errorf("%s was asked %d times", path, n)
		}
	}
}

// A signed-in user adds an identity of a custom provider; an invitation is taken up with one.
func TestCustomProviderLinks(t *testing.T) {
	t.Parallel()
	s, p := setupCustom(t, "GOTRUE_SECURITY_MANUAL_LINKING_ENABLED=true")
	bob := s.newSession("bob@example.com")
	r := s.do("GET", "/user/identities/authorize?provider=custom:corp&skip_http_redirect=true", nil, bearer(bob.AccessToken)...)
	target, _ := r.Body["url"].(string)
	if user := s.userOf(s.location("/callback?" + p.Visit(t, target).RawQuery)); user["id"] != bob.UserID {
		t.Errorf("the identity went to %v", user)
	}
	invitation, _ := s.do("POST", "/admin/generate_link", m{"type": "invite", "email": "cyd@example.com"}, s.asAdmin()...).Body["hashed_token"].(string)
	p.Set(func(k *idp.Knobs) { k.User["sub"], k.User["email"] = "idp-2", "cyd@example.com" })
	there := s.location("/authorize?provider=custom:shop&invite_token=" + invitation)
	if user := s.userOf(s.location("/callback?" + p.Visit(t, there.String()).RawQuery)); user["email"] != "cyd@example.com" {
		t.Errorf("the invitation went to %v", user)
	}
	if got := s.scan("select string_agg(provider, ',' order by provider) from auth.identities"); got != "custom:corp,custom:shop,email" {
		t.Errorf("identities: %s", got)
	}
}

// Tokens of custom providers are kept and refreshed like others, and no more once the provider is gone.
func TestCustomProviderKeptTokens(t *testing.T) {
	t.Parallel()
	s, p := setupCustom(t, append(encryption("new"), "POSTERN_PROVIDER_TOKENS=custom:corp")...)
	p.Set(func(k *idp.Knobs) { k.ExpiresIn = 30 }) // at its end from the start: a token has to be good for a minute
	values, err := url.ParseQuery(visitCustom(s, p, "custom:corp").Fragment)
	if err != nil {
		t.Fatal(err)
	}
	path := "/user/provider-tokens/" + s.scan("select id::text from auth.identities where provider = 'custom:corp'")
	p.Set(func(k *idp.Knobs) { k.ExpiresIn = 3600 })
	r := s.do("GET", path, nil, bearer(values.Get("access_token"))...)
	if token, _ := r.Body["access_token"].(string); r.Status != 200 || token == "" || token == values.Get("provider_token") {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	s.exec("update postern.provider_tokens set expires_at = now()")
	s.exec("select postern.update_custom_provider('custom:corp', enabled => false)")
	s.play([]scenario{{
		name: "disabled", path: "GET " + path, header: bearer(values.Get("access_token")), status: 400, code: "validation_failed",
		text: "Unsupported provider: custom provider custom:corp is disabled",
	}})
}
