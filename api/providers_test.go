package api_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/config"
)

var update = flag.Bool("update", false, "write what the recordings of providers are expected to give")

// recording is a visit to a provider: what it answers, in the shapes that it has (spec/02 section 13), and what must come
// of it. An answer is JSON; id_token in it is the claims of one, and "<jwks>" the keys that it is signed with.
type recording struct {
	About     string                     `json:"about"`
	Settings  []string                   `json:"settings,omitempty"`  // NAME=value, besides those of a client
	Authorize string                     `json:"authorize,omitempty"` // further query of /authorize
	Answers   map[string]json.RawMessage `json:"answers"`             // by method and URL
	Post      bool                       `json:"post,omitempty"`      // the provider's answer is a form
	Callback  map[string]string          `json:"callback"`
	Want      struct {
		AuthorizeURL string          `json:"authorize_url"`
		Requests     []string        `json:"requests"` // to the provider: first line, headers that matter, body
		Location     string          `json:"location"` // after the callback
		User         json.RawMessage `json:"user"`
	} `json:"want"`
}

// TestProviders replays visits to each provider: GET /authorize, the callback, GET /user.
func TestProviders(t *testing.T) {
	t.Parallel()
	for name, files := range recordings(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := apitest.Database(t)
			for _, file := range files {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) { replay(t, dsn, name, file) })
			}
		})
	}
}

// recordings are the files by provider: <name>.json, <name>-<case>.json.
func recordings(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("testdata/providers/*.json")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string][]string{}
	for _, file := range files {
		name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "-")
		list[name] = append(list[name], file)
	}
	return list
}

// TestEveryProvider is a habit: whoever adds a provider adds its recording, and says whether GET /settings tells of it.
func TestEveryProvider(t *testing.T) {
	t.Parallel()
	recorded := map[string]bool{}
	for name := range recordings(t) {
		recorded[name] = true
	}
	names := map[string]bool{}
	s := setupTexting(t, apitest.Database(t), &providerStage{t: t}, everyProvider()...)
	for _, name := range config.ProviderNames {
		names[name] = true
		if r := s.do("GET", "/authorize?provider="+name, nil); strings.Contains(r.Text, "could not be found") {
			t.Errorf("%s has no definition: %s", name, r.Text)
		}
	}
	if diff := cmp.Diff(names, recorded); diff != "" {
		t.Errorf("-providers +recordings:\n%s", diff)
	}
	told := map[string]any{"email": true, "phone": false, "anonymous_users": false}
	for _, name := range strings.Fields(`apple azure bitbucket discord facebook snapchat figma fly github gitlab google keycloak
		kakao linkedin linkedin_oidc notion spotify slack slack_oidc workos twitch twitter zoom`) {
		told[name] = true
	}
	if diff := cmp.Diff(told, s.do("GET", "/settings", nil).Body["external"].(map[string]any)); diff != "" {
		t.Errorf("-spec/02 section 13 +GET /settings:\n%s", diff)
	}
}

func replay(t *testing.T, dsn, name, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rec recording
	if err := json.Unmarshal(text, &rec); err != nil {
		t.Fatal(err)
	}
	wanted := rec.Want
	stage := &providerStage{t: t, answers: rec.Answers, key: providerKey()}
	prefix := "GOTRUE_EXTERNAL_" + strings.ToUpper(name) + "_"
	s := setupTexting(t, dsn, stage, append([]string{
		prefix + "ENABLED=true", prefix + "CLIENT_ID=" + name + "-client", prefix + "SECRET=" + name + "-secret",
		prefix + "REDIRECT_URI=https://api.example.com/callback",
	}, rec.Settings...)...)
	s.exec("delete from auth.users") // of another recording

	authorized := s.do("GET", "/authorize?provider="+name+"&"+rec.Authorize, nil)
	rec.Want.AuthorizeURL = steady(authorized.Header.Get("Location"))
	answer := url.Values{"state": {stateOf(t, stage, authorized)}}
	for key, value := range rec.Callback {
		answer.Set(key, value)
	}
	var back response
	if rec.Post {
		back = s.do("POST", "/callback", answer.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	} else {
		back = s.do("GET", "/callback?"+answer.Encode(), nil)
	}
	rec.Want.Requests = stage.requests
	rec.Want.Location = steady(back.Header.Get("Location"))
	rec.Want.User = nil
	if _, fragment, _ := strings.Cut(back.Header.Get("Location"), "#"); strings.Contains(fragment, "access_token=") {
		values, _ := url.ParseQuery(fragment)
		user := s.do("GET", "/user", nil, bearer(values.Get("access_token"))...)
		rec.Want.User = json.RawMessage(steady(user.Text))
	}
	compareRecording(t, file, rec, wanted)
}

// compareRecording compares byte for byte, or writes the file anew with -update.
func compareRecording(t *testing.T, file string, got recording, wanted any) {
	t.Helper()
	if *update {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(got); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	indented := func(v any) string {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if diff := cmp.Diff(indented(wanted), indented(got.Want)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// stateOf is the state of a flow; OAuth 1.0a has it in the callback URL, which the provider was told before.
func stateOf(t *testing.T, stage *providerStage, r response) string {
	t.Helper()
	target, err := url.Parse(r.Header.Get("Location"))
	if err != nil || r.Status != http.StatusFound {
		t.Fatalf("/authorize: %d %s", r.Status, r.Text)
	}
	if state := target.Query().Get("state"); state != "" {
		return state
	}
	return stage.state
}

var unsteady = []struct {
	form *regexp.Regexp
	text string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z`), "<time>"},
	{regexp.MustCompile(`("(?:iat|exp)":) ?\d{10}\b`), `$1"<epoch>"`},
	{regexp.MustCompile(`expires_at=\d{10}`), "expires_at=<epoch>"},
	{regexp.MustCompile(`code_(challenge|verifier)=[A-Za-z0-9_-]{43}`), "code_$1=<43 characters>"},
	{regexp.MustCompile(`([#&]access_token)=[^&]+`), "$1=<jwt>"},
	{regexp.MustCompile(`([&]refresh_token)=[^&]+`), "$1=<token>"},
	{regexp.MustCompile(`oauth_(nonce|timestamp|signature)="[^"]*"`), `oauth_$1="<$1>"`},
	{regexp.MustCompile(`127\.0\.0\.1(:|%3A|%253A)\d+`), "<api>"},
}

// steady replaces what is another at each run.
func steady(text string) string {
	for _, u := range unsteady {
		text = u.form.ReplaceAllString(text, u.text)
	}
	return text
}

// providerStage answers in place of a provider, and writes down what it was asked.
type providerStage struct {
	t        testing.TB
	answers  map[string]json.RawMessage
	key      *rsa.PrivateKey
	mu       sync.Mutex
	requests []string
	state    string // of a callback URL in an OAuth 1.0a header
}

func (p *providerStage) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	request := r.Method + " " + r.URL.String()
	seen := []string{request}
	for _, header := range []string{"Authorization", "Content-Type", "Notion-Version", "Client-Id"} {
		if value := r.Header.Get(header); value != "" {
			seen = append(seen, header+": "+value)
		}
	}
	if _, after, ok := strings.Cut(r.Header.Get("Authorization"), "state%3D"); ok && len(after) >= 36 {
		p.state = after[:36]
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		seen = append(seen, string(body))
	}
	p.requests = append(p.requests, steady(strings.Join(seen, "\n")))
	body, ok := p.answers[request]
	if !ok {
		return nil, fmt.Errorf("the recording has no answer to %s", request)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Header: header, Request: r,
		Body: io.NopCloser(bytes.NewReader(p.perform(body))),
	}, nil
}

// perform signs the ID token of an answer and puts in the keys.
func (p *providerStage) perform(body json.RawMessage) []byte {
	if string(body) == `"<jwks>"` {
		keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: p.key.Public(), KeyID: "key-1", Algorithm: "RS256", Use: "sig"},
		}})
		if err != nil {
			p.t.Error(err)
		}
		return keys
	}
	var text string
	if json.Unmarshal(body, &text) == nil {
		return []byte(text) // a form, as OAuth 1.0a has them
	}
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return body
	}
	claims, ok := members["id_token"].(map[string]any)
	if !ok {
		return body
	}
	now := time.Now().Unix()
	claims["iat"], claims["exp"] = now, now+300
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(claims))
	token.Header["kid"] = "key-1"
	signed, err := token.SignedString(p.key)
	if err != nil {
		p.t.Error(err)
	}
	members["id_token"] = signed
	out, _ := json.Marshal(members)
	return out
}

// providerKey signs the ID tokens of all recordings.
var providerKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})
