package provider

import "context"

// x is X with OAuth 2; the older way in is twitter.
func x() definition {
	return definition{
		authorize: endpoint{"https://x.com", "/i/oauth2/authorize"},
		token:     endpoint{"https://api.x.com", "/2/oauth2/token"},
		api:       endpoint{"https://api.x.com", ""},
		scopes:    []string{"users.email", "tweet.read", "users.read", "offline.access"},
		needsPKCE: true,
		identify:  xUser,
	}
}

func xUser(ctx context.Context, v *visit) (*Identity, error) {
	var answer struct {
		Data struct {
			ID        string `json:"id"`
			Name      string `json:"name"`
			Username  string `json:"username"`
			Email     string `json:"confirmed_email"`
			Picture   string `json:"profile_image_url"`
			Website   string `json:"url"`
			CreatedAt string `json:"created_at"`
		} `json:"data"`
	}
	const fields = "id,name,username,confirmed_email,profile_image_url,url,created_at"
	if err := v.get(ctx, "/2/users/me?user.fields="+fields, &answer); err != nil {
		return nil, err
	}
	user := answer.Data
	data := commonClaims(v.apiURL(), user.ID, user.Name, user.Picture)
	with(data, "preferred_username", user.Username)
	with(data, "user_name", user.Username)
	with(data, "website", user.Website)
	if user.Username != "" {
		data["profile"] = "https://x.com/" + user.Username
	}
	if user.CreatedAt != "" {
		data["custom_claims"] = map[string]any{"created_at": user.CreatedAt}
	}
	return &Identity{Subject: user.ID, Data: data, Emails: oneEmail(user.Email, true)}, nil
}
