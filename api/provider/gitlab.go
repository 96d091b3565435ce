package provider

import "context"

// gitlab is GitLab, or one of one's own.
func gitlab() definition {
	return definition{
		authorize: endpoint{"https://gitlab.com", "/oauth/authorize"},
		token:     endpoint{"https://gitlab.com", "/oauth/token"},
		api:       endpoint{"https://gitlab.com", ""},
		scopes:    []string{"read_user"},
		identify:  gitlabUser,
	}
}

func gitlabUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		ID          int64  `json:"id"`
		Name        string `json:"name"`
		AvatarURL   string `json:"avatar_url"`
		Email       string `json:"email"`
		ConfirmedAt string `json:"confirmed_at"`
	}
	if err := v.get(ctx, "/api/v4/user", &user); err != nil {
		return nil, err
	}
	var emails []struct {
		Email string `json:"email"`
	}
	if err := v.get(ctx, "/api/v4/user/emails", &emails); err != nil {
		return nil, err
	}
	id := number(user.ID)
	identity := &Identity{
		Subject: id, Data: commonClaims(v.apiURL(), id, user.Name, user.AvatarURL),
		Emails: oneEmail(user.Email, user.ConfirmedAt != ""),
	}
	for _, e := range emails { // GitLab does not say which of them are verified
		if e.Email != "" {
			identity.Emails = append(identity.Emails, Email{Address: e.Email})
		}
	}
	return identity, nil
}
