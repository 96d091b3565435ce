package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
)

// toThere leads all requests to one server, which finds in Host where they were meant to go.
type toThere struct{ host string }

func (e toThere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host, r.URL.Host, r.URL.Scheme = r.URL.Host, e.host, "http"
	return http.DefaultTransport.RoundTrip(r)
}

// everyProvider switches all providers on.
func everyProvider() []string {
	var settings []string
	for _, name := range config.ProviderNames {
		prefix := "GOTRUE_EXTERNAL_" + strings.ToUpper(name) + "_"
		settings = append(settings, prefix+"ENABLED=true", prefix+"CLIENT_ID=id", prefix+"SECRET=secret",
			prefix+"REDIRECT_URI=https://api.example.com/callback")
	}
	return append(settings, "GOTRUE_EXTERNAL_KEYCLOAK_URL=https://keycloak.example.com")
}

// hostile are answers to the question who came. Where a provider's silence can be read as nobody, either message does.
var hostile = map[string]struct {
	answer func(w http.ResponseWriter)
	slow   bool
	nobody bool
}{
	"status 204":          {answer: func(w http.ResponseWriter) { w.WriteHeader(204) }},
	"status 304":          {answer: func(w http.ResponseWriter) { w.WriteHeader(304) }},
	"status 401":          {answer: func(w http.ResponseWriter) { w.WriteHeader(401); fmt.Fprint(w, `{"id":1}`) }},
	"status 500":          {answer: func(w http.ResponseWriter) { w.WriteHeader(500) }},
	"empty":               {answer: says(``)},
	"a page":              {answer: says(`<html>sign in</html>`)},
	"half":                {answer: says(`{"id":1,"name":"An`)},
	"two":                 {answer: says(`{"id":1}{"id":2}`)},
	"a list":              {answer: says(`[{"id":1}]`)},
	"a text":              {answer: says(`"id"`)},
	"a number":            {answer: says(`1e999`)},
	"null":                {answer: says(`null`), nobody: true},
	"nothing":             {answer: says(`{}`), nobody: true},
	"invalid UTF-8":       {answer: says("{\"id\":1,\"name\":\"a\xff\"}")},
	"deep":                {answer: says(strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000))},
	"a loop":              {answer: func(w http.ResponseWriter) { w.Header().Set("Location", "/again"); w.WriteHeader(302) }},
	"huge":                {answer: says(`{"id":1,"name":"` + strings.Repeat("a", 2<<20) + `"}`)},
	"huge after an end":   {answer: says(`{"id":1}` + strings.Repeat(" ", 2<<20))},
	"no answer":           {answer: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	"slow to begin":       {slow: true, answer: func(http.ResponseWriter) {}},
	"slow to end, begins": {slow: true, answer: func(w http.ResponseWriter) { fmt.Fprint(w, `{`); w.(http.Flusher).Flush() }},
}

func says(text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { fmt.Fprint(w, text) }
}

// hostileStage is all providers; what they say of people is one of the answers.
type hostileStage struct {
	answer    atomic.Pointer[func(w http.ResponseWriter)]
	slow      atomic.Bool
	end       chan struct{}
	callbacks chan string // that OAuth 1.0a was told
}

var oauthCallback = regexp.MustCompile(`oauth_callback="([^"]*)"`)

func (p *hostileStage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		iss := "https://" + r.Host + strings.TrimSuffix(r.URL.Path, "/.well-known/openid-configuration")
		_ = json.NewEncoder(w).Encode(m{
			"issuer": iss, "authorization_endpoint": iss + "/a", "token_endpoint": iss + "/t", "jwks_uri": iss + "/k",
		})
	case r.URL.Path == "/oauth/request_token":
		if found := oauthCallback.FindStringSubmatch(r.Header.Get("Authorization")); found != nil {
			address, _ := url.QueryUnescape(found[1])
			p.callbacks <- address
		}
		fmt.Fprint(w, "oauth_token=code&oauth_token_secret=s&oauth_callback_confirmed=true")
	case strings.HasPrefix(r.Header.Get("Authorization"), "OAuth ") && r.Method == http.MethodPost:
		fmt.Fprint(w, "oauth_token=at&oauth_token_secret=s")
	case r.Method == http.MethodPost:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(m{"access_token": "at", "token_type": "bearer", "profile": 7})
	default:
		w.Header().Set("Content-Type", "application/json")
		(*p.answer.Load())(w)
		if p.slow.Load() {
			select {
			case <-p.end:
			case <-r.Context().Done():
			}
		}
	}
}

// Whatever a provider says, the browser ends where it started, with an error.
func TestHostileProviders(t *testing.T) {
	t.Parallel()
	stage := &hostileStage{end: make(chan struct{}), callbacks: make(chan string, 1)}
	there := httptest.NewServer(stage)
	t.Cleanup(func() { close(stage.end); there.Close() })
	s := setupTexting(t, apitest.Database(t), toThere{there.Listener.Addr().String()},
		append(everyProvider(), "GOTRUE_INTERNAL_HTTP_TIMEOUT=500ms")...)
	const started = "https://app.example.com/started"
	for name, h := range hostile {
		stage.answer.Store(&h.answer)
		stage.slow.Store(h.slow)
		for _, provider := range config.ProviderNames {
			if h.slow && provider != "github" && provider != "twitter" {
				continue // it takes half a second, and is the same way for all
			}
			r := s.do("GET", "/authorize?provider="+provider+"&redirect_to="+started, nil)
			if r.Status != http.StatusFound {
				t.Fatalf("%s: %d %s", provider, r.Status, r.Text)
			}
			from := r.Header.Get("Location")
			if provider == "twitter" {
				from = <-stage.callbacks
			}
			at, err := url.Parse(from)
			if err != nil {
				t.Fatal(err)
			}
			r = s.do("GET", "/callback?code=code&oauth_token=code&state="+at.Query().Get("state"), nil)
			message := "profile"
			if asksNobody(provider) || h.nobody && strings.Contains(r.Header.Get("Location"), "user+email") {
				message = "email"
			}
			want := started + "?error=server_error&error_code=unexpected_failure&error_description=Error+getting+user+" + message + "+from+external+provider#"
			if r.Status != http.StatusFound || !strings.HasPrefix(r.Header.Get("Location"), want) {
				t.Errorf("%s, %s: %d %s", provider, name, r.Status, r.Header.Get("Location"))
			}
		}
	}
	if n := s.scan("select count(*) from auth.users"); n != "0" {
		t.Errorf("%s users", n)
	}
}

// asksNobody tells of which providers the answers above are not asked, or called otherwise: an ID token says who came, or
// the reference has one message for all.
func asksNobody(provider string) bool {
	return slices.Contains([]string{"apple", "linkedin_oidc", "vercel_marketplace", "twitter"}, provider)
}

// Types of the wrong kind, NUL characters and ids that are no text, in an answer that is right apart from that.
func TestHostileProfiles(t *testing.T) {
	t.Parallel()
	var rec recording
	text, err := os.ReadFile("testdata/providers/keycloak.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &rec); err != nil {
		t.Fatal(err)
	}
	const (
		profile = "GET https://kc.example.com/realms/main/protocol/openid-connect/userinfo"
		token   = "POST https://kc.example.com/realms/main/protocol/openid-connect/token"
	)
	deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	stage := &providerStage{t: t, key: providerKey()}
	s := setupTexting(t, apitest.Database(t), stage, append(everyProvider(), rec.Settings...)...)
	for name, c := range map[string]struct{ profile, token string }{
		"sub is a number":         {profile: `{"sub":7,"email":"a@example.com","email_verified":true}`},
		"sub is a list":           {profile: `{"sub":["a"],"email":"a@example.com","email_verified":true}`},
		"sub is empty":            {profile: `{"sub":"","email":"a@example.com","email_verified":true}`},
		"sub is half a character": {profile: `{"sub":"\ud800","email":"a@example.com","email_verified":true}`},
		"NUL in sub":              {profile: `{"sub":"a\u0000","email":"a@example.com","email_verified":true}`},
		"NUL in a name":           {profile: `{"sub":"a","name":"\u0000","email":"a@example.com","email_verified":true}`},
		"NUL in an address":       {profile: `{"sub":"a","email":"a\u0000@example.com","email_verified":true}`},
		"NUL in a further claim":  {profile: `{"sub":"a","email":"a@example.com","email_verified":true,"x":{"a":["\u0000"]}}`},
		"NUL in a claim's name":   {profile: `{"sub":"a","email":"a@example.com","email_verified":true,"\u0000":1}`},
		"claims too deep":         {profile: `{"sub":"a","email":"a@example.com","email_verified":true,"x":` + deep(101) + `}`},
		"claims far too deep":     {profile: `{"sub":"a","email":"a@example.com","email_verified":true,"x":` + deep(9000) + `}`},
		"NUL in the token":        {token: `{"access_token":"a\u0000","token_type":"bearer"}`},
		"NUL in the other token":  {token: `{"access_token":"a","refresh_token":"\u0000","token_type":"bearer"}`},
	} {
		answers := maps.Clone(rec.Answers)
		if c.profile != "" {
			answers[profile] = json.RawMessage(c.profile)
		} else {
			answers[token] = json.RawMessage(c.token)
		}
		stage.mu.Lock()
		stage.answers = answers
		stage.mu.Unlock()
		at := s.comeBack(s.do("GET", "/authorize?provider=keycloak", nil).Header.Get("Location"))
		if got := at.Query().Get("error_description"); got != "Error getting user profile from external provider" {
			t.Errorf("%s: %s", name, at)
		}
	}
}
