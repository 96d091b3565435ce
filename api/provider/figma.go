package provider

import "context"

// figma is Figma. Its addresses are confirmed.
func figma() definition {
	return definition{
		authorize: endpoint{"https://www.figma.com", "/oauth"},
		token:     endpoint{"https://api.figma.com", "/v1/oauth/token"},
		api:       endpoint{"https://api.figma.com", ""},
		scopes:    []string{"current_user:read"},
		identify:  figmaUser,
	}
}

func figmaUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		ID     string `json:"id"`
		Email  string `json:"email"`
		Handle string `json:"handle"`
		ImgURL string `json:"img_url"`
	}
	if err := v.get(ctx, "/v1/me", &user); err != nil {
		return nil, err
	}
	data := commonClaims(v.apiURL(), user.ID, user.Handle, "")
	with(data, "avatar_url", user.ImgURL)
	return &Identity{Subject: user.ID, Data: data, Emails: oneEmail(user.Email, true)}, nil
}
