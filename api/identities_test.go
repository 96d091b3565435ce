package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// gitHub is a stand-in for GitHub at which everybody is the user of that id, with that address.
func gitHub(t *testing.T, id int, email string, isVerified bool) []string {
	t.Helper()
	answers := map[string]any{
		"/login/oauth/access_token": m{"access_token": "at", "token_type": "bearer"},
		"/api/v3/user":              m{"id": id, "login": "octo"},
		"/api/v3/user/emails":       []m{{"email": email, "primary": true, "verified": isVerified}},
	}
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answers[r.URL.Path])
	}))
	t.Cleanup(there.Close)
	const prefix = "GOTRUE_EXTERNAL_GITHUB_"
	return []string{
		prefix + "ENABLED=true", prefix + "CLIENT_ID=id", prefix + "SECRET=secret", prefix + "REDIRECT_URI=https://api.example.com/callback",
		prefix + "URL=" + there.URL, "GOTRUE_SECURITY_MANUAL_LINKING_ENABLED=true", "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true",
	}
}

// comeBack is the browser's way back from GitHub, out of the URL that led there; it returns where it ends.
func (s *server) comeBack(authorizeURL string) *url.URL {
	s.t.Helper()
	u, err := url.Parse(authorizeURL)
	if err != nil || u.Query().Get("state") == "" {
		s.t.Fatalf("no state in %q", authorizeURL)
	}
	r := s.do("GET", "/callback?code=c&state="+u.Query().Get("state"), nil)
	target, err := url.Parse(r.Header.Get("Location"))
	if err != nil || r.Status != http.StatusFound && r.Status != http.StatusSeeOther {
		s.t.Fatalf("GET /callback: %d %s", r.Status, r.Text)
	}
	return target
}

const linkPath = "/user/identities/authorize?provider=github&skip_http_redirect=true"

func TestManualLinking(t *testing.T) {
	t.Parallel()
	s := setup(t, gitHub(t, 7, "octo@example.com", true)...)
	ann := s.newSession("ann@example.com")
	as := bearer(ann.AccessToken)
	s.play([]scenario{
		{"signed out", "GET " + linkPath, nil, nil, 401, "no_authorization", "", "", ""},
		{"a provider that is off", "GET /user/identities/authorize?provider=gitlab", nil, as, 400, "validation_failed", "Unsupported provider: provider is not enabled", "", ""},
		{"half of PKCE", "GET " + linkPath + "&code_challenge=x", nil, as, 400, "validation_failed", "PKCE flow requires", "", ""},
		{"a session that ended", "GET " + linkPath, nil, bearer(s.token(jwt.MapClaims{"sub": ann.UserID, "session_id": nobodyID})), 403, "session_not_found", "", "select count(*) from auth.flow_state", "0"},
		{"no id of an identity", "DELETE /user/identities/x", nil, as, 404, "validation_failed", "identity_id must be an UUID", "", ""},
		{"another audience", "DELETE /user/identities/" + nobodyID, nil, append(bearer(ann.AccessToken), "X-JWT-AUD", "other"), 403, "unexpected_audience", "Token audience doesn't match request audience", "", ""},
		{"the only identity", "DELETE /user/identities/" + nobodyID, nil, as, 422, "single_identity_not_deletable", "", "", ""},
	})
	if r := s.do("GET", "/user/identities/authorize?provider=github", nil, as...); r.Status != http.StatusFound {
		t.Errorf("without skip_http_redirect: %d %s", r.Status, r.Text)
	}
	target := s.comeBack(s.need(s.do("GET", linkPath, nil, as...), "url"))
	fragment, _ := url.ParseQuery(target.Fragment)
	if s.claim(fragment.Get("access_token"), "sub") != ann.UserID || s.claim(fragment.Get("access_token"), "email") != "ann@example.com" {
		t.Errorf("linking leads to %s", target)
	}
	target = s.comeBack(s.need(s.do("GET", linkPath, nil, as...), "url"))
	if q := target.Query(); q.Get("error_code") != "identity_already_exists" || q.Get("error_description") != "Identity is already linked" {
		t.Errorf("linking again leads to %s", target)
	}
	github := s.scan("select id::text from auth.identities where provider = 'github'")
	s.play([]scenario{
		{"of nobody", "DELETE /user/identities/" + nobodyID, nil, as, 422, "identity_not_found", "Identity doesn't exist", "", ""},
		{"unlink", "DELETE /user/identities/" + github, nil, as, 200, "", "{}", "select raw_app_meta_data ->> 'providers' from auth.users", `["email"]`},
	})
}

// A flow with PKCE ends with a code, and its exchange with a session.
func TestManualLinkingWithPKCE(t *testing.T) {
	t.Parallel()
	s := setup(t, gitHub(t, 7, "octo@example.com", true)...)
	ann := s.newSession("ann@example.com")
	r := s.do("GET", linkPath+"&code_challenge_method=s256&code_challenge="+challenge(verifier), nil, bearer(ann.AccessToken)...)
	target := s.comeBack(s.need(r, "url"))
	r = s.do("POST", "/token?grant_type=pkce", m{"auth_code": target.Query().Get("code"), "code_verifier": verifier})
	if s.need(r, "user", "id") != ann.UserID {
		t.Errorf("signed in as %v", r.Body["user"])
	}
}

// The user may be deleted while at the provider.
func TestLinkingForSomebodyDeleted(t *testing.T) {
	t.Parallel()
	s := setup(t, gitHub(t, 7, "octo@example.com", true)...)
	ann := s.newSession("ann@example.com")
	there := s.need(s.do("GET", linkPath, nil, bearer(ann.AccessToken)...), "url")
	s.exec("delete from auth.users where id = $1::uuid", ann.UserID)
	if q := s.comeBack(there).Query(); q.Get("error_code") != "user_not_found" {
		t.Errorf("the flow ends with %v", q)
	}
}

// An anonymous user whose new address nobody proved stays anonymous until the mailed link is followed.
func TestAnonymousLinking(t *testing.T) {
	t.Parallel()
	s := setup(t, gitHub(t, 7, "octo@example.com", false)...)
	r := s.do("POST", "/signup", m{})
	there := s.need(s.do("GET", linkPath, nil, bearer(r.session().AccessToken)...), "url")
	q := s.comeBack(there).Query()
	if q.Get("error_code") != "email_not_confirmed" || q.Get("error_description") != "Unverified email with github. A confirmation email has been sent to your github email" {
		t.Errorf("the flow ends with %v", q)
	}
	const state = "select concat_ws(' ', email, is_anonymous, email_confirmed_at is not null) from auth.users"
	if got := s.scan(state); got != "octo@example.com t f" {
		t.Errorf("before the confirmation: %s", got)
	}
	link := s.do("GET", "/verify?type=signup&token="+s.newLink("octo@example.com"), nil)
	if !strings.Contains(link.Header.Get("Location"), "access_token=") {
		t.Errorf("the link leads to %s", link.Header.Get("Location"))
	}
	if got := s.scan(state); got != "octo@example.com f t" {
		t.Errorf("after the confirmation: %s", got)
	}
}

func TestManualLinkingOff(t *testing.T) {
	t.Parallel()
	s := setup(t)
	as := bearer(s.newSession("ann@example.com").AccessToken)
	s.play([]scenario{
		{"link", "GET " + linkPath, nil, as, 404, "manual_linking_disabled", "Manual linking is disabled", "", ""},
		{"unlink", "DELETE /user/identities/x", nil, as, 404, "manual_linking_disabled", "Manual linking is disabled", "", ""},
	})
}
