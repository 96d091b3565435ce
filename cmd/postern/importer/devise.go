package importer

import (
	"io"
	"iter"
)

// readDevise reads the table of users of a Rails application with Devise as CSV with a header, under the names that
// Devise's modules give their columns. Columns that are not there are empty.
func readDevise(in io.Reader, o Options) iter.Seq2[Row, error] {
	return eachRecord(in, []string{"email", "phone"}, func(field func(string) string) *user {
		u := &user{
			Email: field("email"), Phone: field("phone"), PasswordHash: field("encrypted_password"),
			CreatedAt: field("created_at"), EmailConfirmedAt: field("confirmed_at"),
			LastSignInAt: firstOf(field("current_sign_in_at"), field("last_sign_in_at")),
		}
		if o.Confirmed {
			u.confirm(u.EmailConfirmedAt == "", true)
		}
		for _, name := range []string{"name", "first_name", "last_name", "username"} {
			u.tell(name, field(name))
		}
		u.cameFrom("devise", field("id"))
		u.link(provider(field("provider")), field("uid"), u.Email, u.EmailConfirmedAt != "")
		return u
	})
}

// firstOf is the first text that is not empty.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
