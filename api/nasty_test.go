package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/postern-auth/postern/api/apitest/idp"
	"github.com/postern-auth/postern/api/apitest/nasty"
)

// TestNastyRedirects asks every way that ends in a redirect to end elsewhere. What is asked for is no target, so all end at
// the site.
func TestNastyRedirects(t *testing.T) {
	t.Parallel()
	// nobody delivers the mails, so that they stay as they are
	s, p := setupKeycloak(t, "GOTRUE_SITE_URL="+nasty.Site, "GOTRUE_URI_ALLOW_LIST="+strings.Join(nasty.Patterns(), ","),
		"GOTRUE_SMTP_HOST=127.0.0.1", "GOTRUE_SMTP_PORT=1")
	s.newUser("ann@example.com")
	for i, u := range nasty.Read(t, "redirect/testdata/nasty.txt") {
		all := sources(u.Text)
		n := nastyTry{s, p, u, all[i%len(all)]}
		n.visit([]string{"refusal", "implicit", "pkce"}[i/len(all)%3])
		n.links()
	}
	if n := s.scan("select count(*) > 500 from postern.outbox"); n != "true" {
		t.Error("there are not as many mails as URLs")
	}
	if n := s.scan("select count(*) from postern.outbox where payload ->> 'redirect_to' is distinct from $1", nasty.Site); n != "0" {
		t.Errorf("%s mails lead elsewhere", n)
	}
	if n := s.scan("select count(*) from auth.flow_state where coalesce(referrer, $1) <> $1", nasty.Site); n != "0" {
		t.Errorf("%s flows lead elsewhere", n)
	}
}

// nastyTry is one URL, named in one way.
type nastyTry struct {
	*server
	provider *idp.Provider
	url      nasty.URL
	from     source
}

// visit goes to the provider and back.
func (n nastyTry) visit(flow string) {
	n.t.Helper()
	pkce := ""
	if flow == "pkce" {
		pkce = "&code_challenge_method=plain&code_challenge=" + strings.Repeat("x", 43)
	}
	there := n.do("GET", "/authorize?provider=keycloak"+pkce+n.from.query, nil, n.from.header...)
	n.provider.Set(func(k *idp.Knobs) {
		if k.Denies = ""; flow == "refusal" {
			k.Denies = "access_denied"
		}
	})
	back := n.provider.Visit(n.t, there.Header.Get("Location"))
	end := n.do("GET", "/callback?"+back.RawQuery+n.from.query, nil, n.from.header...)
	n.wantSite(flow, end)
	want := map[string]string{"refusal": "error=access_denied", "implicit": "#access_token=", "pkce": "?code="}[flow]
	if location := end.Header.Get("Location"); !strings.Contains(location, want) {
		n.t.Errorf("%s: no %s: %s", n, want, location)
	}
}

// links asks for links in mails, opens one that is none, and makes one by the API.
func (n nastyTry) links() {
	n.t.Helper()
	n.wantSite("/verify", n.do("GET", "/verify?type=recovery&token=x"+n.from.query, nil, n.from.header...))
	n.do("POST", "/recover?"+n.from.query, m{"email": "ann@example.com"}, n.from.header...)
	if strings.Contains(n.url.Text, "\x00") {
		return // no JSON that is accepted
	}
	body := m{"type": "recovery", "email": "ann@example.com", "redirect_to": n.url.Text}
	link := n.do("POST", "/admin/generate_link?"+n.from.query, body, append(n.asAdmin(), n.from.header...)...)
	if link.Body["redirect_to"] != nasty.Site {
		n.t.Errorf("%s: a generated link leads to %v", n, link.Body["redirect_to"])
	}
}

func (n nastyTry) String() string {
	return fmt.Sprintf("%s, %.60q by %s", n.url.Group, n.url.Text, n.from.name)
}

// wantSite wants a redirect to the site and nothing else, whatever a browser makes of URLs.
func (n nastyTry) wantSite(what string, r response) {
	n.t.Helper()
	rest, isSite := strings.CutPrefix(r.Header.Get("Location"), nasty.Site)
	if !isSite || r.Status/100 != 3 || rest != "" && rest[0] != '?' && rest[0] != '#' {
		n.t.Errorf("%s: %s ends at %.200q: %d %.200s", n, what, r.Header.Get("Location"), r.Status, r.Text)
	}
}

// source is a way to name a target.
type source struct {
	name, query string
	header      []string
}

// sources are the ways that can carry a target: headers hold no control characters, and no blanks at their ends.
func sources(target string) []source {
	escaped := "&redirect_to=" + url.QueryEscape(target)
	list := []source{{"query", escaped, nil}}
	if target != strings.TrimSpace(target) || strings.ContainsFunc(target, func(r rune) bool { return r != '\t' && r < unicode.MaxASCII && unicode.IsControl(r) || r == 0x7f }) {
		return list
	}
	return append(list, source{"header", "", []string{"redirect_to", target}}, source{"Referer", "", []string{"Referer", target}},
		source{"all", escaped, []string{"redirect_to", target, "Referer", target}})
}
