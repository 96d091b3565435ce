package provider

import "context"

// keycloak is a realm of a Keycloak server; the URL is the realm's.
func keycloak() definition {
	return definition{
		authorize:    endpoint{"", "/protocol/openid-connect/auth"},
		token:        endpoint{"", "/protocol/openid-connect/token"},
		issuerIsBase: true,
		needsURL:     "unable to find URL for the Keycloak provider",
		scopes:       []string{"profile", "email"},
		identify:     keycloakUser,
	}
}

func keycloakUser(ctx context.Context, v *visit) (*Identity, error) {
	var user rawClaims
	if err := v.get(ctx, "/protocol/openid-connect/userinfo", &user); err != nil {
		return nil, err
	}
	sub, name := user.text("sub"), user.text("name")
	identity := &Identity{
		Subject: sub, Emails: oneEmail(user.text("email"), user["email_verified"] == true),
		Data: claims(map[string]string{
			"iss": v.base, "sub": sub, "provider_id": sub, "name": name, "full_name": name,
		}),
	}
	for _, known := range []string{"sub", "name", "email", "email_verified"} {
		delete(user, known)
	}
	identity.Data["custom_claims"] = map[string]any(user)
	return identity, nil
}
