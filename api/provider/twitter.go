package provider

import "context"

// twitter is X with OAuth 1.0a.
func twitter() definition {
	return definition{
		authorize: endpoint{"https://api.twitter.com", "/oauth/authenticate"},
		token:     endpoint{"https://api.twitter.com", "/oauth/access_token"},
		api:       endpoint{"https://api.twitter.com", ""},
		begin:     beginOAuth1("/oauth/request_token"),
		finish:    finishOAuth1,
		identify:  twitterUser,
	}
}

func twitterUser(ctx context.Context, v *visit) (*Identity, error) {
	const path = "/1.1/account/verify_credentials.json?include_email=true&include_entities=false&skip_status=true"
	var user struct {
		ID         string `json:"id_str"`
		Name       string `json:"name"`
		ScreenName string `json:"screen_name"`
		Picture    string `json:"profile_image_url_https"`
		Email      string `json:"email"`
	}
	if err := v.get(ctx, path, &user); err != nil {
		return nil, err
	}
	data := commonClaims(v.apiURL()+path, user.ID, user.Name, user.Picture)
	with(data, "preferred_username", user.ScreenName)
	with(data, "user_name", user.ScreenName)
	return &Identity{Subject: user.ID, Data: data, Emails: oneEmail(user.Email, true)}, nil
}
