package provider

import (
	"context"
	"errors"
)

// twitch is Twitch.
func twitch() definition {
	return definition{
		authorize: endpoint{"https://id.twitch.tv", "/oauth2/authorize"},
		token:     endpoint{"https://id.twitch.tv", "/oauth2/token"},
		api:       endpoint{"https://api.twitch.tv", ""},
		scopes:    []string{"user:read:email"},
		identify:  twitchUser,
	}
}

func twitchUser(ctx context.Context, v *visit) (*Identity, error) {
	var answer struct {
		Data []struct {
			ID              string `json:"id"`
			Login           string `json:"login"`
			DisplayName     string `json:"display_name"`
			Type            string `json:"type"`
			BroadcasterType string `json:"broadcaster_type"`
			Description     string `json:"description"`
			ProfileImageURL string `json:"profile_image_url"`
			OfflineImageURL string `json:"offline_image_url"`
			ViewCount       int64  `json:"view_count"`
			Email           string `json:"email"`
		} `json:"data"`
	}
	if err := v.get(ctx, "/helix/users", &answer, "Client-Id", v.clientIDs[0]); err != nil {
		return nil, err
	}
	if len(answer.Data) == 0 {
		return nil, errors.New("twitch knows nobody with this token")
	}
	user := answer.Data[0]
	data := commonClaims(v.apiURL(), user.ID, user.Login, user.ProfileImageURL)
	with(data, "nickname", user.DisplayName)
	with(data, "slug", user.DisplayName)
	data["custom_claims"] = map[string]any{
		"broadcaster_type": user.BroadcasterType, "description": user.Description, "type": user.Type,
		"offline_image_url": user.OfflineImageURL, "view_count": user.ViewCount,
	}
	return &Identity{Subject: user.ID, Data: data, Emails: oneEmail(user.Email, true)}, nil
}
