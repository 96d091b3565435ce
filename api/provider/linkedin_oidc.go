package provider

import (
	"fmt"
	"strconv"
)

// linkedinOIDC is LinkedIn with OpenID Connect; the ID token says who it is.
func linkedinOIDC() definition {
	return definition{
		authorize: endpoint{linkedinHost, "/oauth/v2/authorization"},
		token:     endpoint{linkedinHost, "/oauth/v2/accessToken"},
		scopes:    []string{"openid", "email", "profile"},
		issuer:    "https://www.linkedin.com/oauth",
		discovers: true,
		idToken:   linkedinIdentity,
		identify:  fromIDTokenIfAny,
	}
}

// linkedinIdentity reads an ID token. LinkedIn says whether the address is verified as a text.
func linkedinIdentity(c rawClaims) (*Identity, error) {
	sub, email := c.text("sub"), c.text("email")
	isVerified, err := strconv.ParseBool(c.text("email_verified"))
	if err != nil && email != "" {
		return nil, fmt.Errorf("email_verified of the ID token: %w", err)
	}
	return &Identity{Subject: sub, Emails: oneEmail(email, isVerified), Data: claims(map[string]string{
		"iss": c.text("iss"), "sub": sub, "provider_id": sub, "name": fullName(c.text("given_name"), c.text("family_name")),
		"given_name": c.text("given_name"), "family_name": c.text("family_name"), "locale": c.text("locale"),
		"picture": c.text("picture"),
	})}, nil
}
