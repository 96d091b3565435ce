package api_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	okGrant        = `"token_type":"bearer"`
	unexpectedBody = `{"code":500,"error_code":"unexpected_failure","msg":"Unexpected failure, please check server logs for more information"}`
	badIDToken     = `{"error":"invalid request","error_description":"Bad ID token"}`
)

// TestIDTokenSelection goes through the table of spec/02 section 12 row by row: whose token a request brings.
func TestIDTokenSelection(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t)
	disabled := func(iss string) string {
		return `{"code":400,"error_code":"provider_disabled","msg":"Provider (issuer \"` + iss + `\") is not enabled"}`
	}
	refused := func(message string) string {
		return `{"code":400,"error_code":"validation_failed","msg":` + string(mustJSON(message)) + `}`
	}
	for name, c := range map[string]struct {
		body m
		want string // okGrant, or the whole body
		as   string // identities.provider
	}{
		"apple by name":                {m{"provider": "apple", "id_token": idToken(appleIss, nil)}, okGrant, "apple"},
		"apple by issuer":              {m{"issuer": appleIss, "client_id": "x", "id_token": idToken(appleIss, nil)}, okGrant, "apple"},
		"apple, its other issuer":      {m{"provider": "apple", "id_token": idToken("https://account.apple.com", nil)}, okGrant, "apple"},
		"apple by its other issuer":    {m{"issuer": "https://account.apple.com", "client_id": "x", "id_token": idToken("https://account.apple.com", nil)}, okGrant, "apple"},
		"apple, both names":            {m{"provider": "apple", "issuer": appleIss, "id_token": idToken(appleIss, nil)}, okGrant, "apple"},
		"apple for the iOS app":        {m{"provider": "apple", "id_token": idToken(appleIss, m{"aud": "com.example.app"})}, okGrant, "apple"},
		"apple, no token at all":       {m{"provider": "apple", "id_token": "x"}, refused("Unable to detect issuer in ID token for Apple provider"), ""},
		"apple, no issuer":             {m{"provider": "apple", "id_token": idToken("", m{"iss": nil})}, refused("Unable to detect issuer in ID token for Apple provider"), ""},
		"apple, Google's token":        {m{"provider": "apple", "id_token": idToken(googleIss, nil)}, refused("Detected ID token issuer is not an Apple ID token issuer"), ""},
		"apple, the other issuer said": {m{"provider": "apple", "issuer": "https://account.apple.com", "id_token": idToken(appleIss, nil)}, refused("Provided issuer does not match ID token issuer"), ""},

		"google by name":             {m{"provider": "google", "id_token": idToken(googleIss, nil)}, okGrant, "google"},
		"google by issuer":           {m{"issuer": googleIss, "client_id": "x", "id_token": idToken(googleIss, nil)}, okGrant, "google"},
		"google, second client id":   {m{"provider": "google", "id_token": idToken(googleIss, m{"aud": []string{"app-2"}})}, okGrant, "google"},
		"google without the scheme":  {m{"provider": "google", "id_token": idToken("accounts.google.com", nil)}, okGrant, "google"},
		"google, whatever is issuer": {m{"provider": "google", "issuer": anyIss, "client_id": "app", "id_token": idToken(googleIss, nil)}, okGrant, "google"},
		"google's issuer, any name":  {m{"provider": "nobody", "issuer": googleIss, "id_token": idToken(googleIss, nil)}, okGrant, "google"},

		"azure by name":                {m{"provider": "azure", "id_token": idToken(tenantIss, nil)}, okGrant, "azure"},
		"azure by issuer":              {m{"issuer": tenantIss, "client_id": "x", "id_token": idToken(tenantIss, nil)}, okGrant, "azure"},
		"azure, older tokens":          {m{"provider": "azure", "id_token": idToken(oldAzureIss, nil)}, okGrant, "azure"},
		"azure by issuer and a slash":  {m{"issuer": tenantIss + "/", "client_id": "x", "id_token": idToken(tenantIss, nil)}, refused("Provided issuer does not match ID token issuer"), ""},
		"azure, no token at all":       {m{"provider": "azure", "id_token": "a.b.c"}, refused("Unable to detect issuer in ID token for Azure provider"), ""},
		"azure, Google's token":        {m{"provider": "azure", "id_token": idToken(googleIss, nil)}, refused("Detected ID token issuer is not an Azure ID token issuer"), ""},
		"azure, another tenant said":   {m{"provider": "azure", "issuer": "https://login.microsoftonline.com/other/v2.0", "id_token": idToken(tenantIss, nil)}, refused("Provided issuer does not match ID token issuer"), ""},
		"azure's older form as issuer": {m{"issuer": oldAzureIss, "client_id": "app", "id_token": idToken(oldAzureIss, nil)}, refused(`Custom OIDC provider "" not allowed`), ""},

		"keycloak by name":   {m{"provider": "keycloak", "id_token": idToken(realmIss, nil)}, okGrant, "keycloak"},
		"keycloak by issuer": {m{"issuer": realmIss, "client_id": "x", "id_token": idToken(realmIss, nil)}, okGrant, "keycloak"},

		"facebook":                     {m{"provider": "facebook", "id_token": "x"}, disabled("https://www.facebook.com"), ""},
		"facebook by issuer":           {m{"issuer": "https://www.facebook.com", "client_id": "x", "id_token": "x"}, disabled("https://www.facebook.com"), ""},
		"kakao":                        {m{"provider": "kakao", "id_token": "x"}, disabled("https://kauth.kakao.com"), ""},
		"kakao by issuer":              {m{"issuer": "https://kauth.kakao.com", "client_id": "x", "id_token": "x"}, disabled("https://kauth.kakao.com"), ""},
		"vercel_marketplace":           {m{"provider": "vercel_marketplace", "id_token": "x"}, disabled("https://marketplace.vercel.com"), ""},
		"vercel_marketplace by issuer": {m{"issuer": "https://marketplace.vercel.com", "client_id": "x", "id_token": "x"}, disabled("https://marketplace.vercel.com"), ""},
		"snapchat":                     {m{"provider": "snapchat", "id_token": "x"}, disabled("https://accounts.snapchat.com/accounts/oauth2/token"), ""},
		"snapchat by issuer":           {m{"issuer": "https://accounts.snapchat.com/accounts/oauth2/token", "client_id": "x", "id_token": "x"}, disabled("https://accounts.snapchat.com/accounts/oauth2/token"), ""},

		"an allowed issuer":           {m{"issuer": anyIss, "client_id": "app", "id_token": idToken(anyIss, nil)}, okGrant, anyIss},
		"an allowed issuer, any name": {m{"provider": "nobody", "issuer": anyIss, "client_id": "app", "id_token": idToken(anyIss, nil)}, okGrant, anyIss},
		"no client id":                {m{"provider": "nobody", "issuer": anyIss, "id_token": idToken(anyIss, m{"aud": ""})}, oauthError("invalid request", "Unacceptable audience in id_token: []"), ""},
		"nobody":                      {m{"provider": "nobody", "id_token": "x"}, refused(`Custom OIDC provider "nobody" not allowed`), ""},
		"a provider of redirects":     {m{"provider": "github", "id_token": "x"}, refused(`Custom OIDC provider "github" not allowed`), ""},
		"a name in capitals":          {m{"provider": "Google", "id_token": idToken(googleIss, nil)}, refused(`Custom OIDC provider "Google" not allowed`), ""},
		"an issuer nobody allowed":    {m{"issuer": "https://evil.example", "client_id": "app", "id_token": "x"}, refused(`Custom OIDC provider "" not allowed`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s.exec("delete from auth.users")
			r := s.grant(c.body)
			if c.want == okGrant {
				if r.Status != 200 || !strings.Contains(r.Text, okGrant) {
					t.Fatalf("%d %s", r.Status, r.Text)
				}
				if got := s.scan("select provider from auth.identities"); got != c.as {
					t.Errorf("the identity is of %s, want %s", got, c.as)
				}
				return
			}
			if r.Status != 400 || r.Text != c.want {
				t.Errorf("%d %s, want %s", r.Status, r.Text, c.want)
			}
			if n := s.scan("select count(*) from auth.users"); n != "0" {
				t.Errorf("%s accounts", n)
			}
		})
	}
}

// TestIDTokenChecks goes through steps 1, 2 and 4 to 7 of spec/02 section 12.
func TestIDTokenChecks(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t, "GOTRUE_EXTERNAL_KEYCLOAK_SKIP_NONCE_CHECK=true")
	now := time.Now().Unix()
	half := sha256.Sum256([]byte("access"))
	atHash := base64.RawURLEncoding.EncodeToString(half[:16])
	with := func(claims m, more m) m {
		body := m{"provider": "google", "id_token": idToken(googleIss, claims)}
		for k, v := range more {
			body[k] = v
		}
		return body
	}
	const pairing = "Passed nonce and nonce in id_token should either both exist or not."
	for name, c := range map[string]struct {
		body   m
		want   string
		header []string
	}{
		"no token":                 {body: m{"provider": "google"}, want: oauthError("invalid request", "id_token required")},
		"no token comes first":     {body: m{"link_identity": true}, want: oauthError("invalid request", "id_token required")},
		"nobody named":             {body: m{"id_token": "x"}, want: oauthError("invalid request", "provider or client_id and issuer required")},
		"an issuer alone":          {body: m{"id_token": "x", "issuer": googleIss}, want: oauthError("invalid request", "provider or client_id and issuer required")},
		"a client id alone":        {body: m{"id_token": "x", "client_id": "app"}, want: oauthError("invalid request", "provider or client_id and issuer required")},
		"linking without a caller": {body: with(nil, m{"link_identity": true}), want: oauthError("invalid request", "Linking requires a valid user access token in Authorization")},
		"linking, not a bearer": {
			body: with(nil, m{"link_identity": true}), header: []string{"Authorization", "Basic x"},
			want: `{"code":401,"error_code":"no_authorization","msg":"This endpoint requires a valid Bearer token"}`,
		},
		"linking comes before the provider": {
			body: m{"provider": "nobody", "id_token": "x", "link_identity": true},
			want: oauthError("invalid request", "Linking requires a valid user access token in Authorization"),
		},

		"garbage":             {body: with(nil, m{"id_token": "x"}), want: badIDToken},
		"another issuer":      {body: with(m{"iss": anyIss}, nil), want: badIDToken},
		"expired":             {body: with(m{"exp": now - 1}, nil), want: badIDToken},
		"without expiry":      {body: with(m{"exp": nil}, nil), want: badIDToken},
		"not yet":             {body: with(m{"nbf": now + 360}, nil), want: badIDToken},
		"nearly":              {body: with(m{"nbf": now + 240}, nil), want: okGrant},
		"at_hash fits":        {body: with(m{"at_hash": atHash}, m{"access_token": "access"}), want: okGrant},
		"at_hash does not":    {body: with(m{"at_hash": atHash}, m{"access_token": "other"}), want: badIDToken},
		"at_hash alone":       {body: with(m{"at_hash": atHash}, nil), want: okGrant},
		"access_token alone":  {body: with(nil, m{"access_token": "access"}), want: okGrant},
		"no sub":              {body: with(m{"sub": nil}, nil), want: oauthError("invalid request", "Missing sub claim in id_token")},
		"an empty sub":        {body: with(m{"sub": ""}, nil), want: oauthError("invalid request", "Missing sub claim in id_token")},
		"sub before audience": {body: with(m{"sub": nil, "aud": "x"}, nil), want: oauthError("invalid request", "Missing sub claim in id_token")},
		"another audience":    {body: with(m{"aud": "x"}, nil), want: oauthError("invalid request", "Unacceptable audience in id_token: [x]")},
		"other audiences":     {body: with(m{"aud": []string{"a", "b"}}, nil), want: oauthError("invalid request", "Unacceptable audience in id_token: [a b]")},
		"no audience":         {body: with(m{"aud": nil}, nil), want: oauthError("invalid request", "Unacceptable audience in id_token: []")},
		"one of many":         {body: with(m{"aud": []string{"a", "app"}}, nil), want: okGrant},
		"audience, not nonce": {body: with(m{"aud": "x", "nonce": "n"}, nil), want: oauthError("invalid request", "Unacceptable audience in id_token: [x]")},
		"the iOS app's":       {body: with(m{"aud": "com.example.app"}, nil), want: oauthError("invalid request", "Unacceptable audience in id_token: [com.example.app]")},

		"nonce":                 {body: with(m{"nonce": hexSHA256("n")}, m{"nonce": "n"}), want: okGrant},
		"nonce, plain":          {body: with(m{"nonce": "n"}, m{"nonce": "n"}), want: oauthError("invalid nonce", "Nonces mismatch")},
		"nonce in capitals":     {body: with(m{"nonce": strings.ToUpper(hexSHA256("n"))}, m{"nonce": "n"}), want: oauthError("invalid nonce", "Nonces mismatch")},
		"nonce in the token":    {body: with(m{"nonce": hexSHA256("n")}, nil), want: oauthError("invalid request", pairing)},
		"nonce in the request":  {body: with(nil, m{"nonce": "n"}), want: oauthError("invalid request", pairing)},
		"nonce is not a text":   {body: with(m{"nonce": 7}, m{"nonce": "7"}), want: badIDToken},
		"nonce, check is off":   {body: m{"provider": "keycloak", "id_token": idToken(realmIss, m{"nonce": "n"}), "nonce": "other"}, want: okGrant},
		"one nonce, also":       {body: m{"provider": "keycloak", "id_token": idToken(realmIss, m{"nonce": "n"})}, want: okGrant},
		"nonce of the last row": {body: m{"issuer": anyIss, "client_id": "app", "id_token": idToken(anyIss, m{"nonce": "n"})}, want: oauthError("invalid request", pairing)},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.grant(c.body, c.header...)
			if c.want == okGrant && (r.Status != 200 || !strings.Contains(r.Text, okGrant)) || c.want != okGrant && r.Text != c.want {
				t.Errorf("%d %s, want %s", r.Status, r.Text, c.want)
			}
		})
	}
}

// TestIDTokenReply is the reply, what it leaves behind, and that it costs one call.
func TestIDTokenReply(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t)
	s.exec("delete from auth.users")
	form := url.Values{
		"grant_type": {"id_token"}, "provider": {"google"}, "id_token": {idToken(googleIss, m{"name": "Ida", "hd": "example.com"})},
		"access_token": {"at"}, "link_identity": {"false"},
	}
	before := s.statements.Load()
	r := s.do("POST", "/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if n := s.statements.Load() - before; r.Status != 200 || n != 1 {
		t.Fatalf("%d %s after %d calls", r.Status, r.Text, n)
	}
	if _, ok := r.Body["provider_token"]; ok || r.Body["refresh_token"] == "" || r.Header.Get("Sb-Auth-User-Id") == "" {
		t.Errorf("the reply is %s %v", r.Text, r.Header)
	}
	user := r.Body["user"].(map[string]any)
	if _, ok := user["confirmed_at"]; ok || user["email_confirmed_at"] == nil {
		t.Errorf("the user is %v", user)
	}
	for query, want := range map[string]string{
		"select authentication_method from auth.mfa_amr_claims":                                           "oauth",
		"select email from auth.users":                                                                    "ida@example.com",
		"select identity_data ->> 'iss' || (identity_data #>> '{custom_claims,hd}') from auth.identities": googleIss + "example.com",
		"select provider_id || ' ' || provider from auth.identities":                                      "person-1 google",
		"select string_agg(payload ->> 'action', ' ') from auth.audit_log_entries":                        "user_signedup",
		"select string_agg(type, ' ' order by type) from postern.events where type not like '%identity%'": "session.created user.confirmed user.created",
		"select count(*) from postern.provider_tokens":                                                    "0",
	} {
		if got := s.scan(query); got != want {
			t.Errorf("%s is %s, want %s", query, got, want)
		}
	}
	again := s.grant(m{"provider": "google", "id_token": form.Get("id_token")})
	if again.session().UserID != r.session().UserID || again.Body["user"].(map[string]any)["confirmed_at"] == nil {
		t.Errorf("the same token once more: %d %s", again.Status, again.Text)
	}
	if got := s.scan("select count(*) from auth.sessions"); got != "2" {
		t.Errorf("%s sessions", got)
	}
}

// TestIDTokenKeys is about documents and keys: they are read once, and keys anew when they rotate.
func TestIDTokenKeys(t *testing.T) {
	t.Parallel()
	s, world := setupIssuers(t)
	const document = googleIss + "/.well-known/openid-configuration"
	grant := func(token string) int { return s.grant(m{"provider": "google", "id_token": token}).Status }
	for range 3 {
		if got := grant(idToken(googleIss, nil)); got != 200 {
			t.Fatalf("answered %d", got)
		}
	}
	if world.asked(document) != 1 || world.asked(googleIss+"/keys") != 1 {
		t.Errorf("the document was read %d times, the keys %d times", world.asked(document), world.asked(googleIss+"/keys"))
	}

	fresh := newECKey(t)
	rotated := signedBy(fresh, "key-2", googleIss, nil)
	if got := grant(rotated); got != 400 {
		t.Errorf("a key nobody published: %d", got)
	}
	world.setKeys(googleIss, jose.JSONWebKey{Key: fresh.Public(), KeyID: "key-2"})
	if got := grant(rotated); got != 200 {
		t.Errorf("a new key: %d", got)
	}
	if got := grant(idToken(googleIss, nil)); got != 400 {
		t.Errorf("a key that was taken back: %d", got)
	}
}

// TestIDTokenDiscovery is about documents that cannot be had, or are another issuer's.
func TestIDTokenDiscovery(t *testing.T) {
	t.Parallel()
	s, world := setupIssuers(t)
	for name, document := range map[string]any{
		"another issuer":    m{"issuer": "https://evil.example", "jwks_uri": "https://evil.example/keys"},
		"a slash more":      m{"issuer": googleIss + "/", "jwks_uri": googleIss + "/keys"},
		"Apple's":           m{"issuer": appleIss, "jwks_uri": appleIss + "/keys"},
		"no issuer":         m{"jwks_uri": googleIss + "/keys"},
		"not a document":    []string{},
		"issuer in capital": m{"issuer": "HTTPS://ACCOUNTS.GOOGLE.COM", "jwks_uri": googleIss + "/keys"},
	} {
		world.set(googleIss+"/.well-known/openid-configuration", document)
		if r := s.grant(m{"provider": "google", "id_token": idToken(googleIss, nil)}); r.Status != 500 || r.Text != unexpectedBody {
			t.Errorf("%s: %d %s", name, r.Status, r.Text)
		}
	}
	if r := s.grant(m{"provider": "azure", "id_token": idToken("https://login.microsoftonline.com/nobody/v2.0", nil)}); r.Status != 500 {
		t.Errorf("nobody there: %d %s", r.Status, r.Text)
	}
	if !strings.Contains(s.logged.String(), "evil.example") {
		t.Error("the log does not say why")
	}

	// Apple's document once named its other issuer for weeks, while tokens stayed as they were
	world.open(appleIss, m{"issuer": "https://account.apple.com"})
	if r := s.grant(m{"provider": "apple", "id_token": idToken(appleIss, nil)}); r.Status != 200 {
		t.Errorf("Apple: %d %s", r.Status, r.Text)
	}
	world.set(realmIss+"/keys", "no keys")
	if r := s.grant(m{"provider": "keycloak", "id_token": idToken(realmIss, nil)}); r.Text != badIDToken {
		t.Errorf("no keys: %d %s", r.Status, r.Text)
	}
}

// TestIDTokenClientIDs is POSTERN_ALLOWED_ID_TOKEN_CLIENT_IDS: without it, a token that somebody's own application got from an
// allowed issuer is good here.
func TestIDTokenClientIDs(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t, "POSTERN_ALLOWED_ID_TOKEN_CLIENT_IDS=app,other")
	grant := func(id string) response {
		return s.grant(m{"issuer": anyIss, "client_id": id, "id_token": idToken(anyIss, m{"aud": id})})
	}
	if r := grant("other"); r.Status != 200 {
		t.Errorf("an id on the list: %d %s", r.Status, r.Text)
	}
	if r := grant("elsewhere"); r.Text != oauthError("invalid request", "Unacceptable audience in id_token: [elsewhere]") {
		t.Errorf("an id that is not: %d %s", r.Status, r.Text)
	}
}

// TestIDTokenAzureTenant is about a URL that names one tenant: only its people may come.
func TestIDTokenAzureTenant(t *testing.T) {
	t.Parallel()
	const foreign = "https://login.microsoftonline.com/99999999-2222-3333-4444-555555555555/v2.0"
	for base, want := range map[string]map[string]int{
		"": {tenantIss: 200, oldAzureIss: 200, foreign: 200},
		"https://login.microsoftonline.com/organizations":           {tenantIss: 200, oldAzureIss: 200, foreign: 200},
		"https://login.microsoftonline.com/" + tenantID:             {tenantIss: 200, oldAzureIss: 200, foreign: 400},
		"https://login.microsoftonline.com/" + strings.ToUpper("x"): {tenantIss: 400, oldAzureIss: 400, foreign: 400},
		"https://x.ciamlogin.com/" + tenantID:                       {tenantIss: 400, oldAzureIss: 400, foreign: 400},
	} {
		s, world := setupIssuers(t, "GOTRUE_EXTERNAL_AZURE_URL="+base)
		world.open(foreign, nil)
		for iss, status := range want {
			if r := s.grant(m{"provider": "azure", "id_token": idToken(iss, nil)}); r.Status != status {
				t.Errorf("URL %q, token of %s: %d %s", base, iss, r.Status, r.Text)
			}
		}
	}
}

func (r response) errorCode() string {
	code, _ := r.Body["error_code"].(string)
	return code
}
