package provider

import (
	"context"
	"net/url"
)

const (
	snapchatIssuer = "https://accounts.snapchat.com/accounts/oauth2/token"
	snapchatQuery  = "{me { externalId displayName bitmoji { avatar id } email } }"
)

// snapchat is Snapchat, which rarely tells an address.
func snapchat() definition {
	const scope = "https://auth.snapchat.com/oauth2/api/user."
	return definition{
		authorize: endpoint{"https://accounts.snapchat.com", "/accounts/oauth2/auth"},
		token:     endpoint{"https://accounts.snapchat.com", "/accounts/oauth2/token"},
		api:       endpoint{"https://kit.snapchat.com", ""},
		scopes:    []string{scope + "external_id", scope + "display_name", scope + "bitmoji.avatar"},
		issuer:    snapchatIssuer,
		idToken:   snapchatIdentity,
		identify:  snapchatUser,
	}
}

func snapchatUser(ctx context.Context, v *visit) (*Identity, error) {
	var answer struct {
		Data struct {
			Me struct {
				ExternalID  string `json:"externalId"`
				DisplayName string `json:"displayName"`
				Email       string `json:"email"`
				Bitmoji     struct {
					Avatar string `json:"avatar"`
				} `json:"bitmoji"`
			} `json:"me"`
		} `json:"data"`
	}
	if err := v.get(ctx, "/v1/me?query="+url.QueryEscape(snapchatQuery), &answer); err != nil {
		return nil, err
	}
	me := answer.Data.Me
	data := commonClaims(snapchatIssuer, me.ExternalID, me.DisplayName, me.Bitmoji.Avatar)
	with(data, "slug", me.DisplayName)
	return &Identity{Subject: me.ExternalID, Data: data, Emails: oneEmail(me.Email, true)}, nil
}

// snapchatIdentity takes the claims as they are, and every address as verified.
func snapchatIdentity(c rawClaims) (*Identity, error) {
	identity, err := standardIdentity(c)
	if err != nil {
		return nil, err
	}
	identity.Emails = oneEmail(c.text("email"), true)
	return identity, nil
}
