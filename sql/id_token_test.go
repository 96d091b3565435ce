package sql_test

import (
	"fmt"
	"testing"
)

// signInWithIDToken is a sign-in of somebody at Google, or with a caller (user and session id) the linking of that identity.
func signInWithIDToken(emails, caller, more string) string {
	if caller == "" {
		caller = "null, null"
	}
	return fmt.Sprintf(`select coalesce(failure ->> 'code', issued -> 'user' ->> 'email', 'nobody') from postern_internal.sign_in_with_id_token(
		'google', '{"sub": "7", "data": {"sub": "7"}, "emails": [%s]}', false, postern_internal.context() || '%s', %s)`, emails, more, caller)
}

func TestSignInWithIDToken(t *testing.T) {
	t.Parallel()
	const (
		annEmail  = `{"email": "Ann@example.com", "verified": true, "primary": true}`
		noProof   = `{"email": "free@example.com", "verified": false, "primary": true}`
		nobody    = "gen_random_uuid(), null"
		noSession = annID + ", gen_random_uuid()"
		methods   = "select string_agg(authentication_method, ' ') from auth.mfa_amr_claims"
		full      = `{"limit": {"name": "token", "who": "192.0.2.1", "every": 60, "burst": 1}}`
	)
	for name, steps := range map[string][]step{
		"a new account": {
			{signInWithIDToken(freeEmail, "", "{}"), "free@example.com"},
			{methods, "oauth"},
			{"select payload ->> 'action' from auth.audit_log_entries", "user_signedup"},
		},
		"an account with the address": {
			{signInWithIDToken(annEmail, "", "{}"), "ann@example.com"},
			{"select string_agg(payload ->> 'action', ' ' order by payload ->> 'action') from auth.audit_log_entries", "identity_linked login"},
		},
		"an address nobody proved: all stays but the session": {
			{signInWithIDToken(noProof, "", `{"verify_urls": {"confirmation": "https://api/verify"}}`), "provider_email_needs_verification"},
			{"select u.email from auth.users as u join auth.identities as i on i.user_id = u.id where i.provider_id = '7'", "free@example.com"},
			{"select count(*) from auth.mfa_amr_claims", "0"},
		},
		"the limit comes first": {
			{signInWithIDToken(freeEmail, nobody, full), "PT403 user_not_found: User from sub claim in JWT does not exist"},
			{signInWithIDToken(freeEmail, "", full), "free@example.com"},
			{signInWithIDToken(freeEmail, nobody, full), "PT429 over_request_rate_limit: Request rate limit reached"},
		},
		"linking": {
			{signInWithIDToken(freeEmail, annID+", null", "{}"), "ann@example.com"},
			{"select raw_app_meta_data ->> 'providers' from auth.users where id = " + annID, `["email", "google"]`},
			{methods, "oauth"},
			{signInWithIDToken(freeEmail, annID+", null", "{}"), "PT422 identity_already_exists: Identity is already linked"},
		},
		"linking by somebody who is gone":       {{signInWithIDToken(freeEmail, nobody, "{}"), "PT403 user_not_found: User from sub claim in JWT does not exist"}},
		"linking by a session that ended":       {{signInWithIDToken(freeEmail, noSession, "{}"), "PT403 session_not_found: Session from session_id claim in JWT does not exist"}},
		"linking by somebody banned":            {{"update auth.users set banned_until = 'infinity' where id = " + annID, ""}, {signInWithIDToken(freeEmail, annID+", null", "{}"), "PT403 user_banned: User is banned"}},
		"a banned account":                      {{"update auth.users set banned_until = 'infinity' where id = " + annID, ""}, {signInWithIDToken(annEmail, "", "{}"), "PT403 user_banned: User is banned"}},
		"sign-ups are closed":                   {{signInWithIDToken(freeEmail, "", `{"signup_disabled": true}`), "PT422 signup_disabled: Signups not allowed for this instance"}},
		"sign-ups are closed, but not for Ann":  {{signInWithIDToken(annEmail, "", `{"signup_disabled": true}`), "ann@example.com"}},
		"no address: the same, without a mail":  {{signInWithIDToken("", "", "{}"), "provider_email_needs_verification"}, {"select count(*) from postern.outbox", "0"}},
		"a second factor is not passed by this": {{signInWithIDToken(annEmail, "", "{}"), "ann@example.com"}, {"select s.aal from auth.sessions as s join auth.mfa_amr_claims as c on c.session_id = s.id", "aal1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}
