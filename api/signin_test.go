package api_test

import (
	"net/url"
	"strings"
	"testing"
)

func TestToken(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	s.newUser("banned@example.com")
	s.exec("update auth.users set banned_until = now() + interval '1 day' where email = 'banned@example.com'")
	code := s.authCode("ann@example.com")
	expired := s.authCode("ann@example.com")
	s.exec("update auth.flow_state set created_at = now() - interval '1 hour', auth_code_issued_at = now() - interval '1 hour' where auth_code = $1", expired)
	const by = "POST /token?grant_type="
	s.play([]scenario{
		{name: "no grant", path: "POST /token", body: m{}, status: 400, code: "invalid_credentials", text: "unsupported_grant_type"},
		{name: "unknown grant", path: by + "x", body: m{}, status: 400, code: "invalid_credentials", text: "unsupported_grant_type"},
		{name: "both", path: by + "password", body: m{"email": "a@b", "phone": "1"}, status: 400, code: "validation_failed", text: "Only an email address or phone number should be provided on login."},
		{name: "neither", path: by + "password", body: m{"password": "x"}, status: 400, code: "validation_failed", text: "missing email or phone"},
		{name: "phone", path: by + "password", body: m{"phone": "1", "password": "x"}, status: 422, code: "phone_provider_disabled", text: "Phone logins are disabled"},
		{name: "wrong", path: by + "password", body: m{"email": "ann@example.com", "password": "x"}, status: 400, code: "invalid_credentials", text: "Invalid login credentials"},
		{name: "banned", path: by + "password", body: m{"email": "banned@example.com", "password": password}, status: 400, code: "user_banned", text: "User is banned"},
		{name: "right", path: by + "password", body: m{"email": "ANN@example.com", "password": password}, status: 200, text: `"weak_password":null`},
		{name: "form", path: by + "password", body: "email=ann%40example.com&password=" + password, header: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 200, text: `"access_token"`},
		{name: "short token", path: by + "refresh_token", body: m{"refresh_token": "x"}, status: 400, code: "validation_failed", text: "Refresh token is not valid"},
		{name: "no token", path: by + "refresh_token", body: m{}, status: 400, code: "validation_failed", text: "Refresh token is not valid"},
		{name: "unknown token", path: by + "refresh_token", body: m{"refresh_token": "abcdefghijkl"}, status: 400, code: "refresh_token_not_found"},
		{name: "refresh", path: by + "refresh_token", body: m{"refresh_token": ann.RefreshToken}, status: 200, text: `"refresh_token"`},
		{name: "empty code", path: by + "pkce", body: m{"auth_code": "x"}, status: 400, code: "validation_failed", text: "both auth code and code verifier should be non-empty"},
		{name: "unknown code", path: by + "pkce", body: m{"auth_code": "x", "code_verifier": "y"}, status: 404, code: "flow_state_not_found", text: "invalid flow state, no valid flow state found"},
		{name: "expired code", path: by + "pkce", body: m{"auth_code": expired, "code_verifier": verifier}, status: 422, code: "flow_state_expired", text: "invalid flow state, flow state has expired"},
		{name: "wrong verifier", path: by + "pkce", body: m{"auth_code": code, "code_verifier": "y"}, status: 400, code: "bad_code_verifier", text: "code challenge does not match"},
		{name: "code", path: by + "pkce", body: m{"auth_code": code, "code_verifier": verifier}, status: 200, text: `"access_token"`},
		{name: "code again", path: by + "pkce", body: m{"auth_code": code, "code_verifier": verifier}, status: 404, code: "flow_state_not_found"},
	})
	r := s.do("POST", "/token?grant_type=password", m{"email": "ann@example.com", "password": password})
	for name, want := range map[string]string{
		"Sb-Auth-User-Id": ann.UserID, "Sb-Auth-Refresh-Token-Prefix": r.session().RefreshToken[:5],
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestLinksByMail(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_SMTP_MAX_FREQUENCY=60s")
	for _, name := range []string{"ann", "bob", "cy"} {
		s.newUser(name + "@example.com")
	}
	s.do("POST", "/otp", m{"email": "pending@example.com"})
	s.play([]scenario{
		{name: "neither", path: "POST /otp", body: m{}, status: 400, code: "validation_failed", text: "One of email or phone must be set"},
		{name: "both", path: "POST /otp", body: m{"email": "a@b", "phone": "1"}, status: 400, code: "validation_failed", text: "Only an email address or phone number should be provided"},
		{name: "channel", path: "POST /otp", body: m{"email": "a@b", "channel": "sms"}, status: 400, code: "validation_failed", text: "Channel should only be specified with Phone OTP"},
		{name: "phone", path: "POST /otp", body: m{"phone": "15550000"}, status: 400, code: "phone_provider_disabled", text: "Unsupported phone provider"},
		{name: "stranger who may not be created", path: "POST /otp", body: m{"email": "x@example.com", "create_user": false}, status: 422, code: "otp_disabled", text: "Signups not allowed for otp"},
		{name: "no address, may not be created", path: "POST /otp", body: m{"email": "x", "create_user": false}, status: 422, code: "otp_disabled"},
		{name: "known", path: "POST /otp", body: m{"email": "ann@example.com", "create_user": false}, status: 200, text: "{}", query: "select template from postern.outbox where recipient = 'ann@example.com'", want: "magic_link"},
		{name: "too soon", path: "POST /recover", body: m{"email": "ann@example.com"}, status: 429, code: "over_email_send_rate_limit", text: "For security purposes, you can only request this after "},
		{name: "new", path: "POST /otp", body: m{"email": "x@example.com"}, status: 200, text: "{}", query: "select template from postern.outbox where recipient = 'x@example.com'", want: "confirmation"},
		{name: "too soon, new", path: "POST /resend", body: m{"type": "signup", "email": "x@example.com"}, status: 429, code: "over_email_send_rate_limit"},
		{name: "magiclink without an address", path: "POST /magiclink", body: m{}, status: 422, code: "validation_failed", text: "Password recovery requires an email"},
		{name: "magiclink", path: "POST /magiclink", body: m{"email": "bob@example.com"}, status: 200, text: "{}"},
		{name: "magiclink, no JSON", path: "POST /magiclink", body: "{", status: 400, code: "bad_json", text: "Could not read verification params: "},
		{name: "recover without an address", path: "POST /recover", body: m{}, status: 400, code: "validation_failed", text: "Password recovery requires an email"},
		{name: "recover", path: "POST /recover", body: m{"email": "cy@example.com"}, status: 200, text: "{}", query: "select template from postern.outbox where recipient = 'cy@example.com'", want: "recovery"},
		{name: "recover a stranger", path: "POST /recover", body: m{"email": "nobody@example.com"}, status: 200, text: "{}", query: "select count(*) from postern.outbox where recipient = 'nobody@example.com'", want: "0"},
		{name: "resend what", path: "POST /resend", body: m{"email": "a@b"}, status: 400, code: "validation_failed", text: "Missing one of these types: signup, email_change, sms, phone_change"},
		{name: "resend to nobody", path: "POST /resend", body: m{"type": "signup"}, status: 400, code: "validation_failed", text: "Type provided requires an email address"},
		{name: "resend sms to nobody", path: "POST /resend", body: m{"type": "sms"}, status: 400, code: "validation_failed", text: "Type provided requires a phone number"},
		{name: "resend neither", path: "POST /resend", body: m{"type": "email_change"}, status: 400, code: "validation_failed", text: "Missing email address or phone number"},
		{name: "resend both", path: "POST /resend", body: m{"type": "email_change", "email": "a@b", "phone": "1"}, status: 400, code: "validation_failed", text: "Only an email address or phone number should be provided."},
		{name: "resend to a stranger", path: "POST /resend", body: m{"type": "signup", "email": "nobody@example.com"}, status: 200, text: "{}"},
		{name: "resend to a confirmed one", path: "POST /resend", body: m{"type": "signup", "email": "ann@example.com"}, status: 200, text: "{}", query: "select count(*) from postern.outbox where recipient = 'ann@example.com'", want: "1"},
	})
}

func TestVerify(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	s.newUser("banned@example.com")
	s.exec("update auth.users set banned_until = now() + interval '1 day' where email = 'banned@example.com'")
	hash := s.plant("ann@example.com", "recovery_token", "123456")
	banned := s.plant("banned@example.com", "recovery_token", "654321")
	s.play([]scenario{
		{name: "no type", path: "POST /verify", body: m{"token": "1", "email": "ann@example.com"}, status: 400, code: "validation_failed", text: "Verify requires a verification type"},
		{name: "no token", path: "POST /verify", body: m{"type": "email"}, status: 400, code: "validation_failed", text: "Verify requires either a token or a token hash"},
		{name: "both", path: "POST /verify", body: m{"type": "email", "token": "1", "token_hash": "2"}, status: 400, code: "validation_failed", text: "Verify requires either a token or a token hash"},
		{name: "for nobody", path: "POST /verify", body: m{"type": "email", "token": "1"}, status: 400, code: "validation_failed", text: "Only an email address or phone number should be provided on verify"},
		{name: "no address", path: "POST /verify", body: m{"type": "email", "token": "1", "email": "x"}, status: 422, code: "validation_failed", text: "Invalid email format"},
		{name: "hash and address", path: "POST /verify", body: m{"type": "email", "token_hash": hash, "email": "ann@example.com"}, status: 400, code: "validation_failed", text: "Only the token_hash and type should be provided"},
		{name: "unknown type of a hash", path: "POST /verify", body: m{"type": "sms", "token_hash": hash}, status: 400, code: "validation_failed", text: "Invalid email verification type"},
		{name: "unknown type of a code", path: "POST /verify", body: m{"type": "x", "token": "123456", "email": "ann@example.com"}, status: 403, code: "otp_expired"},
		{name: "wrong hash", path: "POST /verify", body: m{"type": "email", "token_hash": "x"}, status: 403, code: "otp_expired", text: "Email link is invalid or has expired"},
		{name: "wrong code", path: "POST /verify", body: m{"type": "email", "token": "000000", "email": "ann@example.com"}, status: 403, code: "otp_expired", text: "Token has expired or is invalid"},
		{name: "somebody else's", path: "POST /verify", body: m{"type": "email", "token": "123456", "email": "banned@example.com"}, status: 403, code: "otp_expired"},
		{name: "wrong type", path: "POST /verify", body: m{"type": "signup", "token_hash": hash}, status: 403, code: "otp_expired"},
		{name: "banned", path: "POST /verify", body: m{"type": "recovery", "token_hash": banned}, status: 403, code: "user_banned", text: "User is banned"},
		{name: "right", path: "POST /verify", body: m{"type": "recovery", "token": "123456", "email": "ann@example.com"}, status: 200, text: `"access_token"`, query: "select count(*) from auth.one_time_tokens where user_id = (select id from auth.users where email = 'ann@example.com')", want: "0"},
		{name: "again", path: "POST /verify", body: m{"type": "recovery", "token_hash": hash}, status: 403, code: "otp_expired"},
		{name: "GET without a type", path: "GET /verify?token=x", status: 400, code: "validation_failed", text: "Verify requires a verification type"},
		{name: "GET without a token", path: "GET /verify?type=signup", status: 400, code: "validation_failed", text: "Verify requires a token or a token hash"},
	})
	late := s.plant("ann@example.com", "recovery_token", "111111")
	s.exec("update auth.users set recovery_sent_at = now() - interval '25 hours' where email = 'ann@example.com'")
	for link, want := range map[string]string{
		"type=recovery&token=" + late: "https://app.example.com#error=access_denied&error_code=otp_expired&error_description=Email+link+is+invalid+or+has+expired&sb=",
		"type=recovery&token=pkce_x&redirect_to=" + url.QueryEscape("https://app.example.com/cb?a=1"): "https://app.example.com/cb?a=1&error=access_denied&error_code=otp_expired&error_description=Email+link+is+invalid+or+has+expired" +
			"#error=access_denied&error_code=otp_expired&error_description=Email+link+is+invalid+or+has+expired&sb=",
		"type=recovery&token=x&redirect_to=https://evil.example.com": "https://app.example.com#error=access_denied",
	} {
		if r := s.do("GET", "/verify?"+link, nil); r.Status != 303 || !strings.HasPrefix(r.Header.Get("Location"), want) {
			t.Errorf("%s: %d %s", link, r.Status, r.Header.Get("Location"))
		}
	}
}
