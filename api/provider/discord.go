package provider

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// discord is Discord.
func discord() definition {
	return definition{
		authorize: endpoint{"https://discord.com", "/api/oauth2/authorize"},
		token:     endpoint{"https://discord.com", "/api/oauth2/token"},
		api:       endpoint{"https://discord.com", "/api"},
		scopes:    []string{"email", "identify"},
		identify:  discordUser,
	}
}

func discordUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		ID            string `json:"id"`
		Username      string `json:"username"`
		Discriminator string `json:"discriminator"`
		GlobalName    string `json:"global_name"`
		Avatar        string `json:"avatar"`
		Email         string `json:"email"`
		Verified      bool   `json:"verified"`
	}
	if err := v.get(ctx, "/users/@me", &user); err != nil {
		return nil, err
	}
	picture, err := discordAvatar(user.ID, user.Avatar, user.Discriminator)
	if err != nil {
		return nil, err
	}
	data := commonClaims(v.apiURL(), user.ID, user.Username+"#"+user.Discriminator, picture)
	data["full_name"] = user.Username
	data["custom_claims"] = map[string]any{"global_name": user.GlobalName}
	return &Identity{Subject: user.ID, Data: data, Emails: oneEmail(user.Email, user.Verified)}, nil
}

// discordAvatar is the address of a picture; without one of their own people get one of five by their number.
func discordAvatar(id, avatar, discriminator string) (string, error) {
	const images = "https://cdn.discordapp.com"
	if avatar == "" {
		number, err := strconv.ParseUint(discriminator, 10, 32)
		if err != nil {
			return "", fmt.Errorf("the discriminator is not a number: %w", err)
		}
		return fmt.Sprintf("%s/embed/avatars/%d.png", images, number%5), nil
	}
	extension := "png"
	if strings.HasPrefix(avatar, "a_") { // animated
		extension = "gif"
	}
	return fmt.Sprintf("%s/avatars/%s/%s.%s", images, id, avatar, extension), nil
}
