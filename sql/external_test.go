package sql_test

import (
	"fmt"
	"testing"
)

// arrive is a sign-in of somebody from a provider; emails are entries like freeEmail. It returns the failure, or the account's
// address, whether it is confirmed, and its providers.
func arrive(provider, subject, emails, more string) string {
	return arriveOptional(provider, subject, emails, more, false)
}

func arriveOptional(provider, subject, emails, more string, isEmailOptional bool) string {
	return fmt.Sprintf(`select coalesce('failure ' || (v.failure ->> 'status') || ' ' || (v.failure ->> 'code') || ': ' || (v.failure ->> 'message'), a.account)
		from (select postern_internal.context() || '{"site_url": "https://app", "verify_urls": {"confirmation": "https://api/verify"}, "ip": "192.0.2.1"}' || '%s') as c (context)
		cross join lateral postern_internal.sign_in_externally('%s', '{"sub": "%s", "data": {"sub": "%[3]s", "name": "N%[3]s"}, "emails": [%[4]s]}',
			c.context, p_is_email_optional => %[5]v) as v
		cross join lateral postern_internal.describe(v.account_id) as a (account)`, more, provider, subject, emails, isEmailOptional)
}

// describeAccount is a helper of the tests: a volatile function, so that it sees what the sign-in wrote.
const describeAccount = `create function postern_internal.describe(uuid) returns text language plpgsql volatile as $$
	begin return (select concat_ws(' ', coalesce(email, 'none'), case when email_confirmed_at is null then 'unconfirmed' else 'confirmed' end,
		raw_app_meta_data ->> 'providers') from auth.users where id = $1); end $$`

func address(email string, isVerified bool) string {
	return fmt.Sprintf(`{"email": "%s", "verified": %v, "primary": true}`, email, isVerified)
}

// audited and happened are what a sign-in left behind.
const (
	audited  = "select string_agg(payload ->> 'action' || coalesce(' ' || (payload #>> '{traits,provider}'), ''), ', ' order by payload ->> 'action', payload #>> '{traits,provider}') from auth.audit_log_entries"
	happened = "select string_agg(type || coalesce(' ' || (data ->> 'provider'), ''), ', ' order by id) from postern.events"
)

// What follows from each decision (spec/02 section 6); policies are in docs/linking.md.
func TestExternalSignIn(t *testing.T) {
	t.Parallel()
	const unverified, unproved = "failure 422 provider_email_needs_verification: Unverified email with github. ",
		"A confirmation email has been sent to your github email"
	const outbox = "select coalesce(string_agg(template || ' ' || recipient, ', '), 'none') from postern.outbox where template <> 'x'"
	const ask = `{"linking_policy": "ask"}`
	for name, steps := range map[string][]step{
		"somebody new": {
			{arrive("github", "7", address("New@example.com", true), "{}"), `new@example.com confirmed ["github"]`},
			{"select role, aud, is_sso_user, raw_app_meta_data, raw_user_meta_data, encrypted_password is null from auth.users where email = 'new@example.com'", `authenticated,authenticated,f,"{"provider": "github", "providers": ["github"]}","{"sub": "7", "name": "N7", "email": "new@example.com", "email_verified": true, "phone_verified": false}",t`},
			{audited, "user_signedup github"}, {happened, "user.created, identity.created github, user.confirmed"},
			{"select identity_data, provider_id from auth.identities where provider = 'github'", `{"sub": "7", "name": "N7", "email": "new@example.com", "email_verified": true, "phone_verified": false}",7`},
			{outbox, "none"},
		},
		"the same again": {
			{arrive("github", "7", address("new@example.com", true), "{}"), `new@example.com confirmed ["github"]`},
			{"update auth.identities set last_sign_in_at = '2026-01-01', updated_at = '2026-01-01', identity_data = '{\"stale\": 1}' where provider = 'github'", ""},
			{"update auth.users set raw_user_meta_data = '{\"kept\": 1, \"name\": \"old\"}' where email = 'new@example.com'", ""},
			{"delete from auth.audit_log_entries", ""}, {"delete from postern.events", ""},
			{arrive("github", "7", address("other@example.com", false), "{}"), `new@example.com confirmed ["github"]`},
			{"select raw_user_meta_data from auth.users where email = 'new@example.com'", `{"sub": "7", "kept": 1, "name": "N7", "email": "other@example.com", "email_verified": false, "phone_verified": false}`},
			{"select identity_data, last_sign_in_at = '2026-01-01', updated_at > '2026-01-02' from auth.identities where provider = 'github'", `{"sub": "7", "name": "N7", "email": "other@example.com", "email_verified": false, "phone_verified": false}",t,t`},
			{audited, "login github"}, {"select count(*) from postern.events", "0"},
		},
		"nothing verified": {
			{arrive("github", "7", address("new@example.com", false), "{}"), unverified + unproved},
			{"select postern_internal.describe(id) from auth.users where email = 'new@example.com'", `new@example.com unconfirmed ["github"]`},
			{outbox, "confirmation new@example.com"}, {"select count(*) from auth.audit_log_entries", "0"},
			{arrive("github", "7", address("new@example.com", false), `{"mail_frequency": 0}`), unverified + unproved},
			{arrive("github", "7", address("new@example.com", false), "{}"), "PT429 over_email_send_rate_limit: For security purposes, you can only request this after 60 seconds."},
			{arrive("github", "7", address("new@example.com", true), "{}"), `new@example.com confirmed ["github"]`},
			{audited, "user_signedup github"},
		},
		"nothing verified, and that is allowed": {
			{arrive("github", "7", address("new@example.com", false), `{"allow_unverified": true}`), `new@example.com unconfirmed ["github"]`},
			{"select count(*) from auth.audit_log_entries", "0"}, {outbox, "confirmation new@example.com"},
		},
		"nothing verified, autoconfirm": {
			{arrive("github", "7", address("new@example.com", false), `{"autoconfirm": true}`), `new@example.com confirmed ["github"]`},
			{arrive("gitlab", "8", address("new@example.com", false), `{"autoconfirm": true}`), `new@example.com confirmed ["github", "gitlab"]`},
		},
		"an unverified address that a user has": {
			{arrive("github", "7", address("ann@example.com", false), "{}"), unverified + "Verify the email with github in order to sign in"},
			{"select coalesce(u.email, 'none') from auth.users as u join auth.identities as i on i.user_id = u.id where i.provider = 'github'", "none"},
			{outbox, "none"},
			{arrive("github", "7", address("ann@example.com", true), "{}"), `none confirmed ["github"]`},
			{"select postern_internal.describe(" + annID + ")", `ann@example.com confirmed ["email"]`},
		},
		"an unverified address that a user of another audience has": {
			{"update auth.users set aud = 'other' where id = " + annID, ""},
			{arrive("github", "7", address("ann@example.com", false), "{}"), unverified + "Verify the email with github in order to sign in"},
		},
		"an unverified address that an identity has": {
			{"insert into auth.identities (provider_id, user_id, provider, identity_data) values ('1', " + annID + ", 'google', '{\"email\": \"a@example.com\"}')", ""},
			{arrive("github", "7", address("a@example.com", false), "{}"), unverified + "Verify the email with github in order to sign in"},
			{arrive("gitlab", "7", address("a@example.com", true), "{}"), `a@example.com confirmed ["gitlab"]`},
		},
		"an unverified address that an identity of another audience has": {
			{"insert into auth.identities (provider_id, user_id, provider, identity_data) values ('1', " + annID + ", 'google', '{\"email\": \"a@example.com\"}')", ""},
			{"update auth.users set aud = 'other' where id = " + annID, ""},
			{arrive("github", "7", address("a@example.com", false), "{}"), unverified + unproved},
		},
		"an unverified address that an identity of another domain has": {
			{"insert into auth.identities (provider_id, user_id, provider, identity_data) values ('1', " + annID + ", 'google', '{\"email\": \"a@example.com\"}')", ""},
			{arrive("github", "7", address("a@example.com", false), `{"linking_domains": {"google": "google"}}`), unverified + unproved},
		},
		"a known address": {
			{arrive("github", "7", address("ANN@example.com", true), "{}"), `ann@example.com confirmed ["email", "github"]`},
			{"select payload -> 'traits' ->> 'provider_id', payload ->> 'actor_username', ip_address from auth.audit_log_entries where payload ->> 'action' = 'identity_linked'", "7,ann@example.com,192.0.2.1"},
			{audited, "identity_linked github, login github"}, {happened, "identity.created github"},
			{"select raw_user_meta_data from auth.users where id = " + annID, `{"sub": "7", "name": "N7", "email": "ann@example.com", "full_name": "Ann Lee", "email_verified": true, "phone_verified": false}`},
			{arrive("gitlab", "7", address("ann@example.com", true), "{}"), `ann@example.com confirmed ["email", "github", "gitlab"]`},
		},
		"a known address among several": {
			{arrive("github", "7", address("p@example.com", false)+", "+`{"email": "ann@example.com", "verified": true}`, "{}"), `ann@example.com confirmed ["email", "github"]`},
		},
		"a known address of another audience": {
			{"update auth.users set aud = 'other' where id = " + annID, ""},
			{arrive("github", "7", address("ann@example.com", true), "{}"), `ann@example.com confirmed ["email", "github"]`},
		},
		"several accounts": {
			{"insert into auth.identities (provider_id, user_id, provider, identity_data) select '1' || id, id, 'google', '{\"email\": \"a@example.com\", \"email_verified\": true}' from auth.users where email in ('ann@example.com', 'bob@example.com')", ""},
			{arrive("github", "7", address("a@example.com", true), "{}"), "PT500 unexpected_failure: Multiple accounts with the same email address in the same linking domain detected: default"},
			{arrive("github", "7", address("a@example.com", true), `{"linking_policy": "never"}`), `none confirmed ["github"]`},
		},
		"several accounts, by two addresses": {
			{arrive("github", "7", address("ann@example.com", true)+", "+address("bob@example.com", true), "{}"), "PT500 unexpected_failure: Multiple accounts with the same email address in the same linking domain detected: default"},
		},
		"another domain": {
			{arrive("github", "7", address("ann@example.com", true), `{"linking_domains": {"github": "work", "gitlab": "work"}}`), `ann@example.com confirmed ["github"]`},
			{"select count(*), bool_or(is_sso_user) from auth.users where email = 'ann@example.com'", "2,t"},
			{arrive("gitlab", "7", address("ann@example.com", true), `{"linking_domains": {"github": "work", "gitlab": "work"}}`), `ann@example.com confirmed ["github", "gitlab"]`},
			{arrive("google", "7", address("ann@example.com", true), `{"linking_domains": {"github": "work", "gitlab": "work"}}`), `ann@example.com confirmed ["email", "google"]`},
		},
		"sign-ups are off": {
			{arrive("github", "7", address("new@example.com", true), `{"signup_disabled": true}`), "PT422 signup_disabled: Signups not allowed for this instance"},
			{arrive("github", "7", address("ann@example.com", true), `{"signup_disabled": true}`), `ann@example.com confirmed ["email", "github"]`},
			{arrive("github", "7", address("x@example.com", true), `{"signup_disabled": true}`), `ann@example.com confirmed ["email", "github"]`},
		},
		"hooks hear of new accounts only": {
			{`create function postern_internal.refuse_user(jsonb) returns jsonb language sql as 'select ''{"error": {"http_code": 403, "message": "no"}}''::jsonb'`, ""},
			{arrive("github", "7", address("new@example.com", true), `{"hooks": {"before-user-created": {"function": ["postern_internal", "refuse_user"], "uri": "x"}}}`), "PT403 : no"},
			{arrive("github", "7", address("ann@example.com", true), `{"hooks": {"before-user-created": {"function": ["postern_internal", "refuse_user"], "uri": "x"}}}`), `ann@example.com confirmed ["email", "github"]`},
			{arrive("github", "7", address("new@example.com", true), `{"hooks": {"before-user-created": {"function": ["postern_internal", "refuse_user"], "uri": "x"}}}`), `ann@example.com confirmed ["email", "github"]`},
		},
		"banned": {
			{arrive("github", "7", address("dan@example.com", true), "{}"), "PT403 user_banned: User is banned"},
			{"select count(*) from auth.identities where provider = 'github'", "0"},
		},
		"no address": {
			{arrive("github", "7", "", "{}"), unverified + "Verify the email with github in order to sign in"},
			{arrive("github", "8", `{"email": "", "verified": true, "primary": true}`, "{}"), `none confirmed ["github"]`}, // Apple vouches for people without telling an address
			{"select count(*) from auth.users where email is null and phone is null", "2"},
		},
		"no address, which is optional": {
			{arriveOptional("github", "7", "", "{}", true), `none unconfirmed ["github"]`}, {audited, "login github"},
			{arriveOptional("github", "7", address("late@example.com", false), "{}", true), `none unconfirmed ["github"]`},
			{arriveOptional("github", "8", address("ann@example.com", false), "{}", true), `none unconfirmed ["github"]`},
			{arriveOptional("github", "9", address("new@example.com", false), "{}", true), unverified + unproved},
			{arriveOptional("github", "9", "", `{"mail_frequency": 0}`, true), unverified + unproved},
		},
		"a wallet has no address": {
			{arrive("web3", "web3:ethereum:0x1", "", "{}"), `none unconfirmed ["web3"]`}, {audited, "login web3"},
		},
		"an address that is verified proves no other": {
			{arrive("github", "7", address("old@example.com", false), "{}"), unverified + unproved},
			{arrive("github", "7", address("attacker@example.com", true), `{"mail_frequency": 0}`), unverified + unproved},
			{"select postern_internal.describe(id) from auth.users where email = 'old@example.com'", `old@example.com unconfirmed ["github"]`},
		},
		"never": {
			{arrive("github", "7", address("ann@example.com", true), `{"linking_policy": "never"}`), `none confirmed ["github"]`},
			{arrive("gitlab", "7", address("new@example.com", true), `{"linking_policy": "never"}`), `new@example.com confirmed ["gitlab"]`},
			{arrive("github", "7", address("ann@example.com", true), `{"linking_policy": "never"}`), `none confirmed ["github"]`},
			{arrive("google", "7", address("ann@example.com", true), `{"linking_policy": "never", "signup_disabled": true}`), "PT422 signup_disabled: Signups not allowed for this instance"},
			{audited, "login github, user_signedup github, user_signedup gitlab"},
		},
		"ask": {
			{arrive("github", "7", address("ann@example.com", true), ask), "failure 422 identity_linking_required: An account with this email address exists. Sign in to it as before, then link github to it"},
			{"select count(*) from auth.identities where provider = 'github'", "0"}, {"select count(*) from auth.users", "4"},
			{happened, "identity.refused github"}, {"select count(*) from auth.audit_log_entries", "0"},
			{link(annID, "7", address("ann@example.com", true), ask), "ann@example.com true false"},
			{arrive("github", "7", address("ann@example.com", true), ask), `ann@example.com confirmed ["email", "github"]`},
			{arrive("github", "8", address("new@example.com", true), ask), `new@example.com confirmed ["github"]`},
		},
		"ask, but nobody owns the account": {
			{arrive("github", "7", address("bob@example.com", true), ask), `bob@example.com confirmed ["github"]`},
			{audited, "identity_linked github, user_signedup github"},
			{happened, "identity.created github, identity.deleted email, user.reclaimed, user.confirmed"},
		},
		"the account has changed its address": {
			{arrive("github", "7", address("new@example.com", true), "{}"), `new@example.com confirmed ["github"]`},
			{"update auth.users set email = 'moved@example.com' where email = 'new@example.com'", ""},
			{arrive("gitlab", "7", address("new@example.com", true), "{}"), `moved@example.com confirmed ["github", "gitlab"]`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			if _, err := tx.Exec(t.Context(), describeAccount); err != nil {
				t.Fatal(err)
			}
			playSteps(t, tx, steps)
		})
	}
}
