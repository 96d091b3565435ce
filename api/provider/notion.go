package provider

import "context"

// notion is Notion. The token is a bot's; who came is the bot's owner.
func notion() definition {
	return definition{
		authorize:      endpoint{"https://api.notion.com", "/v1/oauth/authorize"},
		token:          endpoint{"https://api.notion.com", "/v1/oauth/token"},
		api:            endpoint{"https://api.notion.com", ""},
		hasFixedScopes: true,
		identify:       notionUser,
	}
}

func notionUser(ctx context.Context, v *visit) (*Identity, error) {
	var answer struct {
		Bot struct {
			Owner struct {
				User struct {
					ID        string `json:"id"`
					Name      string `json:"name"`
					AvatarURL string `json:"avatar_url"`
					Person    struct {
						Email string `json:"email"`
					} `json:"person"`
				} `json:"user"`
			} `json:"owner"`
		} `json:"bot"`
	}
	if err := v.get(ctx, "/v1/users/me", &answer, "Notion-Version", "2021-08-16"); err != nil {
		return nil, err
	}
	user := answer.Bot.Owner.User
	return &Identity{
		Subject: user.ID, Data: commonClaims(v.apiURL(), user.ID, user.Name, user.AvatarURL),
		Emails: oneEmail(user.Person.Email, true),
	}, nil
}
