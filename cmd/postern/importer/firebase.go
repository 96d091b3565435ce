package importer

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
)

// firebaseUser is an element of "users" in the file of `firebase auth:export users.json --format=json`.
type firebaseUser struct {
	LocalID          string `json:"localId"`
	Email            string `json:"email"`
	EmailVerified    bool   `json:"emailVerified"`
	PasswordHash     string `json:"passwordHash"`
	Salt             string `json:"salt"`
	DisplayName      string `json:"displayName"`
	PhotoURL         string `json:"photoUrl"`
	PhoneNumber      string `json:"phoneNumber"`
	CreatedAt        string `json:"createdAt"` // Unix milliseconds
	LastSignedInAt   string `json:"lastSignedInAt"`
	Disabled         bool   `json:"disabled"`
	CustomAttributes string `json:"customAttributes"` // JSON: custom claims
	Providers        []struct {
		ID    string `json:"providerId"`
		RawID string `json:"rawId"`
		Email string `json:"email"`
	} `json:"providerUserInfo"`
}

func readFirebase(in io.Reader, o Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		parameters, err := firebaseParameters(o.HashConfig)
		if err != nil {
			yield(Row{}, err)
			return
		}
		eachElement(in, "users", func(n int, element json.RawMessage) []Row {
			var f firebaseUser
			if err := json.Unmarshal(element, &f); err != nil {
				return []Row{{Line: n, Problem: err.Error()}}
			}
			if f.PasswordHash != "" && parameters == "" {
				return []Row{{Line: n, Problem: "The user has a password: it needs the hash parameters of the project (--firebase-hash-config)"}}
			}
			return []Row{f.user(parameters).row(n)}
		})(yield)
	}
}

func (f *firebaseUser) user(parameters string) *user {
	u := &user{
		Email: f.Email, Phone: f.PhoneNumber, CreatedAt: milliseconds(f.CreatedAt), LastSignInAt: milliseconds(f.LastSignedInAt),
	}
	if f.PasswordHash != "" {
		u.PasswordHash = parameters + standardBase64(f.Salt) + "$" + standardBase64(f.PasswordHash)
	}
	u.confirm(f.EmailVerified, true) // a number is what somebody signed in with
	if f.Disabled {
		u.BannedUntil = forever
	}
	u.tell("full_name", f.DisplayName)
	u.tell("avatar_url", f.PhotoURL)
	var claims map[string]any
	if json.Unmarshal([]byte(f.CustomAttributes), &claims) == nil && len(claims) > 0 {
		u.AppMetadata = claims
	}
	u.cameFrom("firebase", f.LocalID)
	for _, p := range f.Providers {
		u.link(provider(p.ID), p.RawID, p.Email, f.EmailVerified && p.Email == f.Email)
	}
	return u
}

// firebaseParameters turns the text that Firebase's console shows, hash_config { algorithm: SCRYPT, .. }, into the beginning
// of a hash. It fails for text that has not all of it. "" gives "".
func firebaseParameters(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	value := func(name string) string {
		if m := regexp.MustCompile(name + `"?\s*[:=]\s*"?([A-Za-z0-9+/=_-]+)`).FindStringSubmatch(text); m != nil {
			return m[1]
		}
		return ""
	}
	key, separator, rounds, memory := value("signer_key"), value("salt_separator"), value("rounds"), value("mem_cost")
	if key == "" || separator == "" || rounds == "" || memory == "" {
		return "", fmt.Errorf("the hash parameters of Firebase are base64_signer_key, base64_salt_separator, rounds and mem_cost, " +
			"as the console shows them under Authentication, Users, Password hash parameters")
	}
	return fmt.Sprintf("$fbscrypt$v=1,n=%s,r=%s,p=1,ss=%s,sk=%s$", memory, rounds, standardBase64(separator), standardBase64(key)), nil
}

// standardBase64 has + and / where some versions of the tool write the alphabet for URLs.
func standardBase64(text string) string {
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	return text + strings.Repeat("=", (4-len(text)%4)%4)
}
