package importer

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// readClerk reads the CSV that Clerk's dashboard exports (Settings, User exports).
func readClerk(in io.Reader, _ Options) iter.Seq2[Row, error] {
	return eachRecord(in, []string{"primary_email_address", "primary_phone_number"}, func(field func(string) string) *user {
		u := &user{Email: field("primary_email_address"), Phone: field("primary_phone_number"), CreatedAt: field("created_at")}
		u.PasswordHash = clerkHash(field("password_hasher"), field("password_digest"))
		u.confirm(slices.Contains(listed(field("verified_email_addresses")), u.Email),
			slices.Contains(listed(field("verified_phone_numbers")), u.Phone))
		u.tell("full_name", strings.TrimSpace(field("first_name")+" "+field("last_name")))
		u.tell("user_name", field("username"))
		u.cameFrom("clerk", field("id"))
		if secret := strings.TrimRight(strings.ToUpper(field("totp_secret")), "="); secret != "" {
			u.Factors = []factor{{Secret: secret}}
		}
		return u
	})
}

// listed splits a field with several values.
func listed(field string) []string {
	return strings.FieldsFunc(field, func(r rune) bool { return r == ',' || r == ';' || r == '|' || r == ' ' })
}

// clerkHash gives a digest the form that says what it is. Those of Firebase are hash, salt, signer key, separator, rounds and
// memory cost, with $ between them.
func clerkHash(hasher, digest string) string {
	if part := strings.Split(digest, "$"); hasher == "scrypt_firebase" && len(part) == 6 {
		return fmt.Sprintf("$fbscrypt$v=1,n=%s,r=%s,p=1,ss=%s,sk=%s$%s$%s", part[5], part[4],
			standardBase64(part[3]), standardBase64(part[2]), standardBase64(part[1]), standardBase64(part[0]))
	}
	return digest
}
