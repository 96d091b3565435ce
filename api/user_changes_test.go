package api_test

import "testing"

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	other := s.signIn("ann@example.com")
	s.newUser("bob@example.com")
	as := bearer(ann.AccessToken)
	s.play([]scenario{
		{name: "not signed in", path: "PUT /user", body: m{}, status: 401, code: "no_authorization"},
		{name: "no JSON", path: "PUT /user", body: "{", header: as, status: 400, code: "bad_json"},
		{name: "no address", path: "PUT /user", body: m{"email": "x"}, header: as, status: 400, code: "validation_failed"},
		{name: "no number", path: "PUT /user", body: m{"phone": "x"}, header: as, status: 400, code: "validation_failed", text: "E.164"},
		{name: "empty password", path: "PUT /user", body: m{"password": ""}, header: as, status: 422, code: "weak_password"},
		{name: "app_metadata", path: "PUT /user", body: m{"app_metadata": m{"role": "admin"}}, header: as, status: 403, code: "not_admin", text: "Updating app_metadata requires admin privileges"},
		{name: "taken address", path: "PUT /user", body: m{"email": "bob@example.com"}, header: as, status: 422, code: "email_exists"},
		{name: "same password", path: "PUT /user", body: m{"password": password}, header: as, status: 422, code: "same_password"},
		{name: "own address", path: "PUT /user", body: m{"email": "ANN@example.com"}, header: as, status: 200, query: "select email_change from auth.users where email = 'ann@example.com'", want: ""},
		{name: "data", path: "PUT /user", body: m{"data": m{"a": 1, "b": 2}}, header: as, status: 200, query: "select (raw_user_meta_data ->> 'a') from auth.users where email = 'ann@example.com'", want: "1"},
		{name: "data goes", path: "PUT /user", body: m{"data": m{"a": nil}}, header: as, status: 200, query: "select raw_user_meta_data ? 'a' from auth.users where email = 'ann@example.com'", want: "false"},
		{name: "password", path: "PUT /user", body: m{"password": password + "2"}, header: as, status: 200, query: "select string_agg(reason, ',') from postern.session_ends", want: "password_change"},
		{name: "this session stays", path: "GET /user", header: as, status: 200},
		{name: "the other is over", path: "GET /user", header: bearer(other.AccessToken), status: 403, code: "session_not_found"},
		{name: "nothing to confirm yet", path: "GET /reauthenticate", header: as, status: 200, text: "{}"},
		{name: "unknown scope", path: "POST /logout?scope=x", header: as, status: 400, code: "validation_failed", text: "Unsupported logout scope"},
		{name: "logout of others", path: "POST /logout?scope=others", header: as, status: 204, query: "select count(*) from auth.sessions", want: "1"},
		{name: "logout", path: "POST /logout?scope=local", header: as, status: 204, query: "select count(*) from auth.sessions", want: "0"},
		{name: "logged out", path: "POST /logout", header: as, status: 403, code: "session_not_found"},
	})
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION=true", "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_CURRENT_PASSWORD=true")
	ann := s.newSession("ann@example.com")
	as := bearer(ann.AccessToken)
	s.exec("update auth.sessions set created_at = now() - interval '25 hours'")
	change := func(members m) m {
		members["password"] = password + "2"
		return members
	}
	s.play([]scenario{
		{name: "no nonce", path: "PUT /user", body: change(m{}), header: as, status: 400, code: "reauthentication_needed", text: "Password update requires reauthentication"},
		{name: "wrong nonce", path: "PUT /user", body: change(m{"nonce": "1"}), header: as, status: 422, code: "reauthentication_not_valid", text: "Nonce has expired or is invalid"},
	})
	s.exec("update auth.sessions set created_at = now()")
	s.play([]scenario{
		{name: "no password", path: "PUT /user", body: change(m{}), header: as, status: 400, code: "current_password_required"},
		{name: "wrong password", path: "PUT /user", body: change(m{"current_password": "x"}), header: as, status: 400, code: "current_password_invalid"},
	})
	s.exec("update auth.sessions set created_at = now() - interval '25 hours'")
	s.exec(`update auth.users set reauthentication_token = postern_internal.otp_hash(email, '123456'), reauthentication_sent_at = now()`)
	s.play([]scenario{
		{name: "right", path: "PUT /user", body: change(m{"nonce": "123456", "current_password": password}), header: as, status: 200,
			query: "select reauthentication_token from auth.users", want: ""},
	})
}

// A new address is confirmed by both with secure change, by the new one alone without.
func TestEmailChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings []string
		steps    []string // token columns, in the order of confirmation
	}{
		"double":                 {nil, []string{"new", "current"}},
		"double, other order":    {nil, []string{"current", "new"}},
		"double and autoconfirm": {[]string{"GOTRUE_MAILER_AUTOCONFIRM=true"}, []string{"new", "current"}},
		"single":                 {[]string{"GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED=false"}, []string{"new"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, c.settings...)
			ann := s.newSession("ann@example.com")
			s.play([]scenario{{name: "change", path: "PUT /user", body: m{"email": "Lee@example.com"}, header: bearer(ann.AccessToken), status: 200,
				text: "lee@example.com", query: "select email from auth.users", want: "ann@example.com"}})
			for i, column := range c.steps {
				if mails := s.scan("select count(*) from postern.outbox where template = 'email_change'"); mails != map[int]string{1: "1", 2: "2"}[len(c.steps)] {
					t.Errorf("%s mails", mails)
				}
				hash := s.newLink(map[string]string{"new": "lee@example.com", "current": "ann@example.com"}[column])
				text := `"msg":"Confirmation link accepted.`
				if i == len(c.steps)-1 {
					text = `"access_token"`
				}
				s.play([]scenario{{name: "confirm by " + column, path: "POST /verify", body: m{"type": "email_change", "token_hash": hash}, status: 200, text: text}})
				if r := s.do("POST", "/verify", m{"type": "email_change", "token_hash": hash}); r.Header.Get("X-Sb-Error-Code") != "otp_expired" {
					t.Errorf("a second time: %d %s", r.Status, r.Text)
				}
			}
			got := s.scan("select u.email || ' ' || i.email || ' ' || u.email_change_confirm_status || u.email_change from auth.users as u join auth.identities as i on i.user_id = u.id")
			if got != "lee@example.com lee@example.com 0" {
				t.Errorf("got %s", got)
			}
		})
	}
}
