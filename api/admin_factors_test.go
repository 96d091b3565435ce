package api_test

import "testing"

func TestAdminFactors(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	const totp, phone = "00000000-0000-4000-8000-0000000000f1", "00000000-0000-4000-8000-0000000000f2"
	s.scan(`with f as (
		insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, phone, created_at, updated_at)
		values ($2, $1, 'app', 'totp', 'verified', 'hidden', null, now(), now()), ($3, $1, 'sms', 'phone', 'verified', null, '15550001', now(), now())
	), c as (
		insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
		select gen_random_uuid(), id, now(), now(), 'totp' from auth.sessions
	)
	update auth.sessions set aal = 'aal2', factor_id = $2 returning ''`, ann.UserID, totp, phone)
	path := "/admin/users/" + ann.UserID + "/factors"
	administer(t, s, []adminStep{
		{"list", "GET", path, nil, 200, []string{`"friendly_name":"app"`, `"phone":"15550001"`, "!hidden"}},
		{"list, trailing slash", "GET", path + "/", nil, 200, nil},
		{"list of nobody", "GET", "/admin/users/" + nobodyID + "/factors", nil, 404, []string{"user_not_found"}},
		{"rename", "PUT", path + "/" + totp, object{"friendly_name": "old app", "phone": "x"}, 200, []string{`"friendly_name":"old app"`, `"phone":""`}},
		{"new number", "PUT", path + "/" + phone, object{"phone": "+1 555 0002"}, 200, []string{`"friendly_name":"sms"`, `"phone":"15550002"`}},
		{"bad number", "PUT", path + "/" + phone, object{"phone": "x"}, 400, []string{"E.164"}},
		{"bad body", "PUT", path + "/" + totp, "{", 400, []string{"bad_json"}},
		{"unknown, bad body", "PUT", path + "/" + nobodyID, "{", 404, []string{"mfa_factor_not_found"}},
		{"no id", "PUT", path + "/x", object{}, 404, []string{"factor_id must be an UUID"}},
		{"no id of nobody", "DELETE", "/admin/users/" + nobodyID + "/factors/x", nil, 404, []string{"user_not_found"}},
		{"delete", "DELETE", path + "/" + totp, nil, 200, []string{`"friendly_name":"old app"`}},
		{"delete again", "DELETE", path + "/" + totp, nil, 404, []string{"mfa_factor_not_found", "Factor not found"}},
	})
	if got := s.scan(`select format('%s %s %s', s.aal, s.factor_id, (select string_agg(authentication_method, ',') from auth.mfa_amr_claims)) from auth.sessions as s`); got != "aal1  password" {
		t.Errorf("session after deletion: %s", got)
	}
}
