package provider

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// facebook is Facebook. Its addresses are confirmed. The whole question for the profile stands as iss in identity_data.
func facebook() definition {
	return definition{
		authorize:  endpoint{"https://www.facebook.com", "/dialog/oauth"},
		token:      endpoint{"https://graph.facebook.com", "/oauth/access_token"},
		api:        endpoint{"https://graph.facebook.com", "/me?fields=email,first_name,last_name,name,picture"},
		scopes:     []string{"email"},
		issuer:     "https://www.facebook.com",
		skipsNonce: true,
		idToken:    facebookIdentity,
		identify:   facebookUser,
	}
}

func facebookUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		ID      string `json:"id"`
		Email   string `json:"email"`
		First   string `json:"first_name"`
		Last    string `json:"last_name"`
		Name    string `json:"name"`
		Picture struct {
			Data struct {
				URL string `json:"url"`
			} `json:"data"`
		} `json:"picture"`
	}
	proof := hmac.New(sha256.New, []byte(v.clientSecret))
	proof.Write([]byte(v.token.AccessToken))
	profile := v.apiURL() + "&appsecret_proof=" + hex.EncodeToString(proof.Sum(nil))
	if err := v.get(ctx, profile, &user); err != nil {
		return nil, err
	}
	data := commonClaims(v.apiURL(), user.ID, fullName(user.First, user.Last), user.Picture.Data.URL)
	with(data, "nickname", user.Name)
	with(data, "slug", user.Name)
	return &Identity{Subject: user.ID, Data: data, Emails: oneEmail(user.Email, true)}, nil
}

// facebookIdentity reads the tokens of Limited Login, which applications on telephones get.
func facebookIdentity(c rawClaims) (*Identity, error) {
	sub := c.text("sub")
	return &Identity{Subject: sub, Emails: oneEmail(c.text("email"), true), Data: claims(map[string]string{
		"iss": c.text("iss"), "sub": sub, "provider_id": sub, "name": c.text("name"), "picture": c.text("picture"),
	})}, nil
}
