package api_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// TestIDTokenForgeries brings tokens whose signatures prove nothing. Nobody may get in.
func TestIDTokenForgeries(t *testing.T) {
	t.Parallel()
	s, world := setupIssuers(t)
	// a careless issuer: it lists everything, and publishes a shared secret beside its key
	secret := []byte("everybody can read this secret of the realm")
	world.open(realmIss, m{"id_token_signing_alg_values_supported": []string{"none", "HS256", "HS512", "RS256"}})
	world.setKeys(realmIss, jose.JSONWebKey{Key: issuerKeys()[0].Public(), KeyID: "key-1"}, jose.JSONWebKey{Key: secret, KeyID: "shared"})
	world.setKeys(anyIss, jose.JSONWebKey{Key: issuerKeys()[1].Public(), KeyID: "key-1"})
	world.setKeys("https://evil.example", jose.JSONWebKey{Key: issuerKeys()[2].Public(), KeyID: "key-1"})

	good := idToken(googleIss, nil)
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	der, err := x509.MarshalPKIXPublicKey(issuerKeys()[0].Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	encoded := func(v any) string { return base64.RawURLEncoding.EncodeToString(mustJSON(v)) }
	hmac := func(key []byte, kid string) string {
		return signedAs(jwt.SigningMethodHS256, key, m{"kid": kid}, googleIss, nil)
	}
	evil := jose.JSONWebKey{Key: issuerKeys()[2].Public(), KeyID: "evil"}
	serialized := mustJSON(m{"protected": head, "payload": payload, "signature": signature})
	twice := mustJSON(m{"payload": payload, "signatures": []m{
		{"protected": head, "signature": signature}, {"protected": head, "signature": signature},
	}})
	for name, c := range map[string][2]string{ // the provider, the token
		"alg none":                         {"google", signedAs(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, m{"kid": "key-1"}, googleIss, nil)},
		"alg none where it is listed":      {"keycloak", signedAs(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, m{"kid": "key-1"}, realmIss, nil)},
		"alg NONE":                         {"google", encoded(m{"alg": "NONE", "kid": "key-1"}) + "." + payload + "."},
		"alg missing":                      {"google", encoded(m{"kid": "key-1"}) + "." + payload + "." + signature},
		"alg empty":                        {"google", encoded(m{"alg": "", "kid": "key-1"}) + "." + payload + "." + signature},
		"no signature":                     {"google", head + "." + payload + "."},
		"no signature, no dot":             {"google", head + "." + payload},
		"HS256 with the public key, PEM":   {"google", hmac(public, "key-1")},
		"HS256 with the public key, DER":   {"google", hmac(der, "key-1")},
		"HS256 with the modulus":           {"google", hmac(issuerKeys()[0].N.Bytes(), "key-1")},
		"HS256 without a key":              {"google", hmac([]byte{}, "key-1")},
		"HS256 with this server's secret":  {"google", hmac([]byte(jwtSecret), "key-1")},
		"HS256 with a published secret":    {"keycloak", signedAs(jwt.SigningMethodHS256, secret, m{"kid": "shared"}, realmIss, nil)},
		"HS512 with a published secret":    {"keycloak", signedAs(jwt.SigningMethodHS512, secret, m{"kid": "shared"}, realmIss, nil)},
		"the same without kid":             {"keycloak", signedAs(jwt.SigningMethodHS256, secret, m{"kid": nil}, realmIss, nil)},
		"another key under a known kid":    {"google", signedBy(issuerKeys()[2], "key-1", googleIss, nil)},
		"another key without kid":          {"google", signedAs(jwt.SigningMethodRS256, issuerKeys()[2], m{"kid": nil}, googleIss, nil)},
		"a key of another issuer":          {"google", signedBy(issuerKeys()[1], "key-1", googleIss, nil)},
		"a key of another kind":            {"google", signedBy(newECKey(t), "key-1", googleIss, nil)},
		"a kid like a path":                {"google", signedBy(issuerKeys()[2], "../../evil.example/keys", googleIss, nil)},
		"a key of its own (jwk)":           {"google", signedAs(jwt.SigningMethodRS256, issuerKeys()[2], m{"kid": "evil", "jwk": evil}, googleIss, nil)},
		"keys of its own (jku)":            {"google", signedAs(jwt.SigningMethodRS256, issuerKeys()[2], m{"kid": "key-1", "jku": "https://evil.example/keys"}, googleIss, nil)},
		"a certificate of its own (x5u)":   {"google", signedAs(jwt.SigningMethodRS256, issuerKeys()[2], m{"kid": "key-1", "x5u": "https://evil.example/keys"}, googleIss, nil)},
		"an extension nobody knows (crit)": {"google", signedAs(jwt.SigningMethodRS256, issuerKeys()[0], m{"kid": "key-1", "crit": []string{"exp"}, "exp": 1}, googleIss, nil)},
		"an algorithm that is not listed":  {"google", signedAs(jwt.SigningMethodRS512, issuerKeys()[0], m{"kid": "key-1"}, googleIss, nil)},
		"a changed payload":                {"google", head + "." + encoded(m{"iss": googleIss, "sub": "someone", "aud": "app", "exp": time.Now().Unix() + 300}) + "." + signature},
		"a signature cut short":            {"google", good[:len(good)-8]},
		"an unverifiable signature":        {"google", head + "." + payload + "." + strings.Repeat("A", len(signature))},
		"JSON serialization":               {"google", string(serialized)},
		"two signatures":                   {"google", string(twice)},
		"encrypted":                        {"google", head + ".a.b.c.d"},
		"two tokens":                       {"google", good + "." + good},
		"Azure, other key":                 {"azure", signedBy(issuerKeys()[2], "key-1", tenantIss, nil)},
		"Apple, other key":                 {"apple", signedBy(issuerKeys()[2], "key-1", appleIss, nil)},
		"claims from elsewhere":            {"google", idToken(googleIss, m{"_claim_names": m{"email": "there"}, "_claim_sources": m{}})},
	} {
		r := s.grant(m{"provider": c[0], "id_token": c[1]})
		if r.Status != 400 || r.Text != badIDToken {
			t.Errorf("%s: %d %s", name, r.Status, r.Text)
		}
	}
	nobodyIn(t, s, world)
}

// TestIDTokenIssuers brings tokens of one issuer under the name of another. The worst case: all of them share one key, so that
// nothing but the issuer tells them apart.
func TestIDTokenIssuers(t *testing.T) {
	t.Parallel()
	s, world := setupIssuers(t)
	const azure = "https://login.microsoftonline.com/"
	for _, c := range [][2]any{ // the provider, iss
		{"google", anyIss}, {"google", realmIss}, {"google", appleIss}, {"google", tenantIss}, {"keycloak", googleIss},
		{"keycloak", anyIss}, {"apple", googleIss}, {"apple", tenantIss}, {"azure", appleIss}, {"azure", anyIss},
		{"google", googleIss + "/"}, {"google", "HTTPS://ACCOUNTS.GOOGLE.COM"}, {"google", "https://Accounts.google.com"},
		{"google", "https://accounts.google.com@evil.example"}, {"google", "https://accounts.google.com.evil.example"},
		{"google", "https://evil.example/https://accounts.google.com"}, {"google", "http://accounts.google.com"},
		{"google", "https://accounts.google.com:443"}, {"google", "https://accounts.google.com/."}, {"google", "https://accounts%2egoogle.com"},
		{"google", " https://accounts.google.com"}, {"google", "https://accounts.google.com\n"}, {"google", "https://accounts.google.com#"},
		{"google", "https://accounts.google.com?"}, {"google", "https://accounts.google.com."}, {"google", "https://accounts.gооgle.com"},
		{"google", []string{googleIss}}, {"google", m{"https": googleIss}}, {"google", 7}, {"google", nil}, {"google", ""},
		{"keycloak", realmIss + "/"}, {"keycloak", "https://sso.example.com/realms/main2"}, {"keycloak", "https://sso.example.com/realms/other/../main"},
		{"keycloak", "https://sso.example.com/realms"}, {"keycloak", "https://sso.example.com/realms/Main"},
		{"apple", appleIss + "/"}, {"apple", "http://appleid.apple.com"}, {"apple", "https://appleid.apple.com.evil.example"},
		{"apple", "https://appleid.apple.com@evil.example"}, {"apple", "https://evil.example?https://appleid.apple.com"},
		{"apple", "https://APPLEID.apple.com"}, {"apple", "https://idmsa.apple.com"}, {"apple", []string{appleIss}}, {"apple", nil},
		{"azure", "https://login.microsoftonline.com.evil.example/t/v2.0"}, {"azure", "https://login.microsoftonline.com@evil.example/t/v2.0"},
		{"azure", "https://evil@login.microsoftonline.com/t/v2.0"}, {"azure", "https://login.microsoftonline.com:8443/t/v2.0"},
		{"azure", "http://login.microsoftonline.com/t/v2.0"}, {"azure", "https://LOGIN.MICROSOFTONLINE.COM/t/v2.0"},
		{"azure", azure + "t"}, {"azure", azure + "t/v1.0"}, {"azure", azure + "t/v2.0/more"}, {"azure", azure + "t/u/v2.0"},
		{"azure", azure + "../v2.0"}, {"azure", azure + "./v2.0"}, {"azure", azure + "/v2.0"}, {"azure", azure + "t/../u/v2.0"},
		{"azure", azure + "t/v2.0//"}, {"azure", azure + "t%2Fv2.0"}, {"azure", azure + "t%00/v2.0"}, {"azure", azure + "t/v2.0?u"},
		{"azure", azure + "t/v2.0#u"}, {"azure", azure + "t/v2.0\n"}, {"azure", azure + "t@evil.example/v2.0"}, {"azure", azure + `t\v2.0`},
		{"azure", azure + "t;u/v2.0"}, {"azure", azure + "{tenantid}/v2.0"}, {"azure", "https://login.microsoftonline.us/t/v2.0"},
		{"azure", "https://login.microsoftonline.comevil.example/t/v2.0"}, {"azure", "https://sts.windows.net@evil.example/t/"},
		{"azure", "https://sts.windows.net.evil.example/t/"}, {"azure", "https://sts.windows.net/"}, {"azure", "https://sts.windows.net/../t/"},
		{"azure", "https://sts.windows.net/t/u/"}, {"azure", "https://sts.windows.net/t/?u"}, {"azure", "http://sts.windows.net/t/"},
		{"azure", []string{tenantIss}}, {"azure", nil},
	} {
		provider, iss := c[0].(string), c[1]
		r := s.grant(m{"provider": provider, "id_token": idToken("", m{"iss": iss})})
		if r.Status != 400 {
			t.Errorf("%s, a token of %q: %d %s", provider, iss, r.Status, r.Text)
		}
	}
	nobodyIn(t, s, world)
}

// TestIDTokenRequests names providers and issuers in ways that almost are those of the settings.
func TestIDTokenRequests(t *testing.T) {
	t.Parallel()
	s, world := setupIssuers(t, "GOTRUE_EXTERNAL_KEYCLOAK_URL=")
	google, other := idToken(googleIss, nil), idToken(anyIss, nil)
	for name, c := range map[string]struct {
		body   m
		status int
	}{
		"a blank after the name":            {m{"provider": "google ", "id_token": google}, 400},
		"a name in capitals":                {m{"provider": "GOOGLE", "id_token": google}, 400},
		"two names":                         {m{"provider": "google,apple", "id_token": google}, 400},
		"NUL after the name":                {m{"provider": "google\x00", "id_token": google}, 400},
		"a custom name":                     {m{"provider": "custom:google", "id_token": google}, 400},
		"a name that is a list":             {m{"provider": []string{"google"}, "id_token": google}, 400},
		"a token that is a number":          {m{"provider": "google", "id_token": 7}, 400},
		"a token that is an object":         {m{"provider": "google", "id_token": m{"iss": googleIss}}, 400},
		"link_identity is a number":         {m{"provider": "google", "id_token": google, "link_identity": 1}, 400},
		"an empty issuer":                   {m{"provider": "nobody", "issuer": "", "client_id": "app", "id_token": google}, 400},
		"a disallowed issuer, client id":    {m{"provider": "nobody", "issuer": realmIss, "client_id": "app", "id_token": idToken(realmIss, nil)}, 400},
		"Keycloak without a URL":            {m{"provider": "keycloak", "id_token": idToken("", nil)}, 500},
		"Keycloak without a URL, by issuer": {m{"issuer": realmIss, "client_id": "app", "id_token": idToken(realmIss, nil)}, 400},
		"Google's issuer and a slash":       {m{"issuer": googleIss + "/", "client_id": "app", "id_token": google}, 400},
		"Google's issuer in capitals":       {m{"issuer": "https://ACCOUNTS.google.com", "client_id": "app", "id_token": google}, 400},
		"Google's issuer, no scheme":        {m{"issuer": "accounts.google.com", "client_id": "app", "id_token": google}, 400},
		"the allowed issuer and a slash":    {m{"issuer": anyIss + "/", "client_id": "app", "id_token": other}, 400},
		"the allowed issuer in capitals":    {m{"issuer": strings.ToUpper(anyIss), "client_id": "app", "id_token": other}, 400},
		"the allowed issuer and a query":    {m{"issuer": anyIss + "?", "client_id": "app", "id_token": other}, 400},
		"the allowed issuer's path":         {m{"issuer": anyIss + "/tenant", "client_id": "app", "id_token": other}, 400},
		"a blank before the allowed issuer": {m{"issuer": " " + anyIss, "client_id": "app", "id_token": other}, 400},
		"userinfo in the allowed issuer":    {m{"issuer": "https://x@login.partner.example", "client_id": "app", "id_token": other}, 400},
		"all allowed issuers":               {m{"issuer": anyIss + "," + anyIss, "client_id": "app", "id_token": other}, 400},
		"the allowed issuer, Google's own":  {m{"issuer": anyIss, "client_id": "app", "id_token": google}, 400},
		"a token for another application":   {m{"issuer": anyIss, "client_id": "app", "id_token": idToken(anyIss, m{"aud": "theirs"})}, 400},
		"an audience in capitals":           {m{"provider": "google", "id_token": idToken(googleIss, m{"aud": "APP"})}, 400},
		"an audience and a blank":           {m{"provider": "google", "id_token": idToken(googleIss, m{"aud": "app "})}, 400},
		"both client ids in one text":       {m{"provider": "google", "id_token": idToken(googleIss, m{"aud": "app,app-2"})}, 400},
		"an audience that is an object":     {m{"provider": "google", "id_token": idToken(googleIss, m{"aud": m{"app": 1}})}, 400},
		"a list in a list":                  {m{"provider": "google", "id_token": idToken(googleIss, m{"aud": []any{[]string{"app"}}})}, 400},
		"azp alone":                         {m{"provider": "google", "id_token": idToken(googleIss, m{"aud": "theirs", "azp": "app"})}, 400},
		"the client id of the request":      {m{"provider": "google", "client_id": "theirs", "id_token": idToken(googleIss, m{"aud": "theirs"})}, 400},
		"exp is a text":                     {m{"provider": "google", "id_token": idToken(googleIss, m{"exp": "tomorrow"})}, 400},
		"exp is long ago":                   {m{"provider": "google", "id_token": idToken(googleIss, m{"exp": -1})}, 400},
		"exp is null":                       {m{"provider": "google", "id_token": idToken(googleIss, m{"exp": json.RawMessage("null")})}, 400},
		"nbf is far":                        {m{"provider": "google", "id_token": idToken(googleIss, m{"nbf": 4102444800})}, 400},
		"sub is a number":                   {m{"provider": "google", "id_token": idToken(googleIss, m{"sub": 7})}, 400},
		"sub is a list":                     {m{"provider": "google", "id_token": idToken(googleIss, m{"sub": []string{"person-1"}})}, 400},
		"NUL in sub":                        {m{"provider": "google", "id_token": idToken(googleIss, m{"sub": "a\x00b"})}, 400},
		"NUL in a name":                     {m{"provider": "google", "id_token": idToken(googleIss, m{"name": "a\x00b"})}, 400},
		"an address that does not fit":      {m{"provider": "google", "id_token": idToken(googleIss, m{"email": strings.Repeat("a", 300) + "@example.com"})}, 400},
		"a sub that does not fit":           {m{"provider": "google", "id_token": idToken(googleIss, m{"sub": uncompressible()})}, 400},
	} {
		if r := s.grant(c.body); r.Status != c.status {
			t.Errorf("%s: %d %s", name, r.Status, r.Text)
		}
	}
	nobodyIn(t, s, world)
}

// uncompressible is a text that does not fit into an index, even compressed.
func uncompressible() string {
	text := make([]byte, 8192)
	rand.Read(text) // never fails
	return base64.StdEncoding.EncodeToString(text)
}

// nobodyIn wants no account, and no question to hosts other than the providers'.
func nobodyIn(t *testing.T, s *server, world *issuers) {
	t.Helper()
	for _, table := range []string{"auth.users", "auth.identities", "auth.sessions"} {
		if n := s.scan("select count(*) from " + table); n != "0" {
			t.Errorf("%s has %s rows", table, n)
		}
	}
	world.mu.Lock()
	defer world.mu.Unlock()
	known := []string{
		"accounts.google.com", "appleid.apple.com", "account.apple.com", "sso.example.com", "login.partner.example",
		"login.microsoftonline.com", "sts.windows.net", "",
	}
	for _, asked := range world.requests {
		if u, err := url.Parse(asked); err != nil || !slices.Contains(known, u.Host) {
			t.Errorf("the server asked %s", asked)
		}
	}
}
