package provider

import (
	"context"
	"encoding/json"
)

// fly is Fly.io. Its addresses are confirmed.
func fly() definition {
	return definition{
		authorize: endpoint{"https://api.fly.io", "/oauth/authorize"},
		token:     endpoint{"https://api.fly.io", "/oauth/token"},
		api:       endpoint{"https://api.fly.io", ""},
		scopes:    []string{"read"},
		identify:  flyUser,
	}
}

func flyUser(ctx context.Context, v *visit) (*Identity, error) {
	var user struct {
		ID              string `json:"user_id"`
		Name            string `json:"user_name"`
		Email           string `json:"email"`
		ResourceOwnerID string `json:"resource_owner_id"`
		Organizations   []struct {
			ID   string `json:"id"`
			Role string `json:"role"`
		} `json:"organizations"`
		Scope       []string        `json:"scope"`
		Application json.RawMessage `json:"application"`
		CreatedAt   json.RawMessage `json:"created_at"`
	}
	if err := v.get(ctx, "/oauth/token/info", &user); err != nil {
		return nil, err
	}
	data := claims(map[string]string{
		"iss": v.apiURL(), "sub": user.ID, "provider_id": user.ID, "full_name": user.Name,
	})
	data["custom_claims"] = map[string]any{
		"resource_owner_id": user.ResourceOwnerID, "organizations": user.Organizations, "application": user.Application,
		"scope": user.Scope, "created_at": user.CreatedAt,
	}
	return &Identity{Subject: user.ID, Data: data, Emails: oneEmail(user.Email, true)}, nil
}
