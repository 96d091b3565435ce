package sql_test

import (
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

func TestMailIsAuthorized(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	for _, c := range []struct{ list, email, want string }{
		{`{}`, "x@example.com", "(t)"},
		{`{"authorized_addresses": []}`, "x@example.com", "(t)"},
		{`{"authorized_addresses": ["ann@example.com", "bob@example.com"]}`, "bob@example.com", "(t)"},
		{`{"authorized_addresses": ["ann@example.com"]}`, "ANN@Example.com", "(t)"},
		{`{"authorized_addresses": ["ann@example.com"]}`, "ann+a+b@example.com", "(t)"},
		{`{"authorized_addresses": ["ann+a@example.com"]}`, "ann+a@example.com", "(t)"},
		{`{"authorized_addresses": ["ann+a@example.com"]}`, "ann@example.com", "(f)"},
		{`{"authorized_addresses": ["ann@example.com"]}`, "x@example.com", "(f)"},
		{`{"authorized_addresses": ["ann@example.com"]}`, "x+ann@example.com", "(f)"},
		{`{"authorized_addresses": ["ann@example.com"]}`, "ann@example.com.evil.org", "(f)"},
		{`{"authorized_addresses": ["ann@example.com"]}`, "ann@example.co", "(f)"},
		{`{"authorized_addresses": ["@example.com"]}`, "+x@example.com", "(t)"},
	} {
		diff(t, c.list+" "+c.email, c.want, ask(t, tx, "select postern_internal.is_mail_authorized('"+c.email+"', '"+c.list+"')"))
	}
}

// SQL callers are bound by the list as well, and what they did is undone with the refusal.
func TestAuthorizedAddressesInSQL(t *testing.T) {
	t.Parallel()
	tx := admin(t)
	const list = `update postern.settings set value = value || '{"authorized_addresses": ["ann@example.com"]}'`
	if _, err := tx.Exec(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	const refusal = `PT400 email_address_not_authorized: Email address "new@example.com" cannot be used as it is not authorized`
	diff(t, "invitation", refusal, ask(t, tx, "select postern.invite_user('new@example.com')"))
	diff(t, "nothing happened", "(0,0)", ask(t, tx,
		"select (select count(*) from auth.users where email = 'new@example.com'), (select count(*) from postern.outbox)"))
	diff(t, "magic link", "(f)", ask(t, tx, "select postern.send_magic_link('ann@example.com') is null"))
	diff(t, "mail", "(ann@example.com)", ask(t, tx, "select recipient from postern.outbox"))
}

func TestMailLanguages(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	for _, c := range []struct{ metadata, context, want string }{
		{`null`, `{}`, `[]`},
		{`{"locale": "de"}`, `{"language": "fr"}`, `["de", "fr"]`},
		{`{"language": "it", "lang": "es", "locale": ""}`, `{}`, `["es", "it"]`},
		{`{"lang": null, "locale": {"a": 1}}`, `{"language": ""}`, `["{\"a\": 1}"]`}, // the mailer passes it over
		{`[1]`, `{"language": "fr-CA,fr;q=0.9"}`, `["fr-CA,fr;q=0.9"]`},
	} {
		var got string
		if err := tx.QueryRow(t.Context(), "select postern_internal.mail_languages($1, $2)::text", c.metadata, c.context).Scan(&got); err != nil {
			t.Fatal(err)
		}
		diff(t, c.metadata+" "+c.context, c.want, got)
	}
}
