package provider

import "context"

const (
	slackUserID = "https://slack.com/user_id"
	slackTeamID = "https://slack.com/team_id"
)

// slack is Slack's older way in; it says nothing about addresses, which count as verified.
func slack() definition {
	d := slackOIDC()
	d.authorize.path, d.token.path = "/oauth/authorize", "/api/oauth.access"
	d.identify = func(ctx context.Context, v *visit) (*Identity, error) {
		return slackUser(ctx, v, func(rawClaims) bool { return true })
	}
	return d
}

// slackOIDC is Slack with OpenID Connect.
func slackOIDC() definition {
	return definition{
		authorize: endpoint{"https://slack.com", "/openid/connect/authorize"},
		token:     endpoint{"https://slack.com", "/api/openid.connect.token"},
		api:       endpoint{"https://slack.com", ""},
		scopes:    []string{"profile", "email", "openid"},
		identify: func(ctx context.Context, v *visit) (*Identity, error) {
			return slackUser(ctx, v, func(user rawClaims) bool { return user["email_verified"] == true })
		},
	}
}

func slackUser(ctx context.Context, v *visit, isVerified func(user rawClaims) bool) (*Identity, error) {
	var user rawClaims
	if err := v.get(ctx, "/api/openid.connect.userInfo", &user); err != nil {
		return nil, err
	}
	id := user.text(slackUserID)
	data := commonClaims(v.apiURL(), id, user.text("name"), user.text("picture"))
	data["custom_claims"] = map[string]any{slackTeamID: user.text(slackTeamID)}
	return &Identity{Subject: id, Data: data, Emails: oneEmail(user.text("email"), isVerified(user))}, nil
}
