package importer

import (
	"encoding/base32"
	"encoding/json"
	"io"
	"iter"
	"strings"
)

// keycloakUser is an element of "users" in a realm that `kc.sh export` wrote, alone or in a file of users.
type keycloakUser struct {
	ID            string              `json:"id"`
	Username      string              `json:"username"`
	Email         string              `json:"email"`
	EmailVerified bool                `json:"emailVerified"`
	Enabled       *bool               `json:"enabled"`
	FirstName     string              `json:"firstName"`
	LastName      string              `json:"lastName"`
	CreatedAt     json.Number         `json:"createdTimestamp"` // Unix milliseconds
	Attributes    map[string][]string `json:"attributes"`
	RealmRoles    []string            `json:"realmRoles"`
	Groups        []string            `json:"groups"`
	ServiceClient string              `json:"serviceAccountClientId"`
	Credentials   []json.RawMessage   `json:"credentials"`
	Federated     []struct {
		Provider string `json:"identityProvider"` // an alias, by default the provider's name
		UserID   string `json:"userId"`
	} `json:"federatedIdentities"`
}

func readKeycloak(in io.Reader, _ Options) iter.Seq2[Row, error] {
	return eachElement(in, "users", func(n int, element json.RawMessage) []Row {
		var k keycloakUser
		if err := json.Unmarshal(element, &k); err != nil {
			return []Row{{Line: n, Problem: err.Error()}}
		}
		if k.ServiceClient != "" {
			return nil // stands for a program
		}
		return []Row{k.user().row(n)}
	})
}

func (k *keycloakUser) user() *user {
	u := &user{ID: k.ID, Email: k.Email, CreatedAt: milliseconds(k.CreatedAt.String())}
	for _, c := range k.Credentials {
		u.keycloakCredential(c)
	}
	u.confirm(k.EmailVerified, false)
	if k.Enabled != nil && !*k.Enabled {
		u.BannedUntil = forever
	}
	u.tell("full_name", strings.TrimSpace(k.FirstName+" "+k.LastName))
	u.tell("user_name", k.Username)
	u.cameFrom("keycloak", k.ID)
	if len(k.Attributes) > 0 { // users may edit them, so they are no facts for policies
		u.tell("attributes", k.Attributes)
	}
	if len(k.RealmRoles) > 0 {
		u.AppMetadata["roles"] = k.RealmRoles
	}
	if len(k.Groups) > 0 {
		u.AppMetadata["groups"] = k.Groups
	}
	for _, f := range k.Federated {
		u.link(provider(f.Provider), f.UserID, k.Email, k.EmailVerified)
	}
	return u
}

// keycloakCredential adds a password, in the form that the export has, or an authenticator app of the usual kind: six digits
// by SHA-1 every 30 seconds. Other credentials stay behind.
func (u *user) keycloakCredential(raw json.RawMessage) {
	var c struct {
		Type           string `json:"type"`
		Label          string `json:"userLabel"`
		SecretData     string `json:"secretData"`
		CredentialData string `json:"credentialData"`
	}
	if json.Unmarshal(raw, &c) != nil {
		return
	}
	switch c.Type {
	case "password":
		hash, err := json.Marshal(map[string]string{"secretData": c.SecretData, "credentialData": c.CredentialData})
		if err == nil {
			u.PasswordHash = string(hash)
		}
	case "otp":
		var secret struct {
			Value string `json:"value"`
		}
		var kind struct {
			SubType   string `json:"subType"`
			Digits    int    `json:"digits"`
			Period    int    `json:"period"`
			Algorithm string `json:"algorithm"`
			Encoding  string `json:"secretEncoding"`
		}
		if json.Unmarshal([]byte(c.SecretData), &secret) != nil || json.Unmarshal([]byte(c.CredentialData), &kind) != nil ||
			kind.SubType != "totp" || kind.Digits != 6 || kind.Period != 30 || kind.Algorithm != "HmacSHA1" {
			return
		}
		if kind.Encoding != "BASE32" { // the characters are the key
			secret.Value = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(secret.Value))
		}
		u.Factors = append(u.Factors, factor{c.Label, strings.TrimRight(secret.Value, "=")})
	}
}
