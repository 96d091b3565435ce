package provider

import (
	"context"
	"encoding/json"
)

// workos is WorkOS. Clients say which connection, organization or provider (workos_provider) they mean; the token comes
// with the profile.
func workos() definition {
	return definition{
		authorize:      endpoint{"https://api.workos.com", "/sso/authorize"},
		token:          endpoint{"https://api.workos.com", "/sso/token"},
		api:            endpoint{"https://api.workos.com", ""},
		hasFixedScopes: true,
		identify:       workosUser,
	}
}

func workosUser(_ context.Context, v *visit) (*Identity, error) {
	text, err := json.Marshal(v.token.Extra("profile"))
	if err != nil {
		return nil, err
	}
	var user struct {
		ID             string `json:"id"`
		ConnectionID   string `json:"connection_id"`
		OrganizationID string `json:"organization_id"`
		Email          string `json:"email"`
		FirstName      string `json:"first_name"`
		LastName       string `json:"last_name"`
	}
	if err := json.Unmarshal(text, &user); err != nil {
		return nil, err
	}
	data := commonClaims(v.apiURL(), user.ID, fullName(user.FirstName, user.LastName), "")
	data["custom_claims"] = map[string]any{"connection_id": user.ConnectionID, "organization_id": user.OrganizationID}
	return &Identity{Subject: user.ID, Data: data, Emails: oneEmail(user.Email, true)}, nil
}
