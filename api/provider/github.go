package provider

import "context"

// github is GitHub, or GitHub Enterprise under a URL of one's own.
func github() definition {
	return definition{
		authorize:  endpoint{"https://github.com", "/login/oauth/authorize"},
		token:      endpoint{"https://github.com", "/login/oauth/access_token"},
		api:        endpoint{"https://api.github.com", ""},
		ownAPIPath: "/api/v3",
		scopes:     []string{"user:email"},
		identify:   githubUser,
	}
}

func githubUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		ID        int64  `json:"id"`
		Login     string `json:"login"`
		Name      string `json:"name"`
		AvatarURL string `json:"avatar_url"`
	}
	if err := v.get(ctx, "/user", &user); err != nil {
		return nil, err
	}
	var emails []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := v.get(ctx, "/user/emails", &emails); err != nil {
		return nil, err
	}
	id := number(user.ID)
	identity := &Identity{Subject: id, Emails: []Email{}, Data: claims(map[string]string{
		"iss": v.apiURL(), "sub": id, "provider_id": id, "name": user.Name, "full_name": user.Name,
		"user_name": user.Login, "preferred_username": user.Login, "avatar_url": user.AvatarURL,
	})}
	for _, e := range emails {
		if e.Email != "" {
			identity.Emails = append(identity.Emails, Email{e.Email, e.Verified, e.Primary})
		}
	}
	return identity, nil
}
