package provider

import "context"

// spotify is Spotify, which never verifies addresses.
func spotify() definition {
	return definition{
		authorize: endpoint{"https://accounts.spotify.com", "/authorize"},
		token:     endpoint{"https://accounts.spotify.com", "/api/token"},
		api:       endpoint{"https://api.spotify.com", ""},
		scopes:    []string{"user-read-email"},
		identify:  spotifyUser,
	}
}

func spotifyUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		ID          string         `json:"id"`
		DisplayName string         `json:"display_name"`
		Email       string         `json:"email"`
		Images      []spotifyImage `json:"images"`
	}
	if err := v.get(ctx, "/v1/me", &user); err != nil {
		return nil, err
	}
	return &Identity{
		Subject: user.ID, Data: commonClaims(v.apiURL(), user.ID, user.DisplayName, largest(user.Images)),
		Emails: oneEmail(user.Email, false),
	}, nil
}

// spotifyImage is one of a person's pictures; sizes can be null.
type spotifyImage struct {
	URL    string  `json:"url"`
	Height float64 `json:"height"`
	Width  float64 `json:"width"`
}

// largest is the address of the largest picture, of the first one of those, "" without any.
func largest(images []spotifyImage) string {
	address, size := "", -1.0
	for _, image := range images {
		if area := image.Height * image.Width; area > size {
			address, size = image.URL, area
		}
	}
	return address
}
