package provider

import (
	"context"

	"golang.org/x/oauth2"
)

// kakao is Kakao.
func kakao() definition {
	return definition{
		authorize: endpoint{"https://kauth.kakao.com", "/oauth/authorize"},
		token:     endpoint{"https://kauth.kakao.com", "/oauth/token"},
		api:       endpoint{"https://kapi.kakao.com", ""},
		scopes:    []string{"account_email", "profile_image", "profile_nickname"},
		authStyle: oauth2.AuthStyleInParams,
		issuer:    "https://kauth.kakao.com",
		idToken:   kakaoIdentity,
		identify:  kakaoUser,
	}
}

func kakaoUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		ID      int64 `json:"id"`
		Account struct {
			Profile struct {
				Nickname string `json:"nickname"`
				ImageURL string `json:"profile_image_url"`
			} `json:"profile"`
			Email           string `json:"email"`
			IsEmailValid    bool   `json:"is_email_valid"`
			IsEmailVerified bool   `json:"is_email_verified"`
		} `json:"kakao_account"`
	}
	if err := v.get(ctx, "/v2/user/me", &user); err != nil {
		return nil, err
	}
	id, nickname := number(user.ID), user.Account.Profile.Nickname
	return &Identity{
		Subject: id, Emails: oneEmail(user.Account.Email, user.Account.IsEmailVerified && user.Account.IsEmailValid),
		Data: claims(map[string]string{
			"iss": v.apiURL(), "sub": id, "provider_id": id, "name": nickname, "preferred_username": nickname,
			"full_name": nickname, "user_name": nickname, "avatar_url": user.Account.Profile.ImageURL,
		}),
	}, nil
}

func kakaoIdentity(c rawClaims) (*Identity, error) {
	sub, nickname := c.text("sub"), c.text("nickname")
	return &Identity{Subject: sub, Emails: oneEmail(c.text("email"), true), Data: claims(map[string]string{
		"iss": c.text("iss"), "sub": sub, "provider_id": sub, "name": nickname, "preferred_username": nickname,
		"picture": c.text("picture"),
	})}, nil
}
