// Package importer reads what other systems export, as the documents that postern.import_users takes. Each format is a
// file of mapping: what a field becomes. Whether a user is acceptable is for SQL to say.
package importer

import (
	"encoding/json"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

// Row is one user of a file.
type Row struct {
	Line     int             // of the file; in a JSON array, which element, from 1
	Document json.RawMessage // valid JSON, nil with a Problem
	Problem  string          // why no document can be made of it
}

// Options are what some formats need besides the file.
type Options struct {
	HashConfig string    // firebase: the parameters of its password hashes, as its console shows them
	Passwords  io.Reader // auth0: the export of password hashes, or nil
	Confirmed  bool      // all addresses and numbers count as confirmed, in formats that do not say
}

// Format is a kind of file.
type Format struct {
	Name string
	Help string // what the file is, in a few words
	// Read gives the users of a file one by one, so that files of any size need no memory. An error ends it.
	Read func(io.Reader, Options) iter.Seq2[Row, error]
}

// Formats lists the formats by name.
func Formats() []Format {
	return []Format{
		{"postern", "NDJSON as `postern user export` writes it", readDocuments},
		{"auth0", "NDJSON of a bulk user export", readAuth0},
		{"clerk", "CSV of the dashboard's user export", readClerk},
		{"devise", "CSV of the table of users of Rails with Devise", readDevise},
		{"django", "JSON of manage.py dumpdata", readDjango},
		{"firebase", "JSON of firebase auth:export", readFirebase},
		{"keycloak", "JSON of kc.sh export, a realm or its users", readKeycloak},
	}
}

// user is the document. Times are text that PostgreSQL reads.
type user struct {
	ID               string         `json:"id,omitempty"` // a UUID, else the database draws one
	Email            string         `json:"email,omitempty"`
	Phone            string         `json:"phone,omitempty"`
	PasswordHash     string         `json:"password_hash,omitempty"`
	EmailConfirmedAt string         `json:"email_confirmed_at,omitempty"`
	PhoneConfirmedAt string         `json:"phone_confirmed_at,omitempty"`
	BannedUntil      string         `json:"banned_until,omitempty"`
	CreatedAt        string         `json:"created_at,omitempty"`
	LastSignInAt     string         `json:"last_sign_in_at,omitempty"`
	UserMetadata     map[string]any `json:"user_metadata,omitempty"`
	AppMetadata      map[string]any `json:"app_metadata,omitempty"`
	Identities       []identity     `json:"identities,omitempty"` // none: those of the address and the number
	Factors          []factor       `json:"factors,omitempty"`
}

type identity struct {
	Provider string         `json:"provider"`
	ID       string         `json:"id,omitempty"`
	Data     map[string]any `json:"identity_data,omitempty"`
}

type factor struct {
	Name   string `json:"friendly_name,omitempty"`
	Secret string `json:"secret"` // base32
}

// forever is how long somebody is banned whom another system has switched off.
const forever = "9999-12-31T00:00:00Z"

// cameFrom notes in app_metadata which user of which system this was, so that tables that name the old ids can follow.
func (u *user) cameFrom(system, id string) {
	if u.AppMetadata == nil {
		u.AppMetadata = map[string]any{}
	}
	u.AppMetadata["imported"] = map[string]string{"from": system, "id": id}
}

// tell adds a fact to user_metadata, unless it is empty.
func (u *user) tell(name string, value any) {
	if value == nil || value == "" {
		return
	}
	if u.UserMetadata == nil {
		u.UserMetadata = map[string]any{}
	}
	u.UserMetadata[name] = value
}

// confirm notes the address as confirmed since the account was made, or since now where that is unknown.
func (u *user) confirm(email, phone bool) {
	since := u.CreatedAt
	if since == "" {
		since = "now"
	}
	if email && u.Email != "" {
		u.EmailConfirmedAt = since
	}
	if phone && u.Phone != "" {
		u.PhoneConfirmedAt = since
	}
}

// link adds an account at a provider whose subject is known. The user keeps the ways of the address and the number.
func (u *user) link(provider, subject, email string, isVerified bool) {
	if provider == "" || subject == "" {
		return
	}
	if len(u.Identities) == 0 {
		if u.Email != "" && u.PasswordHash != "" {
			u.Identities = append(u.Identities, identity{Provider: "email"})
		}
		if u.Phone != "" {
			u.Identities = append(u.Identities, identity{Provider: "phone"})
		}
	}
	data := map[string]any{"sub": subject, "provider_id": subject}
	if email != "" {
		data["email"], data["email_verified"] = email, isVerified
	}
	u.Identities = append(u.Identities, identity{provider, subject, data})
}

// row makes the document of a user.
func (u *user) row(line int) Row {
	document, err := json.Marshal(u)
	if err != nil {
		return Row{Line: line, Problem: err.Error()}
	}
	return Row{Line: line, Document: document}
}

// provider is Postern's name of a provider that gives the same subject to everybody who asks with the same application,
// "" for others: there users are known again by their verified address.
func provider(name string) string {
	switch name = strings.TrimSuffix(strings.ToLower(name), ".com"); name {
	case "google", "facebook", "github", "gitlab", "twitter", "apple", "discord", "linkedin_oidc":
		return name
	case "google-oauth2":
		return "google"
	}
	return ""
}

// milliseconds turns a Unix time into text, "" for none.
func milliseconds(text string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n == 0 {
		return ""
	}
	return time.UnixMilli(n).UTC().Format(time.RFC3339Nano)
}
