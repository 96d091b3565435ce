// Package token signs and verifies the server's JWTs (spec/07 section 1, RFC 7519).
package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/postern-auth/postern/api/config"
)

// Keys signs with one key and verifies with several. It does not change after New and may be used in parallel.
type Keys struct {
	method     jwt.SigningMethod
	signingKey any
	header     string // of new tokens, encoded, with the dot

	byID     map[string]any // public keys and []byte secrets by kid
	secret   []byte
	secretID string
	parser   *jwt.Parser
	jwks     []byte
}

// New reads the keys of the settings: GOTRUE_JWT_SECRET alone, or GOTRUE_JWT_KEYS with the secret as a key for
// verification only. An error names the setting and holds no part of a key.
func New(c config.JWT) (*Keys, error) {
	if c.Secret == "" {
		return nil, errors.New("GOTRUE_JWT_SECRET is empty: give at least 32 random bytes")
	}
	k := &Keys{
		method: jwt.SigningMethodHS256, signingKey: []byte(c.Secret),
		byID: map[string]any{}, secret: []byte(c.Secret), secretID: c.KeyID,
	}
	list, err := parseJWKs(string(c.Keys))
	if err != nil {
		return nil, fmt.Errorf("GOTRUE_JWT_KEYS: %w", err)
	}
	methods := []string{"HS256"}
	kid := c.KeyID
	if len(list) > 0 {
		methods = nil
		signing, err := signingJWK(list)
		if err != nil {
			return nil, fmt.Errorf("GOTRUE_JWT_KEYS: %w", err)
		}
		k.method, k.signingKey, kid = signing.signingMethod(), signing.Key, signing.KeyID
	}
	for _, key := range list {
		k.byID[key.KeyID] = key.verificationKey()
		methods = append(methods, key.Algorithm)
	}
	if len(c.ValidMethods) > 0 {
		methods = c.ValidMethods
	}
	for _, name := range methods {
		if jwt.GetSigningMethod(name) == nil || name == jwt.SigningMethodNone.Alg() {
			return nil, fmt.Errorf("the algorithm %q of GOTRUE_JWT_VALID_METHODS or GOTRUE_JWT_KEYS is not known; usual ones are HS256, RS256, ES256 and EdDSA", name)
		}
	}
	k.parser = jwt.NewParser(jwt.WithValidMethods(methods))
	if k.header, err = encodeHeader(k.method.Alg(), kid); err != nil {
		return nil, err
	}
	if _, err := k.Sign([]byte("{}")); err != nil {
		return nil, fmt.Errorf("GOTRUE_JWT_KEYS: the key %q cannot sign with %s: %w", kid, k.method.Alg(), err)
	}
	k.jwks, err = publicSet(list)
	return k, err
}

// JWKS returns the public keys as a JWK set (RFC 7517 section 5): the body of /.well-known/jwks.json.
// Do not change it.
func (k *Keys) JWKS() []byte { return k.jwks }

// jwk is a private or public key of GOTRUE_JWT_KEYS.
type jwk struct {
	jose.JSONWebKey
	ops []string
}

// parseJWKs reads a JSON array of JWKs. An empty text or array means none.
func parseJWKs(text string) ([]jwk, error) {
	if text == "" {
		return nil, nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, errors.New("must be a JSON array of JWKs")
	}
	list := make([]jwk, len(raw))
	for i, one := range raw {
		var more struct {
			Ops []string `json:"key_ops"`
			KMS string   `json:"aws:kms:arn"`
		}
		if err := json.Unmarshal(one, &more); err != nil {
			return nil, fmt.Errorf("key %d must be a JSON object whose key_ops is a list of texts", i+1)
		}
		if more.KMS != "" {
			return nil, fmt.Errorf("key %d has aws:kms:arn: keys in AWS KMS are not supported, give a private key", i+1)
		}
		if err := list[i].UnmarshalJSON(one); err != nil {
			return nil, fmt.Errorf("key %d is not a valid JWK (kty must be oct, RSA, EC or OKP with Ed25519): %w", i+1, err)
		}
		if secret, ok := list[i].Key.([]byte); ok && len(secret) == 0 {
			return nil, fmt.Errorf("key %d is an empty secret", i+1)
		}
		if list[i].verificationKey() == nil {
			return nil, fmt.Errorf("key %d: kty must be oct, RSA, EC or OKP with Ed25519", i+1)
		}
		list[i].ops = more.Ops
		list[i].defaultAlgorithm()
	}
	return list, nil
}

// signingJWK returns the one key that is for signing.
func signingJWK(list []jwk) (jwk, error) {
	var found []jwk
	for _, key := range list {
		if slices.Contains(key.ops, "sign") {
			found = append(found, key)
		}
	}
	switch len(found) {
	case 0:
		return jwk{}, errors.New(`no signing key found: one key needs "sign" in its key_ops`)
	case 1:
		return found[0], nil
	}
	return jwk{}, errors.New(`multiple signing keys detected, only 1 signing key is supported: keep "sign" in the key_ops of one`)
}

// signingMethod returns how the key signs: as its algorithm says if the reference knows it, else HS256 (spec/07 1.2).
func (j jwk) signingMethod() jwt.SigningMethod {
	switch j.Algorithm {
	case "RS256", "RS512", "ES256", "ES512", "EdDSA":
		return jwt.GetSigningMethod(j.Algorithm)
	}
	return jwt.SigningMethodHS256
}

// defaultAlgorithm fills in a missing alg.
func (j *jwk) defaultAlgorithm() {
	if j.Algorithm != "" {
		return
	}
	switch key := j.verificationKey().(type) {
	case []byte:
		j.Algorithm = "HS256"
	case *rsa.PublicKey:
		j.Algorithm = "RS256"
	case *ecdsa.PublicKey:
		j.Algorithm = map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		j.Algorithm = "EdDSA"
	}
}

// verificationKey returns the public half of the key, a secret as it is, or nil for a type that signs no JWT.
func (j jwk) verificationKey() any {
	key := j.Key
	if private, ok := key.(crypto.Signer); ok {
		key = private.Public()
	}
	switch key.(type) {
	case []byte, *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return key
	}
	return nil
}

// publicSet returns the JWK set of all asymmetric keys, in the order of the setting.
func publicSet(list []jwk) ([]byte, error) {
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{Keys: []json.RawMessage{}}
	for _, key := range list {
		if _, isSecret := key.Key.([]byte); isSecret {
			continue
		}
		public := key.JSONWebKey // only what go-jose writes of a public key gets out
		public.Key, public.Use = key.verificationKey(), "sig"
		text, err := public.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("writing the JWK set: %w", err)
		}
		set.Keys = append(set.Keys, append(bytes.TrimSuffix(text, []byte("}")), `,"key_ops":["verify"]}`...))
	}
	return json.Marshal(set)
}

// encodeHeader returns the first part of a token and the dot behind it.
func encodeHeader(alg, kid string) (string, error) {
	text, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid,omitempty"`
		Typ string `json:"typ"`
	}{alg, kid, "JWT"})
	return base64.RawURLEncoding.EncodeToString(text) + ".", err
}
