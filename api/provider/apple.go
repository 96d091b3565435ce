package provider

import (
	"context"
	"encoding/json"

	"github.com/postern-auth/postern/api/config"
)

const appleIssuer = "https://appleid.apple.com"

// apple is Sign in with Apple. The answer is a form posted by the browser; the ID token says who it is, and the form, at
// the first visit only, the name.
func apple() definition {
	return definition{
		issuer:            appleIssuer,
		isIssuer:          func(iss string) bool { return iss == appleIssuer || iss == "https://account.apple.com" },
		isOneIssuer:       true,
		discovers:         true,
		audience:          func(c config.OIDC) string { return c.IOSBundleID },
		scopes:            []string{"email", "name"},
		hasFixedScopes:    true,
		parameters:        map[string]string{"response_mode": "form_post"},
		ignoresParameters: true,
		tokenFields: func(p *Provider) map[string]string {
			return map[string]string{"client_id": p.clientIDs[0], "secret": p.clientSecret}
		},
		idToken:  appleIdentity,
		identify: appleUser,
	}
}

func appleUser(ctx context.Context, v *visit) (*Identity, error) {
	identity, err := fromIDTokenIfAny(ctx, v)
	if err != nil {
		return nil, err
	}
	var user struct {
		Name struct {
			First string `json:"firstName"`
			Last  string `json:"lastName"`
		} `json:"name"`
	}
	// the browser's word for a name is no reason to turn anybody away
	if json.Unmarshal([]byte(v.answer.User), &user) == nil {
		name := fullName(user.Name.First, user.Name.Last)
		with(identity.Data, "name", name)
		with(identity.Data, "full_name", name)
	}
	return identity, nil
}

func appleIdentity(c rawClaims) (*Identity, error) {
	sub := c.text("sub")
	data := claims(map[string]string{"iss": c.text("iss"), "sub": sub, "provider_id": sub})
	custom := map[string]any{}
	if _, ok := c["is_private_email"]; ok {
		custom["is_private_email"] = c.isTrue("is_private_email")
	}
	if at, ok := c["auth_time"].(float64); ok {
		custom["auth_time"] = at
	}
	with(custom, "transfer_sub", c.text("transfer_sub"))
	if len(custom) > 0 {
		data["custom_claims"] = custom
	}
	// Apple vouches for everybody, also for whom it tells no address
	email := Email{Address: c.text("email"), IsVerified: true, IsPrimary: true}
	return &Identity{Subject: sub, Data: data, Emails: []Email{email}}, nil
}
