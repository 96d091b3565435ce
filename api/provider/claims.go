package provider

import (
	"strconv"
	"strings"
	"time"
)

// claims returns a map of texts without the empty ones.
func claims(all map[string]string) map[string]any {
	out := make(map[string]any, len(all))
	for name, value := range all {
		if value != "" {
			out[name] = value
		}
	}
	return out
}

// commonClaims are those that most providers give of a person (set S of spec/02 section 13).
func commonClaims(iss, sub, name, picture string) map[string]any {
	return claims(map[string]string{
		"iss": iss, "sub": sub, "provider_id": sub, "name": name, "full_name": name, "picture": picture,
		"avatar_url": picture,
	})
}

// with adds a claim, unless it is an empty text.
func with(data map[string]any, name string, value any) map[string]any {
	if value != "" {
		data[name] = value
	}
	return data
}

// oneEmail is the list of a provider that knows one address, or none.
func oneEmail(address string, isVerified bool) []Email {
	if address == "" {
		return []Email{}
	}
	return []Email{{Address: address, IsVerified: isVerified, IsPrimary: true}}
}

// number is an id as text, "" for none.
func number(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// fullName joins the parts of a name that there are.
func fullName(first, last string) string { return strings.TrimSpace(first + " " + last) }

// rawClaims are claims of an ID token or of a userinfo endpoint as they came.
type rawClaims map[string]any

// text is a claim that is a text, "" if it is something else.
func (c rawClaims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// isTrue reads a claim that is true, or the text "true".
func (c rawClaims) isTrue(name string) bool { return c[name] == true || c[name] == "true" }

// standardNames are the claims that identity_data can hold as they are (spec/02 section 7). email and the two flags are
// not among them: finish_oauth writes those.
var standardNames = []string{
	"iss", "sub", "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
	"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "phone", "full_name", "avatar_url", "slug",
	"provider_id", "user_name",
}

// standardIdentity takes the standard claims as they are.
func standardIdentity(c rawClaims) (*Identity, error) {
	data := map[string]any{}
	for _, name := range standardNames {
		with(data, name, c.text(name))
	}
	switch aud := c["aud"].(type) {
	case string:
		with(data, "aud", []any{aud})
	case []any:
		data["aud"] = aud
	}
	for _, name := range []string{"iat", "exp"} {
		if n, ok := c[name].(float64); ok && n != 0 {
			data[name] = n
		}
	}
	switch at := c["updated_at"].(type) {
	case string:
		with(data, "updated_at", at)
	case float64:
		data["updated_at"] = time.Unix(int64(at), 0).UTC().Format(time.RFC3339)
	}
	if custom, ok := c["custom_claims"].(map[string]any); ok {
		data["custom_claims"] = custom
	}
	return &Identity{
		Subject: c.text("sub"), Data: data, Emails: oneEmail(c.text("email"), c["email_verified"] == true),
	}, nil
}
