package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/apitest"
)

const providerTokenKey = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k"

var keepingTokens = []string{
	"GOTRUE_EXTERNAL_GITHUB_ENABLED=true", "GOTRUE_EXTERNAL_GITHUB_CLIENT_ID=c", "GOTRUE_EXTERNAL_GITHUB_SECRET=s",
	"GOTRUE_EXTERNAL_GITHUB_REDIRECT_URI=https://api.example.com/callback", "GOTRUE_SECURITY_MANUAL_LINKING_ENABLED=true",
	"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT=true", "GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY_ID=k1",
	"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY=" + providerTokenKey,
	"GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS=k1:" + providerTokenKey,
	"POSTERN_PROVIDER_TOKENS=github",
}

// rotatingGitHub gives tokens that expire, and takes each refresh token once.
type rotatingGitHub struct {
	mu        sync.Mutex
	given     int // the last pair of tokens
	refreshes atomic.Int64
	refuses   atomic.Bool
	isDown    atomic.Bool
}

func (g *rotatingGitHub) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Request: r, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{"Content-Type": {"application/json"}},
		}, nil
	}
	switch r.URL.Path {
	case "/user":
		return answer(200, `{"id": 7, "login": "octo", "name": "Octo Cat"}`)
	case "/user/emails":
		return answer(200, `[{"email": "octo@example.com", "primary": true, "verified": true}]`)
	}
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	g.mu.Lock()
	defer g.mu.Unlock()
	if form.Get("grant_type") == "refresh_token" {
		g.refreshes.Add(1)
		if g.isDown.Load() {
			return answer(502, "")
		}
		if g.refuses.Load() || form.Get("refresh_token") != fmt.Sprintf("rt-%d", g.given) {
			return answer(400, `{"error": "invalid_grant"}`)
		}
	}
	g.given++
	return answer(200, fmt.Sprintf(
		`{"access_token": "at-%d", "refresh_token": "rt-%[1]d", "token_type": "bearer", "scope": "repo", "expires_in": 28800}`, g.given))
}

// visitGitHub signs in and returns the access token of the session and the id of the identity.
func visitGitHub(s *server) (accessToken, identityID string) {
	s.t.Helper()
	target, err := url.Parse(s.do("GET", "/authorize?provider=github", nil).Header.Get("Location"))
	if err != nil {
		s.t.Fatal(err)
	}
	back := s.do("GET", "/callback?code=c&state="+target.Query().Get("state"), nil)
	_, fragment, _ := strings.Cut(back.Header.Get("Location"), "#")
	values, _ := url.ParseQuery(fragment)
	if accessToken = values.Get("access_token"); accessToken == "" {
		s.t.Fatalf("the visit failed: %s", back.Header.Get("Location"))
	}
	return accessToken, s.scan("select id::text from auth.identities where provider = 'github'")
}

func TestProviderTokens(t *testing.T) {
	t.Parallel()
	hub := &rotatingGitHub{}
	s := setupTexting(t, apitest.Database(t), hub, keepingTokens...)
	session, identity := visitGitHub(s)
	path := "/user/provider-tokens/" + identity
	expire := func() { s.exec("update postern.provider_tokens set expires_at = now()") }

	list := s.do("GET", "/user/provider-tokens", nil, bearer(session)...)
	var listed []map[string]any
	if err := json.Unmarshal([]byte(list.Text), &listed); err != nil || len(listed) != 1 || listed[0]["scope"] != "repo" ||
		listed[0]["is_refreshable"] != true || strings.Contains(list.Text, "at-1") {
		t.Errorf("the list is %s", list.Text)
	}
	if stored := s.scan("select access_token || refresh_token from postern.provider_tokens"); strings.Contains(stored, "at-1") ||
		strings.Contains(stored, "rt-1") {
		t.Errorf("stored in the clear: %s", stored)
	}
	if got := s.do("GET", path, nil, bearer(session)...); got.Body["access_token"] != "at-1" || hub.refreshes.Load() != 0 {
		t.Errorf("a fresh token: %d %s after %d refreshes", got.Status, got.Text, hub.refreshes.Load())
	}

	expire()
	if got := s.do("GET", path, nil, bearer(session)...); got.Body["access_token"] != "at-2" {
		t.Errorf("an old token: %d %s", got.Status, got.Text)
	}
	visitGitHub(s)
	if got := s.do("GET", path, nil, bearer(session)...); got.Body["access_token"] != "at-3" {
		t.Errorf("after another visit: %d %s", got.Status, got.Text)
	}

	stranger := s.newSession("stranger@example.com")
	if got := s.do("GET", path, nil, bearer(stranger.AccessToken)...); got.Status != 404 {
		t.Errorf("a stranger: %d %s", got.Status, got.Text)
	}

	expire()
	hub.isDown.Store(true)
	if got := s.do("GET", path, nil, bearer(session)...); got.Status != 500 {
		t.Errorf("while the provider is down: %d %s", got.Status, got.Text)
	}
	hub.isDown.Store(false)
	if got := s.do("GET", path, nil, bearer(session)...); got.Body["access_token"] != "at-4" {
		t.Errorf("when the provider is up again: %d %s", got.Status, got.Text)
	}
	expire()
	hub.refuses.Store(true)
	for range 2 {
		if got := s.do("GET", path, nil, bearer(session)...); got.Status != 422 || got.Body["error_code"] != "provider_token_expired" {
			t.Errorf("refused by the provider: %d %s", got.Status, got.Text)
		}
	}
}

// TestProviderTokenRefreshRace: a provider that takes each refresh token once is asked once, whoever asks us.
func TestProviderTokenRefreshRace(t *testing.T) {
	t.Parallel()
	hub := &rotatingGitHub{}
	dsn := apitest.Database(t)
	servers := []*server{setupTexting(t, dsn, hub, keepingTokens...), setupTexting(t, dsn, hub, keepingTokens...)}
	session, identity := visitGitHub(servers[0])
	servers[0].exec("update postern.provider_tokens set expires_at = now()")
	var running sync.WaitGroup
	for i := range 40 {
		running.Go(func() {
			got, err := servers[i%2].try("GET", "/user/provider-tokens/"+identity, nil, bearer(session)...)
			if err != nil || got.Body["access_token"] != "at-2" {
				t.Errorf("%v %d %s", err, got.Status, got.Text)
			}
		})
	}
	running.Wait()
	if n := hub.refreshes.Load(); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

// TestProviderTokensInSQL: an administrator lists, reads with the key, and deletes them.
func TestProviderTokensInSQL(t *testing.T) {
	t.Parallel()
	s := setupTexting(t, apitest.Database(t), &rotatingGitHub{}, keepingTokens...)
	_, identity := visitGitHub(s)
	read := func(key string) (token string, err error) {
		err = s.DB.QueryRow(context.Background(), "select postern.get_provider_token($1, $2)", identity, key).Scan(&token)
		return token, err
	}
	if _, err := read(providerTokenKey); err == nil || !strings.Contains(err.Error(), "pgcrypto") {
		t.Errorf("without pgcrypto: %v", err)
	}
	s.exec("create schema tools; grant usage on schema tools to public")
	s.exec("create extension pgcrypto schema tools")
	if token, err := read(providerTokenKey); err != nil || token != "at-1" {
		t.Errorf("read %q, %v", token, err)
	}
	for _, key := range []string{"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "short", ""} {
		if token, err := read(key); err == nil {
			t.Errorf("with the key %q: %q", key, token)
		}
	}
	if n := s.scan("select count(*) from postern.events where type = 'provider_token.read'"); n != "1" {
		t.Errorf("%s events of reading", n)
	}
	if got := s.scan("select provider || ' ' || scope from postern.list_provider_tokens('octo@example.com')"); got != "github repo" {
		t.Errorf("listed %q", got)
	}
	if n := s.scan("select postern.forget_provider_tokens('octo@example.com')"); n != "1" {
		t.Errorf("deleted %s", n)
	}
}

// TestProviderTokensAreOptional: nobody's tokens are kept unasked, nor longer than their identity.
func TestProviderTokensAreOptional(t *testing.T) {
	t.Parallel()
	count := "select count(*) from postern.provider_tokens"
	off := setupTexting(t, apitest.Database(t), &rotatingGitHub{}, append(keepingTokens, "POSTERN_PROVIDER_TOKENS=google")...)
	visitGitHub(off)
	if n := off.scan(count); n != "0" {
		t.Errorf("%s kept unasked", n)
	}
	on := setupTexting(t, apitest.Database(t), &rotatingGitHub{}, keepingTokens...)
	on.newUser("octo@example.com")
	session, identity := visitGitHub(on)
	if got := on.do("DELETE", "/user/identities/"+identity, nil, bearer(session)...); got.Status != 200 {
		t.Fatalf("unlinking: %d %s", got.Status, got.Text)
	}
	if n := on.scan(count); n != "0" {
		t.Errorf("%s kept without the identity", n)
	}
	visitGitHub(on)
	on.exec("select postern.delete_user('octo@example.com', soft => true)")
	if n := on.scan(count); n != "0" {
		t.Errorf("%s kept of a deleted user", n)
	}
}

// TestProviderTokensRefreshedAhead: a server with that setting keeps tokens fresh that nobody asks for; those that live long
// enough are left alone.
func TestProviderTokensRefreshedAhead(t *testing.T) {
	t.Parallel()
	hub := &rotatingGitHub{}
	dsn := apitest.Database(t)
	s := setupTexting(t, dsn, hub, keepingTokens...)
	_, identity := visitGitHub(s)
	const ahead = "POSTERN_PROVIDER_TOKENS_REFRESH_AHEAD="
	setupTexting(t, dsn, hub, append(keepingTokens, ahead+"7h")...) // GitHub's live for eight
	s.exec(`insert into postern.provider_tokens (id, identity_id, user_id, provider, access_token, refresh_token, expires_at, created_at, updated_at)
		select gen_random_uuid(), gen_random_uuid(), user_id, provider, access_token, refresh_token, now(), now(), now() from postern.provider_tokens`)
	setupTexting(t, dsn, hub, append(keepingTokens, ahead+"9h")...)
	deadline := time.Now().Add(time.Minute)
	for s.scan("select expires_at > now() + interval '7 hours 59 minutes' and refreshing_until is null and updated_at > created_at from postern.provider_tokens where identity_id = $1", identity) != "true" {
		if time.Now().After(deadline) {
			t.Fatal("nobody refreshed the token")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n := hub.refreshes.Load(); n != 1 {
		t.Errorf("%d refreshes: a token of no identity, or one that was not due", n)
	}
}
