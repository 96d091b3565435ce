package importer

import (
	"encoding/json"
	"io"
	"iter"
	"strings"
)

// djangoRecord is an element of `manage.py dumpdata auth.user`, or of a user model of the project's own.
type djangoRecord struct {
	Model  string      `json:"model"`
	PK     json.Number `json:"pk"`
	Fields struct {
		Username   string  `json:"username"`
		Email      string  `json:"email"`
		Password   *string `json:"password"`
		FirstName  string  `json:"first_name"`
		LastName   string  `json:"last_name"`
		IsActive   *bool   `json:"is_active"`
		DateJoined string  `json:"date_joined"`
		LastLogin  string  `json:"last_login"`
	} `json:"fields"`
}

// readDjango takes the records that have a password field and skips those of other models.
func readDjango(in io.Reader, o Options) iter.Seq2[Row, error] {
	return eachElement(in, "", func(n int, element json.RawMessage) []Row {
		var kind struct {
			PK     any                        `json:"pk"`
			Fields map[string]json.RawMessage `json:"fields"`
		}
		if err := decodeNumbers(element, &kind); err != nil {
			return []Row{{Line: n, Problem: err.Error()}}
		}
		if kind.Fields["password"] == nil {
			return nil
		}
		var d djangoRecord
		if err := json.Unmarshal(element, &d); err != nil {
			return []Row{{Line: n, Problem: err.Error()}}
		}
		return []Row{d.user(o).row(n)}
	})
}

func (d *djangoRecord) user(o Options) *user {
	f := d.Fields
	u := &user{Email: f.Email, CreatedAt: f.DateJoined, LastSignInAt: f.LastLogin}
	if u.Email == "" && strings.Contains(f.Username, "@") {
		u.Email = f.Username
	}
	if f.Password != nil && !strings.HasPrefix(*f.Password, "!") { // ! marks a password that nobody has
		u.PasswordHash = *f.Password
	}
	u.confirm(o.Confirmed, false)
	if f.IsActive != nil && !*f.IsActive {
		u.BannedUntil = forever
	}
	u.tell("full_name", strings.TrimSpace(f.FirstName+" "+f.LastName))
	u.tell("user_name", f.Username)
	u.cameFrom("django", d.PK.String())
	return u
}
