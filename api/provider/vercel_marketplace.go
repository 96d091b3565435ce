package provider

// vercelMarketplace is Vercel for people who come from its marketplace; the ID token says who it is.
func vercelMarketplace() definition {
	return definition{
		authorize: endpoint{"https://api.vercel.com", "/oauth/v2/authorization"},
		token:     endpoint{"https://api.vercel.com", "/oauth/v2/accessToken"},
		issuer:    "https://marketplace.vercel.com",
		discovers: true,
		idToken:   vercelIdentity,
		identify:  fromIDTokenIfAny,
	}
}

func vercelIdentity(c rawClaims) (*Identity, error) {
	sub := c.text("sub")
	if id := c.text("global_user_id"); id != "" { // sub is another one for each installation
		sub = "global_user_id:" + id
	}
	// Vercel vouches for everybody, also for whom it tells no address
	email := Email{Address: c.text("user_email"), IsVerified: true, IsPrimary: true}
	return &Identity{Subject: sub, Emails: []Email{email}, Data: claims(map[string]string{
		"iss": c.text("iss"), "sub": sub, "provider_id": sub, "name": c.text("user_name"), "picture": c.text("user_avatar_url"),
	})}, nil
}
