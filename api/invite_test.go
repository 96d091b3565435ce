package api_test

import "testing"

func TestInvite(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	administer(t, s, []adminStep{
		{"new", "POST", "/invite", object{"email": "Bob@Example.com", "data": object{"team": "blue"}}, 200, []string{`"invited_at"`, `"team":"blue"`, `"identities":[{`}},
		{"again", "POST", "/invite", object{"email": "bob@example.com", "data": object{"team": "red"}}, 200, []string{`"team":"blue"`}},
		{"confirmed", "POST", "/invite", object{"email": "ann@example.com"}, 422, []string{"email_exists", "A user with this email address has already been registered"}},
		{"nobody", "POST", "/invite", object{}, 400, []string{"An email address is required"}},
		{"bad data", "POST", "/invite", object{"email": "x@example.com", "data": 1}, 400, []string{"bad_json"}},
		{"trailing slash", "POST", "/invite/", nil, 404, nil},
	})
	if got := s.scan(`select string_agg(template || ' ' || recipient, ', ') from postern.outbox`); got != "invite bob@example.com, invite bob@example.com" {
		t.Errorf("mails: %s", got)
	}
}
