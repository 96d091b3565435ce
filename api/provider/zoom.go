package provider

import (
	"context"
	"fmt"
	"slices"
)

// zoom is Zoom.
func zoom() definition {
	return definition{
		authorize:      endpoint{"https://zoom.us", "/oauth/authorize"},
		token:          endpoint{"https://zoom.us", "/oauth/token"},
		api:            endpoint{"https://api.zoom.us", ""},
		hasFixedScopes: true,
		identify:       zoomUser,
	}
}

func zoomUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		ID         string `json:"id"`
		FirstName  string `json:"first_name"`
		LastName   string `json:"last_name"`
		Email      string `json:"email"`
		Verified   int    `json:"verified"`
		LoginType  any    `json:"login_type"` // text or number
		LoginTypes []any  `json:"login_types"`
		PicURL     string `json:"pic_url"`
	}
	if err := v.get(ctx, "/v2/users/me", &user); err != nil {
		return nil, err
	}
	// 100 is an account with an address and a password; of the others, somebody else knows the address
	hasPassword := slices.ContainsFunc(append(user.LoginTypes, user.LoginType), func(one any) bool {
		return fmt.Sprint(one) == "100"
	})
	return &Identity{
		Subject: user.ID, Data: commonClaims(v.apiURL(), user.ID, fullName(user.FirstName, user.LastName), user.PicURL),
		Emails: oneEmail(user.Email, user.Verified != 0 || !hasPassword),
	}, nil
}
