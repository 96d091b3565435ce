package provider

import (
	"context"
	"errors"
)

const googleIssuer = "https://accounts.google.com"

// google is Google; what its ID token says counts, and without one what its API says.
func google() definition {
	return definition{
		issuer:    googleIssuer,
		discovers: true,
		scopes:    []string{"email", "profile"},
		idToken:   googleIdentity,
		identify: func(ctx context.Context, v *visit) (*Identity, error) {
			identity, err := fromIDToken(ctx, v)
			if !errors.Is(err, errNoIDToken) {
				return identity, err
			}
			var user rawClaims
			if err := v.get(ctx, "https://www.googleapis.com/userinfo/v2/me", &user); err != nil {
				return nil, err
			}
			return googlePerson(user, user.text("id"))
		},
	}
}

func googleIdentity(c rawClaims) (*Identity, error) { return googlePerson(c, c.text("sub")) }

func googlePerson(c rawClaims, sub string) (*Identity, error) {
	data := commonClaims(googleIssuer, sub, c.text("name"), c.text("picture"))
	if domain := c.text("hd"); domain != "" {
		data["custom_claims"] = map[string]any{"hd": domain}
	}
	isVerified := c["email_verified"] == true || c["verified_email"] == true
	return &Identity{Subject: sub, Data: data, Emails: oneEmail(c.text("email"), isVerified)}, nil
}
