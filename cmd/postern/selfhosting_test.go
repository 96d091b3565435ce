package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/postern-auth/postern/api/apitest"
)

const selfHostingSecret = "your-super-secret-jwt-token-with-at-least-32-characters-long"

// gateway stands for Kong: it takes the prefix off, demands an API key except for links, and names the client.
func gateway(t *testing.T) (g *httptest.Server, to func(server string)) {
	t.Helper()
	var target *url.URL
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
		r.Out.Header.Set("X-Forwarded-Prefix", "/auth/v1")
	}}
	mux := http.NewServeMux()
	mux.Handle("/auth/v1/", http.StripPrefix("/auth/v1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isOpen := r.URL.Path == "/verify" || r.URL.Path == "/callback" || r.URL.Path == "/authorize"
		if !isOpen && r.Header.Get("apikey") == "" {
			http.Error(w, `{"message":"No API key found in request"}`, http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	})))
	g = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g, func(server string) {
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal(err)
		}
		target = u
	}
}

// startSelfHosted starts the program in a directory with the operator's file. Only the names of other machines differ.
func startSelfHosted(t *testing.T, databaseURL, gatewayURL string, mail *apitest.SMTPSink) *serveProcess {
	t.Helper()
	text, err := os.ReadFile("testdata/self-hosting.env")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "auth.env")
	moved := strings.NewReplacer(
		"API_EXTERNAL_URL=http://localhost:8000", "API_EXTERNAL_URL="+gatewayURL,
		"postgres://supabase_auth_admin:your-super-secret-and-long-postgres-password@db:5432/postgres", databaseURL,
		"GOTRUE_SMTP_HOST=supabase-mail", "GOTRUE_SMTP_HOST="+mail.Host,
		"GOTRUE_SMTP_PORT=2500", fmt.Sprintf("GOTRUE_SMTP_PORT=%d", mail.Port),
		"GOTRUE_API_PORT=9999", "GOTRUE_API_PORT=0",
	).Replace(string(text))
	if err := os.WriteFile(file, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	return startServe(t, build(t), nil, "--config", file)
}

var hrefs = regexp.MustCompile(`href="([^"]+)"`)

// An operator's settings of a self-hosted Supabase work unchanged: sign-up, the mailed link through the gateway, a session.
func TestSelfHostingEnv(t *testing.T) {
	t.Parallel()
	g, to := gateway(t)
	mail := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	p := startSelfHosted(t, apitest.EmptyDatabase(t), g.URL, mail)
	to(p.url)
	anon := map[string]string{"apikey": sign(t, "anon"), "Content-Type": "application/json"}
	base := g.URL + "/auth/v1"

	var created struct {
		ID    string `json:"id"`
		Email string `json:"email"`
	}
	get(t, "POST", base+"/signup", `{"email": "ann@example.com", "password": "correct-horse-9"}`, anon, &created)
	confirmation := mail.Take(t, "ann@example.com")
	if !strings.Contains(confirmation.From, "admin@example.com") || !strings.Contains(confirmation.Header.Get("From"), "fake_sender") {
		t.Errorf("the mail is from %s, %s", confirmation.From, confirmation.Header.Get("From"))
	}
	link := strings.ReplaceAll(hrefs.FindStringSubmatch(confirmation.HTML)[1], "&amp;", "&")
	if !strings.HasPrefix(link, base+"/verify?") {
		t.Fatalf("the link is %s", link)
	}
	session, err := url.ParseQuery(follow(t, link))
	if err != nil || session.Get("access_token") == "" || session.Get("type") != "signup" {
		t.Fatalf("the link leads to %v, %v", session, err)
	}
	signedIn := map[string]string{"apikey": anon["apikey"], "Authorization": "Bearer " + session.Get("access_token")}
	var user struct{ ID, Aud, Role string }
	get(t, "GET", base+"/user", "", signedIn, &user)
	if user.ID != created.ID || user.Aud != "authenticated" || user.Role != "authenticated" {
		t.Errorf("signed up %+v, signed in %+v", created, user)
	}

	var tokens struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	get(t, "POST", base+"/token?grant_type=password", `{"email": "ann@example.com", "password": "correct-horse-9"}`, anon, &tokens)
	if tokens.ExpiresIn != 3600 {
		t.Errorf("expires in %d", tokens.ExpiresIn)
	}
	if _, err := jwt.Parse(tokens.AccessToken, func(*jwt.Token) (any, error) { return []byte(selfHostingSecret), nil }); err != nil {
		t.Errorf("PostgREST could not read the token: %v", err)
	}
	var list struct{ Users []struct{ ID string } }
	service := sign(t, "service_role")
	get(t, "GET", base+"/admin/users", "", map[string]string{"apikey": service, "Authorization": "Bearer " + service}, &list)
	if len(list.Users) != 1 || list.Users[0].ID != created.ID {
		t.Errorf("users: %+v", list)
	}
	p.stop(t)
}

// sign makes an API key as the operator has it in the settings of the gateway.
func sign(t *testing.T, role string) string {
	t.Helper()
	key, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"role": role, "iss": "supabase", "exp": 4102444800}).
		SignedString([]byte(selfHostingSecret))
	if err != nil {
		t.Fatal(err)
	}
	return key
}
