package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// keys sign ID tokens, by algorithm.
type keys struct {
	private map[string]crypto.Signer
	kid     map[string]string
}

func newKeys() (*keys, error) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	name := rand.Text()[:8]
	return &keys{
		private: map[string]crypto.Signer{"RS256": r, "ES256": e},
		kid:     map[string]string{"RS256": "rs-" + name, "ES256": "es-" + name},
	}, nil
}

// published is the JWK set (RFC 7517 section 5).
func (k *keys) published() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, alg := range []string{"RS256", "ES256"} {
		set.Keys = append(set.Keys, k.jwk(alg))
	}
	return set
}

func (k *keys) jwk(alg string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private[alg].Public(), KeyID: k.kid[alg], Algorithm: alg, Use: "sig"}
}

// IDToken returns a token for a client, without the round through a browser: claims override the usual ones, nil
// leaves one out. Algorithm and flaw are those of the knobs.
func (p *Provider) IDToken(clientID string, claims map[string]any) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idToken(grant{ClientID: clientID}, "", claims)
}

// idToken makes one; accessToken is what at_hash is about, "" for none. The caller holds the lock.
func (p *Provider) idToken(g grant, accessToken string, override map[string]any) string {
	now := time.Now()
	c := jwt.MapClaims{"iss": p.URL, "aud": g.ClientID, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	if g.Nonce != "" {
		c["nonce"] = g.Nonce
	}
	if accessToken != "" {
		c["at_hash"] = leftHalf(accessToken)
	}
	for name, value := range p.knobs.user() {
		c[name] = value
	}
	for name, value := range override {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	spoil(c, p.knobs.Flaw)
	return p.sign(c)
}

// leftHalf is the hash of an access token in its ID token (OpenID Connect Core 1.0 section 3.1.3.6).
func leftHalf(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// spoil brings a flaw into claims, if it is one of claims.
func spoil(c jwt.MapClaims, f Flaw) {
	now := time.Now()
	switch f {
	case WrongIssuer:
		c["iss"] = "https://issuer.example.net"
	case IssuerPrefix:
		c["iss"] = c["iss"].(string) + ".example.net"
	case NoIssuer:
		delete(c, "iss")
	case WrongAudience:
		c["aud"] = "somebody-else"
	case NoAudience:
		delete(c, "aud")
	case OtherAudiences:
		c["aud"] = []string{"somebody-else", "and-another"}
	case AudienceList:
		c["aud"] = []any{"somebody-else", c["aud"]}
	case Expired:
		c["iat"], c["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	case NoExpiry:
		delete(c, "exp")
	case NotYetValid:
		c["nbf"], c["exp"] = now.Add(time.Hour).Unix(), now.Add(2*time.Hour).Unix()
	case NoSubject:
		delete(c, "sub")
	case EmptySubject:
		c["sub"] = ""
	case WrongAtHash:
		c["at_hash"] = leftHalf("another access token")
	case NoNonce:
		delete(c, "nonce")
	case WrongNonce:
		c["nonce"] = "another-nonce"
	}
}

// sign signs claims with the flaw of the knobs, if it is one of signatures. The caller holds the lock.
func (p *Provider) sign(c jwt.MapClaims) string {
	alg := p.knobs.Algorithm
	kid, key := p.keys.kid[alg], p.keys.private[alg]
	switch f := p.knobs.Flaw; f {
	case AlgNone, AlgNoneSpelled:
		return unsigned(c, strings.TrimPrefix(string(f), "alg "))
	case KeyConfusion, KeyConfusionDER, KeyConfusionJWK:
		return signed(jwt.SigningMethodHS256, c, kid, p.keys.asSecret(alg, f))
	case ClientSecretHMAC:
		return signed(jwt.SigningMethodHS256, c, kid, []byte(p.knobs.Secret+"secret"))
	case UnknownKey:
		return signed(jwt.GetSigningMethod(alg), c, "unknown", foreign().private[alg])
	case KeyInHeader:
		own := foreign()
		return signed(jwt.GetSigningMethod(alg), c, kid, own.private[alg], "jwk", own.jwk(alg))
	case NoKid:
		return signed(jwt.GetSigningMethod(alg), c, "", key)
	case BrokenSignature, NoSignature:
		text := signed(jwt.GetSigningMethod(alg), c, kid, key)
		dot := strings.LastIndexByte(text, '.')
		if f == NoSignature {
			return text[:dot+1]
		}
		return text[:dot+1] + strings.Map(swap, text[dot+1:])
	case NotAToken:
		return "this.is not.a token"
	}
	return signed(jwt.GetSigningMethod(alg), c, kid, key)
}

// swap makes another signature of the same length of one.
func swap(r rune) rune {
	if r == 'A' {
		return 'B'
	}
	return 'A'
}

// asSecret is a public key as the bytes that a careless library takes for the secret of an HMAC.
func (k *keys) asSecret(alg string, f Flaw) []byte {
	var text []byte
	var err error
	if f == KeyConfusionJWK {
		text, err = json.Marshal(k.jwk(alg))
	} else {
		text, err = x509.MarshalPKIXPublicKey(k.private[alg].Public())
	}
	if err != nil {
		panic(err) // a key that was made here
	}
	if f == KeyConfusion {
		text = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text})
	}
	return text
}

// foreign are keys that nobody published.
func foreign() *keys {
	k, err := newKeys()
	if err != nil {
		panic(err) // the system has no random numbers
	}
	return k
}

func signed(method jwt.SigningMethod, c jwt.MapClaims, kid string, key any, header ...any) string {
	t := jwt.NewWithClaims(method, c)
	if kid != "" {
		t.Header["kid"] = kid
	}
	for i := 0; i+1 < len(header); i += 2 {
		t.Header[header[i].(string)] = header[i+1]
	}
	text, err := t.SignedString(key)
	if err != nil {
		panic(err) // a key that does not fit its algorithm: a mistake in here
	}
	return text
}

func unsigned(c jwt.MapClaims, alg string) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // claims that are no JSON: a mistake of the test
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode(fmt.Appendf(nil, `{"alg":%q,"typ":"JWT"}`, alg)) + "." + encode(text) + "."
}
