package sql_test

import (
	"strings"
	"testing"
)

// Who has to prove what before a new password: spec/01 section 6, steps 4, 5, 6 and 9.
func TestPreparePasswordChange(t *testing.T) {
	t.Parallel()
	const (
		ann     = "00000000-0000-4000-8000-00000000000a"
		session = "'00000000-0000-4000-8000-0000000000aa'"
		both    = `{"reauthenticate": true, "current_password": true}`
		code    = "update auth.users set reauthentication_token = postern_internal.otp_hash(email, '123456'), reauthentication_sent_at = '2026-01-01 11:00Z' where id = '" + ann + "'; insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) values (gen_random_uuid(), '" + ann + "', 'reauthentication_token', 'x', 'ann@example.com');"
		old     = "update auth.sessions set created_at = '2025-12-31 12:00Z' where id = " + session + ";"
		amr     = "insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) values (gen_random_uuid(), " + session + ", now(), now(), "
		factor  = "insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) values (gen_random_uuid(), '" + ann + "', 'totp', 'verified', now(), now());"
	)
	const needed, invalid = "PT400 reauthentication_needed: Password update requires reauthentication", "PT422 reauthentication_not_valid: Nonce has expired or is invalid"
	for name, c := range map[string]struct{ change, session, settings, nonce, want string }{
		"nothing demanded":             {"", session, `{}`, "", "f"},
		"a young session":              {"", session, both, "", "t"},
		"almost a day":                 {"update auth.sessions set created_at = '2025-12-31 12:00:01Z' where id = " + session, session, both, "", "t"},
		"a day":                        {old, session, both, "", needed},
		"without a session":            {"", "null", both, "", needed},
		"no creation time":             {"update auth.sessions set created_at = null where id = " + session, session, both, "", needed},
		"a code":                       {old + code, session, both, "123456", "t"},
		"a code that is not needed":    {code, session, both, "654321", "t"},
		"none was sent":                {old, session, both, "123456", invalid},
		"a wrong code":                 {old + code, session, both, "123457", invalid},
		"a late code":                  {old + code + "update auth.users set reauthentication_sent_at = '2025-12-31 11:59:59Z'", session, both, "123456", invalid},
		"a code that was never sent":   {old + code + "update auth.users set reauthentication_sent_at = null", session, both, "123456", invalid},
		"by password":                  {amr + "'password')", session, both, "", "t"},
		"by code":                      {amr + "'otp')", session, both, "", "f"},
		"by magic link":                {amr + "'magiclink')", session, both, "", "f"},
		"by recovery":                  {amr + "'recovery')", session, both, "", "f"},
		"by invitation":                {amr + "'invite')", session, both, "", "t"},
		"no password so far":           {"update auth.users set encrypted_password = null", session, both, "", "f"},
		"an empty password":            {"update auth.users set encrypted_password = ''", session, both, "", "f"},
		"a factor":                     {factor, session, `{}`, "", "PT401 insufficient_aal: AAL2 session is required to update email or password when MFA is enabled."},
		"a used factor":                {factor + amr + "'totp')", session, `{}`, "", "f"},
		"a factor before the code":     {factor + old, session, both, "", "PT401 insufficient_aal: AAL2 session is required to update email or password when MFA is enabled."},
		"anonymous":                    {"update auth.users set is_anonymous = true where id = '" + ann + "'", session, `{}`, "", "PT422 validation_failed: Updating password of an anonymous user without an email or phone is not allowed"},
		"single sign-on":               {"update auth.users set is_sso_user = true where id = '" + ann + "'", session, `{}`, "", "PT422 user_sso_managed: Updating email, phone, password of a SSO account only possible via SSO"},
		"somebody else's session":      {"", "gen_random_uuid()", `{}`, "", "PT403 session_not_found: Session from session_id claim in JWT does not exist"},
		"banned":                       {"update auth.users set banned_until = '2026-01-02' where id = '" + ann + "'", session, both, "", "PT403 user_banned: User is banned"},
		"code demanded, password not":  {old + code, session, `{"reauthenticate": true}`, "123456", "f"},
		"password demanded, code not":  {old, session, `{"current_password": true}`, "", "t"},
		"a code once more is used up":  {old + code + "select postern_internal.redeem_nonce(u, '123456', postern_internal.context()) from auth.users as u where id = '" + ann + "'", session, both, "123456", invalid},
		"a NULL token is none":         {old + "update auth.users set reauthentication_token = null", session, both, "123456", invalid},
		"an empty code is none":        {old + code, session, both, "", needed},
		"a token of another user":      {old + strings.ReplaceAll(code, ann, "00000000-0000-4000-8000-00000000000b"), session, both, "123456", invalid},
		"hashed for the address alone": {old + code + "update auth.users set email = 'lee@example.com' where id = '" + ann + "'", session, both, "123456", invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			setUp := "set local postern.clock = '2026-01-01 12:00Z'; update auth.sessions set created_at = '2026-01-01 11:00Z';" + c.change
			if _, err := tx.Exec(t.Context(), setUp); err != nil {
				t.Fatal(err)
			}
			got := ask(t, tx, `select coalesce('PT' || (failure ->> 'status') || ' ' || (failure ->> 'code') || ': ' || (failure ->> 'message'),
				left(needs_current_password::text, 1)) from postern_internal.prepare_password_change('`+ann+`', `+c.session+`,
				'{"has_password": true, "nonce": "`+c.nonce+`"}', postern_internal.context() || '`+c.settings+`')`)
			if got = strings.Trim(got, `()"`); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if name == "a code" { // right or wrong afterwards, it is used up
				diff(t, "tokens", "(t,0)", ask(t, tx, "select reauthentication_token = '', (select count(*) from auth.one_time_tokens) from auth.users where id = '"+ann+"'"))
			}
		})
	}
}
