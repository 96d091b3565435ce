package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/postern-auth/postern/api/apitest"
)

const (
	googleIss   = "https://accounts.google.com"
	appleIss    = "https://appleid.apple.com"
	realmIss    = "https://sso.example.com/realms/main"
	anyIss      = "https://login.partner.example"
	tenantID    = "11111111-2222-3333-4444-555555555555"
	tenantIss   = "https://login.microsoftonline.com/" + tenantID + "/v2.0"
	oldAzureIss = "https://sts.windows.net/" + tenantID + "/"
	grantPath   = "POST /token?grant_type=id_token"
)

// issuers stand in for providers of ID tokens: each has a discovery document and keys.
type issuers struct {
	t testing.TB

	mu       sync.Mutex
	answers  map[string]string // by URL
	requests []string
}

// issuerKeys are keys of different owners; each issuer of a test has "key-1" of the first one unless it says otherwise.
var issuerKeys = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
	keys[0] = providerKey()
	for i := 1; i < len(keys); i++ {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func newIssuers(t testing.TB, names ...string) *issuers {
	s := &issuers{t: t, answers: map[string]string{}}
	for _, iss := range names {
		s.open(iss, nil)
	}
	return s
}

// open makes an issuer known; more are further members of its document.
func (s *issuers) open(iss string, more m) {
	document := m{"issuer": iss, "jwks_uri": iss + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "ES256"}}
	maps.Copy(document, more)
	s.set(strings.TrimRight(iss, "/")+"/.well-known/openid-configuration", document)
	s.setKeys(iss, jose.JSONWebKey{Key: issuerKeys()[0].Public(), KeyID: "key-1", Use: "sig"})
}

func (s *issuers) setKeys(iss string, keys ...jose.JSONWebKey) {
	s.set(iss+"/keys", jose.JSONWebKeySet{Keys: keys})
}

func (s *issuers) set(url string, answer any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[url] = string(mustJSON(answer))
}

// asked returns how often an address was asked.
func (s *issuers) asked(url string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if r == url {
			n++
		}
	}
	return n
}

func (s *issuers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() == "127.0.0.1" { // the hooks of a test
		return http.DefaultTransport.RoundTrip(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.URL.String())
	answer, ok := s.answers[r.URL.String()]
	if !ok {
		return nil, fmt.Errorf("nobody is at %s", r.URL)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Request: r, Body: io.NopCloser(strings.NewReader(answer)),
		Header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

// idToken is one in force of this issuer for this application, unless claims say otherwise; nil takes a claim away.
func idToken(iss string, claims m) string { return signedBy(issuerKeys()[0], "key-1", iss, claims) }

func signedBy(key any, kid, iss string, claims m) string {
	method := jwt.SigningMethod(jwt.SigningMethodRS256)
	switch key.(type) {
	case *ecdsa.PrivateKey:
		method = jwt.SigningMethodES256
	case []byte:
		method = jwt.SigningMethodHS256
	}
	return signedAs(method, key, m{"kid": kid}, iss, claims)
}

func signedAs(method jwt.SigningMethod, key any, header m, iss string, claims m) string {
	now := time.Now().Unix()
	all := jwt.MapClaims{
		"iss": iss, "sub": "person-1", "aud": "app", "iat": now, "exp": now + 300, "email": "ida@example.com", "email_verified": true,
	}
	for name, value := range claims {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	t := jwt.NewWithClaims(method, all)
	maps.Copy(t.Header, header)
	for name, value := range t.Header {
		if value == nil {
			delete(t.Header, name)
		}
	}
	signed, err := t.SignedString(key)
	if err != nil {
		panic(err)
	}
	return signed
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func hexSHA256(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

// idTokenSettings switch on the providers that tokens of these tests come from; client ids are "app" and "app-2".
var idTokenSettings = []string{
	"GOTRUE_EXTERNAL_GOOGLE_ENABLED=true", "GOTRUE_EXTERNAL_GOOGLE_CLIENT_ID=app,app-2",
	"GOTRUE_EXTERNAL_APPLE_ENABLED=true", "GOTRUE_EXTERNAL_APPLE_CLIENT_ID=app", "GOTRUE_EXTERNAL_IOS_BUNDLE_ID=com.example.app",
	"GOTRUE_EXTERNAL_AZURE_ENABLED=true", "GOTRUE_EXTERNAL_AZURE_CLIENT_ID=app",
	"GOTRUE_EXTERNAL_KEYCLOAK_ENABLED=true", "GOTRUE_EXTERNAL_KEYCLOAK_CLIENT_ID=app", "GOTRUE_EXTERNAL_KEYCLOAK_URL=" + realmIss + "/",
	"GOTRUE_EXTERNAL_ALLOWED_ID_TOKEN_ISSUERS=" + anyIss,
}

// setupIssuers starts a server that knows the issuers above.
func setupIssuers(t testing.TB, settings ...string) (*server, *issuers) {
	t.Helper()
	world := newIssuers(t, googleIss, appleIss, "https://account.apple.com", realmIss, anyIss, tenantIss, oldAzureIss)
	return setupTexting(t, apitest.Database(t), world, append(append([]string{}, idTokenSettings...), settings...)...), world
}

// grant is a request of the ID-token grant.
func (s *server) grant(body m, header ...string) response {
	s.t.Helper()
	method, path, _ := strings.Cut(grantPath, " ")
	return s.do(method, path, body, header...)
}

// oauthError is the body of an OAuth error.
func oauthError(code, description string) string {
	text, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
	if err != nil {
		panic(err)
	}
	return string(text)
}
