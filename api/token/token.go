package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// maxLength of a token in bytes.
const maxLength = 64 << 10

// Sign returns a token whose payload is exactly claims, a JSON object.
func (k *Keys) Sign(claims []byte) (string, error) {
	text := make([]byte, 0, len(k.header)+base64.RawURLEncoding.EncodedLen(len(claims)))
	text = base64.RawURLEncoding.AppendEncode(append(text, k.header...), claims)
	signed := string(text)
	signature, err := k.method.Sign(signed, k.signingKey)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// Claims are the claims of a verified token that the server looks at. A claim that should be a text and is not
// has its JSON text, so that it matches no id and no role; null is the same as missing.
type Claims struct {
	Subject     string
	Audience    string // the first, if there are several
	Role        string
	SessionID   string
	ClientID    string
	AAL         string
	Email       string
	Phone       string
	IsAnonymous bool
	ExpiresAt   time.Time // zero when the token does not expire

	payload string
}

// JSON returns all claims as they were signed.
func (c *Claims) JSON() []byte {
	text, _ := base64.RawURLEncoding.DecodeString(c.payload) // was decoded before
	return text
}

// Verify returns the claims of a token after checking its signature and, where present, exp and nbf (spec/00
// section 8, spec/07 section 1.5). The text of the error is the message for the wire, with 403 bad_jwt.
func (k *Keys) Verify(token string) (*Claims, error) {
	claims, err := k.verify(token)
	if err != nil {
		return nil, fmt.Errorf("invalid JWT: unable to parse or verify signature, %w", err)
	}
	return claims, nil
}

func (k *Keys) verify(token string) (*Claims, error) {
	if len(token) > maxLength {
		return nil, fmt.Errorf("%w: token is longer than %d bytes", jwt.ErrTokenMalformed, maxLength)
	}
	var p payload
	if _, err := k.parser.ParseWithClaims(token, &p, k.choose); err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(token, ".")
	text, _, _ := strings.Cut(rest, ".")
	claims := &Claims{
		Subject: string(p.Subject), Audience: string(p.Audience), Role: string(p.Role), SessionID: string(p.SessionID),
		ClientID: string(p.ClientID), AAL: string(p.AAL), Email: string(p.Email), Phone: string(p.Phone),
		IsAnonymous: bool(p.IsAnonymous), payload: text,
	}
	if p.ExpiresAt != nil {
		claims.ExpiresAt = p.ExpiresAt.Time
	}
	return claims, nil
}

// choose returns the key that a token says it was signed with. Its algorithm is one of the accepted ones.
func (k *Keys) choose(t *jwt.Token) (any, error) {
	kid, isText := t.Header["kid"].(string)
	key, known := k.byID[kid]
	switch {
	case known && (isText || fits(t.Method, key)): // a key without kid shares the tokens without kid with the secret
		return key, nil
	case isText && kid == k.secretID && kid != "", t.Method == jwt.SigningMethodHS256:
		return k.secret, nil
	}
	return nil, fmt.Errorf("unrecognized JWT kid %v for algorithm %s", t.Header["kid"], t.Method.Alg())
}

// fits tells whether a key is of the type that the method takes.
func fits(method jwt.SigningMethod, key any) bool {
	switch key.(type) {
	case []byte:
		return strings.HasPrefix(method.Alg(), "HS")
	case *rsa.PublicKey:
		return strings.HasPrefix(method.Alg(), "RS") || strings.HasPrefix(method.Alg(), "PS")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(method.Alg(), "ES")
	case ed25519.PublicKey:
		return method == jwt.SigningMethodEdDSA
	}
	return false
}

// Bearer returns the token of an Authorization header, and whether there is one: the word Bearer in any case, one
// space, and a token without spaces.
func Bearer(header string) (string, bool) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" || strings.ContainsAny(token, " \t\r\n\v\f") {
		return "", false
	}
	return token, true
}

// payload is what is read of the claims.
type payload struct {
	Subject     text             `json:"sub"`
	Audience    first            `json:"aud"`
	Role        text             `json:"role"`
	SessionID   text             `json:"session_id"`
	ClientID    text             `json:"client_id"`
	AAL         text             `json:"aal"`
	Email       text             `json:"email"`
	Phone       text             `json:"phone"`
	IsAnonymous flag             `json:"is_anonymous"`
	ExpiresAt   *jwt.NumericDate `json:"exp"`
	NotBefore   *jwt.NumericDate `json:"nbf"`
}

// The methods of jwt.Claims; only exp and nbf are checked.

func (p *payload) GetExpirationTime() (*jwt.NumericDate, error) { return p.ExpiresAt, nil }
func (p *payload) GetNotBefore() (*jwt.NumericDate, error)      { return p.NotBefore, nil }
func (p *payload) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (p *payload) GetIssuer() (string, error)                   { return "", nil }
func (p *payload) GetSubject() (string, error)                  { return string(p.Subject), nil }
func (p *payload) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// text is a JSON text, or the JSON of anything else.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	switch {
	case string(data) == "null":
		*t = ""
	case data[0] != '"':
		*t = text(data)
	case utf8.Valid(data) && !strings.Contains(string(data), `\`):
		*t = text(data[1 : len(data)-1])
	default:
		return json.Unmarshal(data, (*string)(t))
	}
	return nil
}

// first is a text, or the first of a list of texts.
type first string

func (f *first) UnmarshalJSON(data []byte) error {
	if data[0] != '[' {
		return (*text)(f).UnmarshalJSON(data)
	}
	var list []text
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) > 0 {
		*f = first(list[0])
	}
	return nil
}

// flag is true only for the JSON value true.
type flag bool

func (f *flag) UnmarshalJSON(data []byte) error {
	*f = string(data) == "true"
	return nil
}
