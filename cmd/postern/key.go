package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/token"
)

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Make keys for signing and API keys, rotate the one that encrypts"}
	var algorithm string
	generate := &cobra.Command{
		Use:   "generate",
		Short: "Print a new private key for GOTRUE_JWT_KEYS",
		Long:  "Print a new private key as a JWK set of one, the form of GOTRUE_JWT_KEYS.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := generateJWK(algorithm)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "[%s]\n", key)
			return err
		},
	}
	generate.Flags().StringVar(&algorithm, "alg", "ES256", "HS256, RS256, ES256 or EdDSA")
	cmd.AddCommand(generate, apiKeyCommand(), rotateEncryptionCommand())
	return cmd
}

// generateJWK returns a new private key in the form of RFC 7517, for signing.
func generateJWK(algorithm string) ([]byte, error) {
	key, err := generateKey(algorithm)
	if err != nil {
		return nil, err
	}
	text, err := jose.JSONWebKey{Key: key, KeyID: uuid.NewString(), Algorithm: algorithm, Use: "sig"}.MarshalJSON()
	if err != nil {
		return nil, err
	}
	// go-jose does not know key_ops; the server signs with the key that has it.
	return append(text[:len(text)-1], `,"key_ops":["sign","verify"]}`...), nil
}

func generateKey(algorithm string) (any, error) {
	var key crypto.Signer
	var err error
	switch algorithm {
	case "HS256":
		secret := make([]byte, 32)
		rand.Read(secret) // never fails
		return secret, nil
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, fmt.Errorf("unknown algorithm %q: choose HS256, RS256, ES256 or EdDSA", algorithm)
	}
	return key, err
}

func apiKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "api anon|service_role",
		Short:     "Print an API key, signed with GOTRUE_JWT_SECRET or GOTRUE_JWT_KEYS",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"anon", "service_role"},
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := token.New(config.JWT{
				Secret: config.Secret(os.Getenv("GOTRUE_JWT_SECRET")),
				Keys:   config.Secret(os.Getenv("GOTRUE_JWT_KEYS")),
			})
			if err != nil {
				return err
			}
			key, err := apiKey(keys, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
}

// apiKeyExpiry is the first second of 2100: an API key has no moment in it, so that making it again
// gives the same key.
const apiKeyExpiry = 4102444800

// apiKey returns the JWT of a role without a user, as clients send it in the header apikey.
func apiKey(keys *token.Keys, role string) (string, error) {
	claims, err := json.Marshal(map[string]any{"role": role, "iss": "postern", "exp": apiKeyExpiry})
	if err != nil {
		return "", err
	}
	return keys.Sign(claims)
}
