package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/config"
)

const testSecret = "a-secret-of-more-than-thirty-two-bytes"

// testKeys are throw-away private keys by kind.
type testKeys map[string]crypto.Signer

func generate(t testing.TB) testKeys {
	t.Helper()
	must := func(key crypto.Signer, err error) crypto.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err256 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p521, err521 := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	rsaKey, errRSA := rsa.GenerateKey(rand.Reader, 2048)
	return testKeys{"ed": ed, "p256": must(p256, err256), "p521": must(p521, err521), "rsa": must(rsaKey, errRSA)}
}

// member returns one JWK as JSON with more members spliced in.
func member(t testing.TB, key any, kid, alg, more string) string {
	t.Helper()
	text, err := jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: alg}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "}") + more + "}"
}

const (
	signs    = `,"key_ops":["sign","verify"]`
	verifies = `,"key_ops":["verify"]`
)

func set(members ...string) config.Secret {
	return config.Secret("[" + strings.Join(members, ",") + "]")
}

func newKeys(t testing.TB, c config.JWT) *Keys {
	t.Helper()
	if c.Secret == "" {
		c.Secret = testSecret
	}
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign makes a token by hand: any header, any payload.
func sign(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, payload string) string {
	t.Helper()
	head, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	signature, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func header(alg string, kid any) map[string]any {
	h := map[string]any{"alg": alg, "typ": "JWT"}
	if kid != nil {
		h["kid"] = kid
	}
	return h
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	keys := generate(t)
	const claims = `{"sub":"7f0cb8a4-43a5-41a2-9f1c-1d8f3c1c3a11","exp":4102444800,"nested":{"z":1,"a":"é"}}`
	for _, test := range []struct {
		name, alg, kid string
		config         config.JWT
		public         int
	}{
		{"secret", "HS256", "", config.JWT{}, 0},
		{"secret with id", "HS256", "s1", config.JWT{KeyID: "s1"}, 0},
		{"empty list", "HS256", "", config.JWT{Keys: "[]"}, 0},
		{"oct", "HS256", "o", config.JWT{Keys: set(member(t, []byte("another-secret"), "o", "HS256", signs))}, 0},
		{"oct without alg", "HS256", "o", config.JWT{Keys: set(member(t, []byte("another-secret"), "o", "", signs))}, 0},
		{"oct without kid", "HS256", "", config.JWT{Keys: set(member(t, []byte("another-secret"), "", "", signs))}, 0},
		{"rs256", "RS256", "r", config.JWT{Keys: set(member(t, keys["rsa"], "r", "RS256", signs))}, 1},
		{"rs512", "RS512", "r", config.JWT{Keys: set(member(t, keys["rsa"], "r", "RS512", signs))}, 1},
		{"es256", "ES256", "e", config.JWT{Keys: set(member(t, keys["p256"], "e", "ES256", signs), member(t, keys["rsa"], "r", "RS256", verifies))}, 2},
		{"es512 without alg and kid", "ES512", "", config.JWT{Keys: set(member(t, keys["p521"], "", "", signs))}, 1},
		{"eddsa", "EdDSA", "d", config.JWT{Keys: set(member(t, keys["ed"], "d", "EdDSA", signs), member(t, []byte(testSecret), "o", "HS256", verifies))}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := newKeys(t, test.config)
			signed, err := k.Sign([]byte(claims))
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.Verify(signed)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(claims, string(got.JSON())); diff != "" {
				t.Error(diff)
			}
			head, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[0])
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, test.alg, test.kid)
			if test.kid == "" {
				want = fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, test.alg)
			}
			if string(head) != want {
				t.Errorf("header %s, want %s", head, want)
			}
			var published struct{ Keys []map[string]any }
			if err := json.Unmarshal(k.JWKS(), &published); err != nil || len(published.Keys) != test.public {
				t.Errorf("%d public keys in %s (%v), want %d", len(published.Keys), k.JWKS(), err, test.public)
			}
		})
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	keys := generate(t)
	k := newKeys(t, config.JWT{Keys: set(
		member(t, keys["p256"], "e", "ES256", `,"d_more":"hidden","use":"enc"`+signs),
		member(t, keys["rsa"], "r", "RS256", verifies), member(t, []byte("x"), "o", "HS256", verifies),
	)})
	var got struct{ Keys []map[string]any }
	if err := json.Unmarshal(k.JWKS(), &got); err != nil {
		t.Fatal(err)
	}
	members := func(m map[string]any) map[string]bool {
		names := map[string]bool{}
		for name := range m {
			names[name] = true
		}
		return names
	}
	want := []map[string]bool{
		{"alg": true, "crv": true, "key_ops": true, "kid": true, "kty": true, "use": true, "x": true, "y": true},
		{"alg": true, "e": true, "key_ops": true, "kid": true, "kty": true, "use": true, "n": true},
	}
	if diff := cmp.Diff(want, []map[string]bool{members(got.Keys[0]), members(got.Keys[1])}); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"use": "sig", "kid": "e", "alg": "ES256", "kty": "EC", "crv": "P-256", "key_ops": []any{"verify"}}, map[string]any{
		"use": got.Keys[0]["use"], "kid": got.Keys[0]["kid"], "alg": got.Keys[0]["alg"], "kty": got.Keys[0]["kty"], "crv": got.Keys[0]["crv"], "key_ops": got.Keys[0]["key_ops"],
	}); diff != "" {
		t.Error(diff)
	}
	if empty := newKeys(t, config.JWT{}).JWKS(); string(empty) != `{"keys":[]}` {
		t.Errorf("without keys: %s", empty)
	}
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	keys := generate(t)
	for _, test := range []struct {
		name, want string
		config     config.JWT
	}{
		{"no array", "GOTRUE_JWT_KEYS: must be a JSON array", config.JWT{Keys: "{}"}},
		{"no object", "key 1 must be a JSON object", config.JWT{Keys: "[1]"}},
		{"no key", "key 1 is not a valid JWK", config.JWT{Keys: `[{"kty":"EC"}]`}},
		{"unknown type", "key 1 is not a valid JWK", config.JWT{Keys: `[{"kty":"OKP","crv":"X25519","x":"AA"}]`}},
		{"empty secret", "key 1 is an empty secret", config.JWT{Keys: `[{"kty":"oct","k":""}]`}},
		{"nothing signs", "no signing key found", config.JWT{Keys: set(member(t, keys["rsa"], "r", "RS256", verifies))}},
		{"two sign", "multiple signing keys detected, only 1 signing key is supported", config.JWT{Keys: set(member(t, keys["rsa"], "r", "RS256", signs), member(t, keys["ed"], "d", "EdDSA", signs))}},
		{"public key signs", `the key "r" cannot sign with RS256`, config.JWT{Keys: set(member(t, keys["rsa"].Public(), "r", "RS256", signs))}},
		{"wrong alg", `the key "e" cannot sign with RS256`, config.JWT{Keys: set(member(t, keys["p256"], "e", "RS256", signs))}},
		{"alg that does not sign", `the key "e" cannot sign with HS256`, config.JWT{Keys: set(member(t, keys["p256"], "e", "ES384", signs))}},
		{"unknown alg", `"XS1"`, config.JWT{Keys: set(member(t, []byte("s"), "o", "XS1", signs))}},
		{"AWS KMS", "AWS KMS are not supported", config.JWT{Keys: set(member(t, keys["rsa"], "r", "RS256", signs+`,"aws:kms:arn":"arn:aws:kms:eu-west-1:1:key/2"`))}},
		{"none", `"none"`, config.JWT{ValidMethods: []string{"none"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.config.Secret = testSecret
			_, err := New(test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := New(config.JWT{}); err == nil {
		t.Error("an empty secret is accepted")
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	keys := generate(t)
	secretOnly := newKeys(t, config.JWT{KeyID: "s1"})
	mixed := newKeys(t, config.JWT{KeyID: "s1", Keys: set(
		member(t, keys["p256"], "e", "ES256", signs), member(t, keys["rsa"], "r", "RS256", verifies), member(t, []byte("old-secret"), "o", "HS256", verifies))})
	asymmetric := newKeys(t, config.JWT{Keys: set(member(t, keys["p256"], "e", "ES256", signs))})
	hs, secret, past := jwt.SigningMethodHS256, []byte(testSecret), time.Now().Add(-time.Second).Unix()
	rsaPublic := fmt.Appendf(nil, "%v", keys["rsa"].Public())
	good := sign(t, hs, secret, header("HS256", nil), `{}`)
	for _, test := range []struct {
		name, token, want string
		keys              *Keys
	}{
		{"empty", "", "token is malformed: token contains an invalid number of segments", secretOnly},
		{"two parts", "a.b", "token is malformed: token contains an invalid number of segments", secretOnly},
		{"four parts", good + ".x", "token is malformed: token contains an invalid number of segments", secretOnly},
		{"garbage", "abc.def.ghi", "token is malformed: could not JSON decode header: ", secretOnly},
		{"too long", good + strings.Repeat("A", maxLength), "token is malformed: token is longer than 65536 bytes", secretOnly},
		{"deep", sign(t, hs, secret, header("HS256", nil), `{"x":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+`}`), "token is malformed: could not JSON decode claim: ", secretOnly},
		{"cut signature", good[:len(good)-4], "token signature is invalid: signature is invalid", secretOnly},
		{"other secret", sign(t, hs, []byte("x"), header("HS256", nil), `{}`), "token signature is invalid: signature is invalid", secretOnly},
		{"alg none", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, header("none", nil), `{}`), "token signature is invalid: signing method none is invalid", secretOnly},
		{"alg missing", sign(t, hs, secret, map[string]any{}, `{}`), "token is unverifiable: signing method (alg) is unspecified", secretOnly},
		{"alg unknown", sign(t, hs, secret, header("hs256", nil), `{}`), "token is unverifiable: signing method (alg) is unavailable", secretOnly},
		{"alg not accepted", sign(t, jwt.SigningMethodHS512, secret, header("HS512", nil), `{}`), "token signature is invalid: signing method HS512 is invalid", secretOnly},
		{"secret with asymmetric keys only", good, "token signature is invalid: signing method HS256 is invalid", asymmetric},
		{"expired", sign(t, hs, secret, header("HS256", nil), fmt.Sprintf(`{"exp":%d}`, past)), "token has invalid claims: token is expired", secretOnly},
		{"expired, as a fraction", sign(t, hs, secret, header("HS256", nil), fmt.Sprintf(`{"exp":%d.5}`, past-1)), "token has invalid claims: token is expired", secretOnly},
		{"not yet", sign(t, hs, secret, header("HS256", nil), `{"nbf":4102444800}`), "token has invalid claims: token is not valid yet", secretOnly},
		{"exp is a text", sign(t, hs, secret, header("HS256", nil), `{"exp":"soon"}`), "token is malformed: could not JSON decode claim: ", secretOnly},
		{"exp is an object", sign(t, hs, secret, header("HS256", nil), `{"exp":{}}`), "token is malformed: could not JSON decode claim: ", secretOnly},
		{"claims are a list", sign(t, hs, secret, header("HS256", nil), `[]`), "token is malformed: could not JSON decode claim: ", secretOnly},
		{"unknown kid", sign(t, jwt.SigningMethodRS256, keys["rsa"], header("RS256", "other"), `{}`), "token is unverifiable: error while executing keyfunc: unrecognized JWT kid other for algorithm RS256", mixed},
		{"no kid", sign(t, jwt.SigningMethodRS256, keys["rsa"], header("RS256", nil), `{}`), "token is unverifiable: error while executing keyfunc: unrecognized JWT kid <nil> for algorithm RS256", mixed},
		{"another key's kid", sign(t, jwt.SigningMethodRS256, keys["rsa"], header("RS256", "e"), `{}`), "token signature is invalid: key is of invalid type: RSA verify expects *rsa.PublicKey", mixed},
		{"public key as secret", sign(t, hs, rsaPublic, header("HS256", "r"), `{}`), "token signature is invalid: key is of invalid type: HMAC verify expects []byte", mixed},
		{"secret under the kid of another", sign(t, hs, secret, header("HS256", "o"), `{}`), "token signature is invalid: signature is invalid", mixed},
		{"kid of the secret, wrong alg", sign(t, jwt.SigningMethodRS256, keys["rsa"], header("RS256", "s1"), `{}`), "token signature is invalid: key is of invalid type: RSA verify expects *rsa.PublicKey", mixed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := test.keys.Verify(test.token)
			if want := "invalid JWT: unable to parse or verify signature, " + test.want; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestVerifyAccepts(t *testing.T) {
	t.Parallel()
	keys := generate(t)
	k := newKeys(t, config.JWT{KeyID: "s1", Keys: set(
		member(t, keys["p256"], "e", "ES256", signs), member(t, keys["rsa"], "r", "RS256", verifies), member(t, []byte("old-secret"), "o", "HS256", verifies))})
	hs, secret := jwt.SigningMethodHS256, []byte(testSecret)
	for name, token := range map[string]string{
		"previous key":          sign(t, jwt.SigningMethodRS256, keys["rsa"], header("RS256", "r"), `{}`),
		"previous secret":       sign(t, hs, []byte("old-secret"), header("HS256", "o"), `{}`),
		"secret without kid":    sign(t, hs, secret, header("HS256", nil), `{}`),
		"secret with its kid":   sign(t, hs, secret, header("HS256", "s1"), `{}`),
		"secret, unknown kid":   sign(t, hs, secret, header("HS256", "zz"), `{}`),
		"secret, kid no text":   sign(t, hs, secret, header("HS256", 7), `{}`),
		"null claims":           sign(t, hs, secret, header("HS256", nil), `null`),
		"issued in the future":  sign(t, hs, secret, header("HS256", nil), `{"iat":4102444800,"iss":1,"jti":{}}`),
		"exp null":              sign(t, hs, secret, header("HS256", nil), `{"exp":null}`),
		"exp far in the future": sign(t, hs, secret, header("HS256", nil), `{"exp":9007199254740993}`),
	} {
		if _, err := k.Verify(token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	k := newKeys(t, config.JWT{})
	for _, test := range []struct {
		payload string
		want    Claims
	}{
		{`{}`, Claims{}},
		{`{"sub":"u","aud":"a","role":"r","session_id":"s","client_id":"c","aal":"aal1","email":"e@x","phone":"1","is_anonymous":true,"exp":4102444800}`, Claims{
			Subject: "u", Audience: "a", Role: "r", SessionID: "s", ClientID: "c", AAL: "aal1", Email: "e@x", Phone: "1", IsAnonymous: true, ExpiresAt: time.Unix(4102444800, 0)}},
		{`{"sub":null,"aud":null,"session_id":null,"is_anonymous":null}`, Claims{}},
		{`{"sub":1,"session_id":17,"role":["service_role"],"email":{"a":1},"is_anonymous":"true"}`, Claims{Subject: "1", SessionID: "17", Role: `["service_role"]`, Email: `{"a":1}`}},
		{`{"aud":["a","b"]}`, Claims{Audience: "a"}},
		{`{"aud":[]}`, Claims{}},
		{`{"aud":7}`, Claims{Audience: "7"}},
		{`{"sub":"a\u00e9\"b","role":"` + "\xff" + `"}`, Claims{Subject: `aé"b`, Role: "\uFFFD"}},
	} {
		got, err := k.Verify(sign(t, jwt.SigningMethodHS256, []byte(testSecret), header("HS256", nil), test.payload))
		if err != nil {
			t.Errorf("%s: %v", test.payload, err)
			continue
		}
		if string(got.JSON()) != test.payload {
			t.Errorf("JSON is %s, want %s", got.JSON(), test.payload)
		}
		got.payload = ""
		if diff := cmp.Diff(test.want, *got, cmp.AllowUnexported(Claims{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.payload, diff)
		}
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER a.b.c": "a.b.c",
		"": "", "Bearer": "", "Bearer ": "", "Bearer  abc": "", "Bearer abc ": "", "Bearer a b": "", "Basic abc": "", "Bearer\tabc": "", " Bearer abc": "",
	} {
		if got, ok := Bearer(header); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", header, got, ok)
		}
	}
}

// FuzzVerify looks for panics, and for accepted tokens that the secret did not sign.
func FuzzVerify(f *testing.F) {
	k := newKeys(f, config.JWT{})
	good, err := k.Sign([]byte(`{"sub":"x","exp":4102444800,"aud":["a"]}`))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, good + ".", "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", strings.ToUpper(good), "eyJhbGciOiJIUzI1NiIsImtpZCI6e319.e30.AA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := k.Verify(token)
		if err != nil {
			return
		}
		parts := strings.Split(token, ".")
		signature, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil || jwt.SigningMethodHS256.Verify(parts[0]+"."+parts[1], signature, []byte(testSecret)) != nil {
			t.Errorf("accepted %q as %+v", token, claims)
		}
	})
}

// FuzzClaims gives the server signed nonsense.
func FuzzClaims(f *testing.F) {
	k := newKeys(f, config.JWT{})
	for _, seed := range []string{`{}`, `null`, `{"sub":[]}`, `{"aud":[null,1]}`, `{"exp":1e999}`, `{"nbf":-1}`, `{"aud":"\ud800"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		signed, err := k.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		if claims, err := k.Verify(signed); err == nil && string(claims.JSON()) != string(payload) {
			t.Errorf("signed %q, read %q", payload, claims.JSON())
		}
	})
}
