package provider

import "context"

// linkedin is LinkedIn's older way in. Its addresses are confirmed.
func linkedin() definition {
	return definition{
		authorize: endpoint{linkedinHost, "/oauth/v2/authorization"},
		token:     endpoint{linkedinHost, "/oauth/v2/accessToken"},
		api:       endpoint{linkedinHost, ""},
		scopes:    []string{"r_emailaddress", "r_liteprofile"},
		identify:  linkedinUser,
	}
}

const linkedinHost = "https://api.linkedin.com"

// linkedinName is a name in several languages.
type linkedinName struct {
	Localized       map[string]string `json:"localized"`
	PreferredLocale struct {
		Language string `json:"language"`
		Country  string `json:"country"`
	} `json:"preferredLocale"`
}

// preferred is the name in the language that the person likes best.
func (n linkedinName) preferred() string {
	return n.Localized[n.PreferredLocale.Language+"_"+n.PreferredLocale.Country]
}

// linkedinProfile is what /v2/me answers.
type linkedinProfile struct {
	ID        string       `json:"id"`
	FirstName linkedinName `json:"firstName"`
	LastName  linkedinName `json:"lastName"`
	Picture   struct {
		Image struct {
			Elements []struct {
				Identifiers []struct {
					Identifier string `json:"identifier"`
				} `json:"identifiers"`
			} `json:"elements"`
		} `json:"displayImage~"`
	} `json:"profilePicture"`
}

func linkedinUser(ctx context.Context, v *visit) (*Identity, error) {
	var user linkedinProfile
	const fields = "(id,firstName,lastName,profilePicture(displayImage~:playableStreams))"
	if err := v.get(ctx, "/v2/me?projection="+fields, &user); err != nil {
		return nil, err
	}
	var emails struct {
		Elements []struct {
			Handle struct {
				Email string `json:"emailAddress"`
			} `json:"handle~"`
		} `json:"elements"`
	}
	if err := v.get(ctx, "/v2/emailAddress?q=members&projection=(elements*(handle~))", &emails); err != nil {
		return nil, err
	}
	var picture, email string
	if images := user.Picture.Image.Elements; len(images) > 0 && len(images[0].Identifiers) > 0 {
		picture = images[0].Identifiers[0].Identifier
	}
	if len(emails.Elements) > 0 {
		email = emails.Elements[0].Handle.Email
	}
	name := fullName(user.FirstName.preferred(), user.LastName.preferred())
	return &Identity{
		Subject: user.ID, Data: commonClaims(v.apiURL(), user.ID, name, picture), Emails: oneEmail(email, true),
	}, nil
}
