package api_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest/idp"
)

// setupKeycloak starts a provider and a server that knows it.
func setupKeycloak(t *testing.T, settings ...string) (*server, *idp.Provider) {
	t.Helper()
	p := idp.Start(t, idp.Options{})
	return setup(t, append([]string{
		"GOTRUE_EXTERNAL_KEYCLOAK_ENABLED=true", "GOTRUE_EXTERNAL_KEYCLOAK_CLIENT_ID=postern", "GOTRUE_EXTERNAL_KEYCLOAK_SECRET=s",
		"GOTRUE_EXTERNAL_KEYCLOAK_REDIRECT_URI=https://api.example.com/callback", "GOTRUE_EXTERNAL_KEYCLOAK_URL=" + p.URL,
	}, settings...)...), p
}

// visit goes to the provider and back, and returns where the browser ends. query is added to /authorize.
func visit(s *server, p *idp.Provider, query string) *url.URL {
	s.t.Helper()
	there := s.do("GET", "/authorize?provider=keycloak"+query, nil)
	back := p.Visit(s.t, there.Header.Get("Location"))
	r := s.do("GET", "/callback?"+back.RawQuery, nil)
	end, err := url.Parse(r.Header.Get("Location"))
	if err != nil || end.Host == "" {
		s.t.Fatalf("the callback ends at %q: %d %s", end, r.Status, r.Text)
	}
	return end
}

// Whatever a provider does, the browser lands where it started, and soon.
func TestFaultsOfAProvider(t *testing.T) {
	t.Parallel()
	s, p := setupKeycloak(t, "GOTRUE_INTERNAL_HTTP_TIMEOUT=1s")
	const target = "https://app.example.com/welcome?a=b"
	for _, endpoint := range []string{"token", "userinfo"} {
		for _, fault := range idp.Faults() {
			p.Set(func(k *idp.Knobs) {
				k.Token, k.Userinfo = idp.OK, fault
				if endpoint == "token" {
					k.Token, k.Userinfo = fault, idp.OK
				}
			})
			end := visit(s, p, "&redirect_to="+url.QueryEscape(target))
			q := end.Query()
			if end.Host != "app.example.com" || end.Path != "/welcome" || q.Get("a") != "b" || q.Get("error") != "server_error" ||
				q.Get("error_code") != "unexpected_failure" {
				t.Errorf("%s, %s: ends at %s", endpoint, fault, end)
			}
			if strings.Contains(end.String(), "secret") {
				t.Errorf("%s, %s: what the provider says of itself is shown: %s", endpoint, fault, end)
			}
		}
	}
	if n := s.scan("select count(*) from auth.users"); n != "0" {
		t.Errorf("%s users came of it", n)
	}
	p.Set(func(k *idp.Knobs) { k.Token, k.Userinfo = idp.OK, idp.OK })
	if end := visit(s, p, ""); !strings.Contains(end.Fragment, "access_token=") {
		t.Errorf("without a fault: ends at %s", end)
	}
	p.Set(func(k *idp.Knobs) { k.Denies = "access_denied" })
	if q := visit(s, p, "").Query(); q.Get("error") != "access_denied" || q.Get("error_description") != "The person said no" {
		t.Errorf("denied: %v", q)
	}
}
