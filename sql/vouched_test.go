package sql_test

import (
	"fmt"
	"testing"
)

// TestVouchedWithoutAddress signs in people whom a provider vouches for without telling an address (spec/02 section 12,
// Apple): they share nothing with each other, nor with accounts that have an empty address.
func TestVouchedWithoutAddress(t *testing.T) {
	t.Parallel()
	visit := func(subject string) step {
		return step{fmt.Sprintf(`select failure is null from postern_internal.sign_in_externally('apple',
			'{"sub": "%s", "data": {"sub": "%[1]s"}, "emails": [{"verified": true, "primary": true}]}',
			postern_internal.context())`, subject), "t"}
	}
	const nameless = "'00000000-0000-4000-8000-0000000000e1'"
	tx := admin(t)
	playSteps(t, tx, []step{
		{`insert into auth.users (instance_id, id, aud, email) values
			('00000000-0000-0000-0000-000000000000', ` + nameless + `, 'authenticated', '')`, ""},
		visit("1"), visit("2"), visit("1"),
		{"select count(*), count(distinct user_id), count(email) from auth.identities where provider = 'apple'", "2,2,0"},
		{`select count(*), bool_and(email is null), bool_and(email_confirmed_at is not null), bool_or(id = ` + nameless + `)
			from auth.users where raw_app_meta_data ->> 'provider' = 'apple'`, "2,t,t,f"},
		{"select identity_data from auth.identities where provider = 'apple' and provider_id = '2'", `{"sub": "2", "email_verified": true, "phone_verified": false}`},
		{anonymous, ""},
		{`select failure from postern_internal.link_identity(` + anonymousID + `, 'apple',
			'{"sub": "3", "data": {"sub": "3"}, "emails": [{"verified": true, "primary": true}]}', postern_internal.context())`,
			"PT500 unexpected_failure: Error sending confirmation email"},
	})
}
