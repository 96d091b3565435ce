package importer

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
)

// auth0User is a line of a bulk user export (job users-exports, format json).
type auth0User struct {
	UserID        string         `json:"user_id"` // provider|id
	Email         string         `json:"email"`
	EmailVerified bool           `json:"email_verified"`
	PhoneNumber   string         `json:"phone_number"`
	PhoneVerified bool           `json:"phone_verified"`
	Name          string         `json:"name"`
	Picture       string         `json:"picture"`
	Username      string         `json:"username"`
	CreatedAt     string         `json:"created_at"`
	LastLogin     string         `json:"last_login"`
	Blocked       bool           `json:"blocked"`
	UserMetadata  map[string]any `json:"user_metadata"`
	AppMetadata   map[string]any `json:"app_metadata"`
	Identities    []struct {
		Provider string `json:"provider"`
		UserID   any    `json:"user_id"` // text, or a number
	} `json:"identities"`
}

func readAuth0(in io.Reader, o Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		hashes, err := auth0Hashes(o.Passwords)
		if err != nil {
			yield(Row{}, err)
			return
		}
		eachLine(in, func(line int, text []byte) Row {
			var a auth0User
			if err := decodeNumbers(text, &a); err != nil {
				return Row{Line: line, Problem: err.Error()}
			}
			return a.user(hashes).row(line)
		})(yield)
	}
}

// decodeNumbers keeps numbers as they are written: ids have more digits than a float.
func decodeNumbers(text []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func (a *auth0User) user(hashes map[string]string) *user {
	u := &user{
		Email: a.Email, Phone: a.PhoneNumber, PasswordHash: hashes[a.UserID], CreatedAt: a.CreatedAt, LastSignInAt: a.LastLogin,
		UserMetadata: a.UserMetadata, AppMetadata: a.AppMetadata,
	}
	u.confirm(a.EmailVerified, a.PhoneVerified)
	if a.Blocked {
		u.BannedUntil = forever
	}
	if a.Name != a.Email {
		u.tell("full_name", a.Name)
	}
	u.tell("avatar_url", a.Picture)
	u.tell("user_name", a.Username)
	u.cameFrom("auth0", a.UserID)
	for _, i := range a.Identities {
		u.link(provider(i.Provider), fmt.Sprint(i.UserID), a.Email, a.EmailVerified)
	}
	if name, id, ok := strings.Cut(a.UserID, "|"); ok && len(a.Identities) == 0 {
		u.link(provider(name), id, a.Email, a.EmailVerified)
	}
	return u
}

// auth0Hashes reads the export of password hashes that Auth0's support hands out: NDJSON with _id, email and passwordHash.
// All of it is kept in memory, some 150 bytes for each user.
func auth0Hashes(in io.Reader) (map[string]string, error) {
	hashes := map[string]string{}
	if in == nil {
		return hashes, nil
	}
	for row, err := range readDocuments(in, Options{}) {
		if err != nil {
			return nil, fmt.Errorf("password hashes: %w", err)
		}
		var line struct {
			ID struct {
				OID string `json:"$oid"`
			} `json:"_id"`
			PasswordHash string `json:"passwordHash"`
		}
		if err := json.Unmarshal(row.Document, &line); err != nil || line.ID.OID == "" {
			return nil, fmt.Errorf("password hashes, line %d: no object with _id and passwordHash", row.Line)
		}
		hashes["auth0|"+line.ID.OID] = line.PasswordHash
	}
	return hashes, nil
}
