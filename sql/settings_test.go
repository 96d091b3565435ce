package sql_test

import (
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

// TestLinkingDomains: accounts of providers are one person's by address only within a domain (spec/02 section 6).
func TestLinkingDomains(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	const settings = `'{"linking_domains": {"github": "work", "gitlab": "work", "apple": "apple"}}'`
	for provider, want := range map[string]string{
		"github": "work", "gitlab": "work", "apple": "apple", "google": "default", "sso:1": "sso:1",
	} {
		var got string
		query := "select postern_internal.linking_domain($1, postern_internal.context() || " + settings + ")"
		if err := tx.QueryRow(t.Context(), query, provider).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is in domain %q, want %q", provider, got, want)
		}
	}
}

// TestFirstPasswordBringsAnIdentity: with the experimental setting, once, and only for a confirmed address.
func TestFirstPasswordBringsAnIdentity(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, confirmed, old, setting string
		want                          int
	}{
		{"on", "now()", "null", "true", 1},
		{"off", "now()", "null", "false", 0},
		{"not confirmed", "null", "null", "true", 0},
		{"not the first", "now()", "'$2a$04$old'", "true", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tx := apitest.Tx(t)
			var got int
			if _, err := tx.Exec(t.Context(), `insert into auth.users (id, email, aud, email_confirmed_at, encrypted_password)
				values ('11111111-1111-4111-8111-111111111111', 'ann@example.com', 'authenticated', `+test.confirmed+`, `+test.old+`)`); err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), `select postern_internal.replace_password('11111111-1111-4111-8111-111111111111', '$2a$04$new',
				postern_internal.context() || '{"email_identity": `+test.setting+`}')`); err != nil {
				t.Fatal(err)
			}
			if err := tx.QueryRow(t.Context(), `select count(*) from auth.identities where provider = 'email'
				and identity_data @> '{"email": "ann@example.com", "email_verified": true}'`).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("%d identities, want %d", got, test.want)
			}
		})
	}
}
