package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// The requests for mails, rule by rule (spec/01 section 9).
func TestMailRequests(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_SMTP_MAX_FREQUENCY=60s")
	s.newUser("ann@example.com")
	s.newUser("ban@example.com")
	s.exec("update auth.users set banned_until = now() + interval '1 day' where email = 'ban@example.com'")
	const address = "ann@example.com"
	long := strings.Repeat("a", 129)
	for _, path := range []string{"POST /otp", "POST /magiclink", "POST /recover", "POST /resend"} {
		with := func(members m) m {
			body := m{"email": address, "type": "signup"}
			for name, value := range members {
				body[name] = value
			}
			return body
		}
		jsonError := "Could not parse request body as JSON: "
		if path == "POST /magiclink" {
			jsonError = "Could not read verification params: "
		}
		s.play([]scenario{
			{name: path + " empty", path: path, body: "", status: 400, code: "bad_json", text: jsonError},
			{name: path + " wrong type", path: path, body: m{"email": 1}, status: 400, code: "bad_json", text: jsonError},
			{name: path + " half a challenge", path: path, body: with(m{"code_challenge": challenge(verifier)}), status: 400, code: "validation_failed", text: "PKCE flow requires code_challenge_method and code_challenge"},
			{name: path + " a method alone", path: path, body: with(m{"code_challenge_method": "s256"}), status: 400, code: "validation_failed", text: "PKCE flow requires code_challenge_method and code_challenge"},
			{name: path + " short challenge", path: path, body: with(m{"code_challenge": "x", "code_challenge_method": "s256"}), status: 400, code: "validation_failed", text: "code challenge has to be between 43 and 128 characters"},
			{name: path + " long challenge", path: path, body: with(m{"code_challenge": long, "code_challenge_method": "s256"}), status: 400, code: "validation_failed", text: "code challenge has to be between 43 and 128 characters"},
			{name: path + " odd challenge", path: path, body: with(m{"code_challenge": long[:50] + "+", "code_challenge_method": "s256"}), status: 400, code: "validation_failed", text: "code challenge can only contain alphanumeric characters, hyphens, periods, underscores and tildes"},
			{name: path + " ill-formed address", path: path, body: with(m{"email": "ann@@example.com"}), status: 400, code: "validation_failed", text: "Unable to validate email address: invalid format"},
			{name: path + " long address", path: path, body: with(m{"email": long + long + "@example.com"}), status: 400, code: "validation_failed", text: "An email address is too long"},
		})
	}
	s.play([]scenario{
		{name: "otp, data is no object", path: "POST /otp", body: m{"email": "", "data": 1}, status: 400, code: "bad_json", text: "Could not parse request body as JSON: "},
		{name: "magiclink, data is no object", path: "POST /magiclink", body: m{"data": []int{1}}, status: 400, code: "bad_json", text: "Could not read verification params: "},
		{name: "an old number and a channel", path: "POST /otp", body: m{"email": address, "channel": "x"}, status: 400, code: "validation_failed", text: "Channel should only be specified with Phone OTP"},
		{name: "recover for the banned", path: "POST /recover", body: m{"email": "BAN@example.com"}, status: 200, text: "{}", query: "select template || recipient from postern.outbox", want: "recoveryban@example.com"},
		{name: "nothing was left by refusals", path: "POST /resend", body: m{"type": "email_change", "email": address}, status: 200, text: "{}", query: "select (select count(*) from postern.outbox) || '/' || (select count(*) from auth.flow_state)", want: "1/0"},
		{name: "sign-up by link", path: "POST /otp", body: m{"email": "New@Example.com", "data": m{"team": "blue"}}, status: 200, text: "{}", query: "select raw_user_meta_data ->> 'team' || (encrypted_password <> '') || template from auth.users as u join postern.outbox as o on o.user_id = u.id where u.email = 'new@example.com'", want: "bluetrueconfirmation"},
		{name: "magic link, data ignored", path: "POST /magiclink", body: m{"email": address, "data": m{"team": "red"}}, status: 200, text: "{}", query: "select coalesce(raw_user_meta_data ->> 'team', template) from auth.users as u join postern.outbox as o on o.user_id = u.id where u.email = 'ann@example.com'", want: "magic_link"},
		{name: "recovery shares its clock", path: "POST /recover", body: m{"email": address}, status: 429, code: "over_email_send_rate_limit", text: "For security purposes, you can only request this after "},
		{name: "another mail has another clock", path: "POST /resend", body: m{"type": "signup", "email": "new@example.com"}, status: 429, code: "over_email_send_rate_limit"},
	})
}

// Which switches are looked at before the body (spec/01 section 9.2 and 9.4).
func TestMailRequestsSwitchedOff(t *testing.T) {
	t.Parallel()
	setup(t, "GOTRUE_EXTERNAL_EMAIL_ENABLED=false").play([]scenario{
		{name: "magiclink", path: "POST /magiclink", body: "{", status: 422, code: "email_provider_disabled", text: "Email logins are disabled"},
		{name: "recover", path: "POST /recover", body: "{", status: 400, code: "email_provider_disabled", text: "Email logins are disabled"},
		{name: "resend", path: "POST /resend", body: "{", status: 400, code: "bad_json"},
		{name: "otp", path: "POST /otp", body: "{", status: 400, code: "bad_json"},
	})
	s := setup(t, "GOTRUE_EXTERNAL_EMAIL_MAGIC_LINK_ENABLED=false")
	s.newUser("ann@example.com")
	s.play([]scenario{
		{name: "magiclink", path: "POST /magiclink", body: "{", status: 422, code: "email_provider_disabled", text: "Login with magic link is disabled"},
		{name: "otp", path: "POST /otp", body: m{"email": "ann@example.com"}, status: 422, code: "email_provider_disabled", text: "Login with magic link is disabled"},
		{name: "recover", path: "POST /recover", body: m{"email": "ann@example.com"}, status: 200, text: "{}"},
	})
}

// Resending a change of address makes both links anew and begins it again; only the current address counts.
func TestResendEmailChange(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	s.do("PUT", "/user", m{"email": "new@example.com"}, bearer(ann.AccessToken)...)
	const tokens = "select email_change_token_current || email_change_token_new || email_change_confirm_status from auth.users"
	if r := s.do("POST", "/verify", m{"type": "email_change", "token_hash": s.newLink("new@example.com")}); r.Body["code"] != "200" {
		t.Fatal(r.Text)
	}
	half := s.scan(tokens)
	s.play([]scenario{
		{name: "by the new address", path: "POST /resend", body: m{"type": "email_change", "email": "new@example.com"}, status: 200, text: "{}", query: tokens, want: half},
		{name: "by the current one", path: "POST /resend", body: m{"type": "email_change", "email": "ann@example.com"}, status: 200, text: "{}", query: "select email_change_confirm_status || '/' || (select count(*) from auth.one_time_tokens) || '/' || (select count(*) from postern.outbox) from auth.users", want: "0/2/4"},
		{name: "no confirmation is due", path: "POST /resend", body: m{"type": "signup", "email": "ann@example.com"}, status: 200, text: "{}", query: "select count(*) from postern.outbox", want: "4"},
	})
	if again := s.scan(tokens); again == half || len(again) != 2*56+1 {
		t.Errorf("tokens are %s", again)
	}
}

// state is what redeeming changes about a user: confirmed, tokens left, sessions, and what the audit log says last.
const state = `select (u.email_confirmed_at is not null)::text || ' ' || (select count(*) from auth.one_time_tokens where user_id = u.id)
	|| ' ' || (select count(*) from auth.sessions where user_id = u.id) || ' ' || coalesce((
		select payload ->> 'action' || coalesce(payload -> 'traits' ->> 'provider', '') from auth.audit_log_entries
		where payload ->> 'actor_username' = u.email order by created_at desc limit 1), '')
	from auth.users as u where u.email = '`

// Which types redeem which tokens, by hash and by code, and what comes of it (spec/01 section 10.2 and 10.3).
func TestVerifyTypes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for i, c := range []struct {
		kind, column string
		isConfirmed  bool
		want         string // state, "" for a refusal
	}{
		{"signup", "confirmation_token", false, "true 0 1 user_signedupemail"},
		{"invite", "confirmation_token", false, "true 0 1 user_signedupemail"},
		{"email", "confirmation_token", false, "true 0 1 user_signedupemail"},
		{"recovery", "recovery_token", true, "true 0 1 login"},
		{"magiclink", "recovery_token", true, "true 0 1 login"},
		{"email", "recovery_token", true, "true 0 1 login"},
		{"recovery", "recovery_token", false, "true 0 1 user_signedupemail"},
		{"magiclink", "recovery_token", false, "true 0 1 user_signedupemail"},
		{"signup", "recovery_token", true, ""},
		{"recovery", "confirmation_token", false, ""},
		{"email_change", "recovery_token", true, ""},
		{"reauthentication", "recovery_token", true, ""},
	} {
		for _, way := range []string{"hash", "code", "link"} {
			email := fmt.Sprintf("user%d-%s@example.com", i, way)
			s.newUser(email)
			s.exec("update auth.users set email_confirmed_at = case when $2 then email_confirmed_at end where email = $1", email, c.isConfirmed)
			otp := fmt.Sprintf("%06d", i)
			hash := s.plant(email, c.column, otp)
			other := map[string]string{"confirmation_token": "recovery_token", "recovery_token": "confirmation_token"}[c.column]
			if c.want != "" && c.isConfirmed {
				s.plant(email, other, "999999") // goes with the one that is redeemed
			}
			var r response
			switch way {
			case "hash":
				r = s.do("POST", "/verify", m{"type": c.kind, "token_hash": hash})
			case "code":
				r = s.do("POST", "/verify", m{"type": c.kind, "token": otp, "email": strings.ToUpper(email)})
			case "link":
				r = s.do("GET", "/verify?type="+c.kind+"&token="+hash, nil)
			}
			what := fmt.Sprintf("%s for a %s, by %s", c.kind, c.column, way)
			worked := r.Status == 200 || strings.Contains(r.Header.Get("Location"), "#access_token=")
			if worked != (c.want != "") {
				t.Errorf("%s: %d %s %s", what, r.Status, r.Header.Get("Location"), r.Text)
			}
			if got := s.scan(state + email + "'"); c.want != "" && got != c.want {
				t.Errorf("%s: %s, want %s", what, got, c.want)
			} else if n := s.scan("select count(*) from auth.one_time_tokens where id = left($1, 32)::uuid", hash); c.want == "" && n != "1" {
				t.Errorf("%s: refused, but the token is gone", what)
			}
		}
	}
}

// Tokens that are over, never sent, or whose owner is banned (spec/01 section 10.2).
func TestVerifyRefusals(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, c := range []struct{ name, change, code, text string }{
		{"expired", "recovery_sent_at = now() - interval '86401 s'", "otp_expired", "has expired"},
		{"never sent", "recovery_sent_at = null", "otp_expired", "has expired"},
		{"banned", "banned_until = now() + interval '1 h'", "user_banned", "User is banned"},
		{"banned and expired", "banned_until = now() + interval '1 h', recovery_sent_at = null", "user_banned", "User is banned"},
	} {
		email := strings.ReplaceAll(c.name, " ", "-") + "@example.com"
		s.newUser(email)
		hash := s.plant(email, "recovery_token", "123456")
		s.exec("update auth.users set "+c.change+" where email = $1", email)
		s.play([]scenario{
			{name: c.name + ", hash", path: "POST /verify", body: m{"type": "recovery", "token_hash": hash}, status: 403, code: c.code, text: c.text},
			{name: c.name + ", code", path: "POST /verify", body: m{"type": "recovery", "token": "123456", "email": email}, status: 403, code: c.code, text: c.text},
		})
		if to := s.do("GET", "/verify?type=recovery&token="+hash, nil).location(t); !strings.Contains(to, "#error=access_denied&error_code="+c.code) {
			t.Errorf("%s leads to %s", c.name, to)
		}
	}
}

// A PKCE link without its flow is refused and stays usable; as a code or by POST it needs no verifier, and the flow lingers.
func TestVerifyPKCEWithoutVerifier(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	s.do("POST", "/otp", pkce("ann@example.com"))
	hash := s.newLink("ann@example.com")
	s.exec("create table kept as select * from auth.flow_state")
	s.exec("delete from auth.flow_state")
	to := s.do("GET", "/verify?type=magiclink&token="+hash, nil).location(t)
	if !strings.HasPrefix(to, "https://app.example.com?error=invalid_request&error_code=flow_state_not_found&error_description=No+associated+flow+state+found.") {
		t.Errorf("without a flow it leads to %s", to)
	}
	s.exec("insert into auth.flow_state select * from kept")
	if r := s.do("POST", "/verify", m{"type": "magiclink", "token_hash": hash}); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	if n := s.scan("select count(*) from auth.flow_state"); n != "1" {
		t.Errorf("%s flows", n)
	}
	if amr := s.scan("select authentication_method from auth.mfa_amr_claims"); amr != "otp" {
		t.Errorf("the method is %s", amr)
	}
}

// PUT /user does not look at a challenge, apart from its method where a change of address begins (spec/01 section 6).
func TestEmailChangePKCE(t *testing.T) {
	t.Parallel()
	s := setup(t)
	as := bearer(s.newSession("ann@example.com").AccessToken)
	const flows = "select coalesce(string_agg(code_challenge || code_challenge_method || authentication_method || provider_type, ','), '') from auth.flow_state"
	s.play([]scenario{
		{name: "no change of address", path: "PUT /user", body: m{"data": m{"a": 1}, "code_challenge": "x", "code_challenge_method": "y"}, header: as, status: 200, query: flows, want: ""},
		{name: "unknown method", path: "PUT /user", body: m{"email": "new@example.com", "code_challenge": "x", "code_challenge_method": "y"}, header: as, status: 400, code: "validation_failed", text: "code challenge method has to be s256 or plain"},
		{name: "no method", path: "PUT /user", body: m{"email": "new@example.com", "code_challenge": "x"}, header: as, status: 400, code: "validation_failed", text: "code challenge method has to be s256 or plain"},
		{name: "a method alone", path: "PUT /user", body: m{"email": "ann@example.com", "code_challenge_method": "s256"}, header: as, status: 200, query: flows, want: ""},
		{name: "any challenge", path: "PUT /user", body: m{"email": "new@example.com", "code_challenge": "short", "code_challenge_method": "S256"}, header: as, status: 200, query: flows, want: "shorts256email_changeemail_change"},
	})
}
