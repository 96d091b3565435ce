package provider

import "context"

// bitbucket is Bitbucket Cloud.
func bitbucket() definition {
	return definition{
		authorize:      endpoint{"https://bitbucket.org", "/site/oauth2/authorize"},
		token:          endpoint{"https://bitbucket.org", "/site/oauth2/access_token"},
		api:            endpoint{"https://api.bitbucket.org", "/2.0"},
		scopes:         []string{"account", "email"},
		hasFixedScopes: true,
		identify:       bitbucketUser,
	}
}

func bitbucketUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		UUID   string `json:"uuid"`
		Name   string `json:"display_name"`
		Avatar struct {
			Href string `json:"href"`
		} `json:"avatar"`
	}
	if err := v.get(ctx, "/user", &user); err != nil {
		return nil, err
	}
	var emails struct {
		Values []struct {
			Email       string `json:"email"`
			IsPrimary   bool   `json:"is_primary"`
			IsConfirmed bool   `json:"is_confirmed"`
		} `json:"values"`
	}
	if err := v.get(ctx, "/user/emails", &emails); err != nil {
		return nil, err
	}
	identity := &Identity{
		Subject: user.UUID, Emails: []Email{}, Data: commonClaims(v.apiURL(), user.UUID, user.Name, user.Avatar.Href),
	}
	for _, e := range emails.Values {
		if e.Email != "" {
			identity.Emails = append(identity.Emails, Email{e.Email, e.IsConfirmed, e.IsPrimary})
		}
	}
	return identity, nil
}
