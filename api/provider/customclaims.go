package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// customUserinfo identifies by the userinfo endpoint of a custom provider, whose answer is read as the standard claims.
func customUserinfo(ctx context.Context, v *visit) (*Identity, error) {
	address := v.custom.UserinfoURL
	if v.custom.IsOIDC() {
		i, err := v.discover(ctx, v.issuer)
		if err != nil {
			return nil, err
		}
		if address = i.document.UserInfoURL; address == "" {
			return nil, errors.New("the provider gave no ID token, and it has no userinfo endpoint")
		}
	}
	var answer json.RawMessage
	if err := v.get(ctx, address, &answer); err != nil {
		return nil, err
	}
	raw, err := exactClaims(answer)
	if err != nil {
		return nil, fmt.Errorf("the answer of the userinfo endpoint: %w", err)
	}
	standard, err := standardIdentity(raw.simple())
	if err != nil {
		return nil, err
	}
	return v.custom.shape(standard, raw, true), nil
}

// customOIDC identifies by the ID token of a custom provider, or by its userinfo endpoint where it gave none. at_hash is
// not checked (spec/02 section 14): the token came from the provider itself.
func customOIDC(ctx context.Context, v *visit) (*Identity, error) {
	given, _ := v.token.Extra("id_token").(string)
	if given == "" {
		return customUserinfo(ctx, v)
	}
	t, err := v.verify(ctx, v.issuer, given)
	if err != nil {
		return nil, err
	}
	if !t.IsFor(v.clientIDs) {
		return nil, fmt.Errorf("the ID token is for somebody else: %q", t.Audience)
	}
	identity, err := t.Identity()
	if err != nil {
		return nil, err
	}
	var text json.RawMessage
	if err := t.Claims(&text); err != nil {
		return nil, err
	}
	raw, err := exactClaims(text)
	if err != nil {
		return nil, err
	}
	return v.custom.shape(identity, raw, false), nil
}

// exactClaims decodes claims with numbers as they were written: ids may have more digits than a float64.
func exactClaims(text []byte) (rawClaims, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var c rawClaims
	if err := decoder.Decode(&c); err != nil {
		return nil, err
	}
	return c, nil
}

// timeNames are the standard claims that are numbers.
var timeNames = []string{"iat", "exp", "updated_at"}

// simple returns claims of exactClaims as standardIdentity takes them.
func (c rawClaims) simple() rawClaims {
	out := maps.Clone(c)
	for _, name := range timeNames {
		if n, ok := out[name].(json.Number); ok {
			out[name], _ = n.Float64() // out of range: infinite, which JSON cannot hold, so check refuses it
		}
	}
	return out
}

// unmappable are facts that no mapping may state; what a row says of them is ignored (spec/02 section 14).
var unmappable = []string{"aud", "email_verified", "phone_verified", "updated_at"}

// shape makes of an identity what the row wants of it (spec/08 section 5.1): allowed claims are copied into
// custom_claims, then the mapping gives standard claims other values. With mapsEmail it decides on the address, too.
func (c *Custom) shape(found *Identity, raw rawClaims, mapsEmail bool) *Identity {
	data := rawClaims(maps.Clone(found.Data))
	data["sub"] = found.Subject
	with(data, "email", raw.text("email"))
	c.copyAllowed(data, raw)
	source := maps.Clone(data)
	for target, from := range c.AttributeMapping {
		value, ok := from, !slices.Contains(unmappable, target)
		if name, isName := from.(string); isName && ok {
			if value, ok = source[name]; !ok {
				value, ok = raw[name]
			}
		}
		if ok {
			data[target] = fitting(target, value)
		}
	}
	shaped, _ := standardIdentity(data.simple()) // never fails
	shaped.Emails = found.Emails
	if mapsEmail {
		shaped.Emails = oneEmail(data.text("email"), raw["email_verified"] == true && isSameAddress(data, raw))
	}
	return shaped
}

// isSameAddress tells whether email_verified is about the address that was mapped: not if the provider names another one
// as the email.
func isSameAddress(data, raw rawClaims) bool {
	return raw.text("email") == "" || strings.EqualFold(raw.text("email"), data.text("email"))
}

func (c *Custom) copyAllowed(data, raw rawClaims) {
	custom, _ := data["custom_claims"].(map[string]any)
	custom = maps.Clone(custom)
	for _, name := range c.ClaimsAllowlist {
		if value, ok := raw[name]; ok {
			if custom == nil {
				custom = map[string]any{}
			}
			custom[name] = value
		}
	}
	if custom != nil {
		data["custom_claims"] = custom
	}
}

// fitting turns a number into the text that most claims are, such as a user's id into sub.
func fitting(target string, value any) any {
	if n, ok := value.(json.Number); ok && target != "custom_claims" && !slices.Contains(timeNames, target) {
		return n.String()
	}
	return value
}
