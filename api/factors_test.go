package api_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/pquerna/otp/totp"
)

// factor is a second factor: an authenticator app if it has a secret.
type factor struct{ ID, Secret string }

// code is the code of an authenticator app, some steps after the current one.
func (f factor) code(t testing.TB, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(f.Secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// need returns a member of a 200 answer.
func (s *server) need(r response, path ...string) string {
	s.t.Helper()
	value := any(r.Body)
	for _, name := range path {
		members, _ := value.(m)
		value = members[name]
	}
	text, _ := value.(string)
	if r.Status != 200 || text == "" {
		s.t.Fatalf("no %v in %d %s", path, r.Status, r.Text)
	}
	return text
}

// enrollApp adds an authenticator app that is not verified yet.
func (s *server) enrollApp(as session, name string) factor {
	s.t.Helper()
	r := s.do("POST", "/factors", m{"factor_type": "totp", "friendly_name": name}, bearer(as.AccessToken)...)
	return factor{s.need(r, "id"), s.need(r, "totp", "secret")}
}

// challengeFor asks for a challenge and returns its id.
func (s *server) challengeFor(as session, f factor) string {
	s.t.Helper()
	return s.need(s.do("POST", "/factors/"+f.ID+"/challenge", "{}", bearer(as.AccessToken)...), "id")
}

// upgrade uses a factor and returns the session as it is then.
func (s *server) upgrade(as session, f factor, steps int) session {
	s.t.Helper()
	r := s.do("POST", "/factors/"+f.ID+"/verify", m{"challenge_id": s.challengeFor(as, f), "code": f.code(s.t, steps)}, bearer(as.AccessToken)...)
	s.need(r, "access_token")
	return r.session()
}

// claim reads a claim of an access token.
func (s *server) claim(token, name string) any {
	s.t.Helper()
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return []byte(jwtSecret), nil }); err != nil {
		s.t.Fatal(err)
	}
	return claims[name]
}

func TestEnrollment(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true", "GOTRUE_MFA_PHONE_ENROLL_ENABLED=true")
	ann := s.newSession("ann@example.com")
	as := bearer(ann.AccessToken)
	nobody := s.do("POST", "/signup", m{}).session()
	phoneOnly := s.scan(`select postern.create_user(phone => '+15550001', phone_confirm => true)::text`)
	phoneSession := s.scan(`insert into auth.sessions (id, user_id, created_at) values (gen_random_uuid(), $1::uuid, now()) returning id::text`, phoneOnly)
	const notEnrolled = "A valid session and a registered user are required to enroll a factor"
	s.play([]scenario{
		{"without a token", "POST /factors", m{}, nil, 401, "no_authorization", "", "", ""},
		{"an anonymous user", "POST /factors", m{"factor_type": "totp"}, bearer(nobody.AccessToken), 403, "no_authorization", "Anonymous user not allowed to perform these actions", "", ""},
		{"an anonymous user challenges", "POST /factors/x/challenge", m{}, bearer(nobody.AccessToken), 403, "no_authorization", "", "", ""},
		{"a token without a session", "POST /factors", m{"factor_type": "totp"}, bearer(s.token(jwt.MapClaims{"sub": ann.UserID})), 500, "unexpected_failure", notEnrolled, "", ""},
		{"a session that ended", "POST /factors", m{"factor_type": "totp"}, bearer(s.token(jwt.MapClaims{"sub": ann.UserID, "session_id": nobodyID})), 403, "session_not_found", "", "", ""},
		{"bad JSON", "POST /factors", "{", as, 400, "bad_json", "Could not parse request body as JSON: ", "", ""},
		{"no type", "POST /factors", m{}, as, 400, "validation_failed", "factor_type needs to be totp, phone, or webauthn", "", ""},
		{"a name beyond any index", "POST /factors", m{"factor_type": "totp", "friendly_name": strings.Repeat("x", 1025)}, as, 400, "validation_failed", "friendly_name is too long", "", ""},
		{"an issuer beyond any QR code", "POST /factors", m{"factor_type": "totp", "issuer": strings.Repeat("x", 181)}, as, 500, "unexpected_failure", "Error generating QR Code", "", ""},
		{"no address for the QR code", "POST /factors", m{"factor_type": "totp"}, bearer(s.token(jwt.MapClaims{"sub": phoneOnly, "session_id": phoneSession})), 500, "unexpected_failure", "Error generating QR Code", "select count(*) from auth.mfa_factors", "0"},
		{"webauthn", "POST /factors", m{"factor_type": "webauthn"}, as, 422, "mfa_webauthn_enroll_not_enabled", "MFA enroll is disabled for WebAuthn", "", ""},
		{"a phone without a number", "POST /factors", m{"factor_type": "phone"}, as, 400, "validation_failed", "Phone number required to enroll Phone factor", "", ""},
		{"a number that is none", "POST /factors", m{"factor_type": "phone", "phone": "0049"}, as, 400, "validation_failed", "Invalid phone number format (E.164 required)", "select count(*) from auth.mfa_factors", "0"},
		{"a phone", "POST /factors/", m{"factor_type": "phone", "phone": "+1 555 0002"}, as, 200, "", `"type":"phone","friendly_name":"","phone":"+1 555 0002"`, "select phone || secret from auth.mfa_factors", "15550002"},
		{"a second without a name", "POST /factors", m{"factor_type": "totp"}, as, 422, "mfa_factor_name_conflict", "", "", ""},
		{"an app", "POST /factors", m{"factor_type": "totp", "friendly_name": `"ü"`}, as, 200, "", `"qr_code":"\u003c?xml version=\"1.0\"?\u003e\n\u003c!-- `, "select status from auth.mfa_factors where factor_type = 'totp'", "unverified"},
		{"the same name", "POST /factors", m{"factor_type": "totp", "friendly_name": `"ü"`}, as, 422, "mfa_factor_name_conflict", "for this user already exists", "", ""},
	})
	if r := s.do("GET", "/factors", nil, as...); r.Status != 405 {
		t.Errorf("another method: %d %s", r.Status, r.Text)
	}
	r := s.do("POST", "/factors", m{"factor_type": "totp", "friendly_name": "uri", "issuer": "Example: App & Co"}, as...)
	uri, err := url.Parse(s.need(r, "totp", "uri"))
	if err != nil || uri.Path != "/Example: App & Co:ann@example.com" || uri.Query().Get("issuer") != "Example: App & Co" ||
		uri.Query().Get("secret") != s.need(r, "totp", "secret") {
		t.Errorf("URI %s, %v", s.need(r, "totp", "uri"), err)
	}
	r = s.do("POST", "/factors", m{"factor_type": "totp", "friendly_name": "default issuer"}, as...)
	if uri := s.need(r, "totp", "uri"); !strings.HasPrefix(uri, "otpauth://totp/app.example.com:ann@example.com?") {
		t.Errorf("URI %s", uri)
	}
}

func TestAppAsSecondFactor(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	second := s.signIn("ann@example.com")
	as := bearer(ann.AccessToken)
	app := s.enrollApp(ann, "app")
	path := "/factors/" + app.ID
	challenge := s.challengeFor(ann, app)
	s.play([]scenario{
		{"no id of a factor", "POST /factors/x/verify", m{}, as, 404, "validation_failed", "factor_id must be an UUID", "", ""},
		{"no id of a factor", "DELETE /factors/x", nil, as, 404, "validation_failed", "factor_id must be an UUID", "", ""},
		{"unknown factor before a bad body", "POST /factors/" + nobodyID + "/verify", "{", as, 404, "mfa_factor_not_found", "Factor not found", "", ""},
		{"bad JSON", "POST " + path + "/verify", "{", as, 400, "bad_json", "", "", ""},
		{"bad id of a challenge", "POST " + path + "/verify", m{"challenge_id": "x", "code": "123456"}, as, 400, "bad_json", "", "", ""},
		{"no code", "POST " + path + "/verify", m{"challenge_id": challenge}, as, 400, "validation_failed", "Code needs to be non-empty", "", ""},
		{"no challenge", "POST " + path + "/verify", m{"code": "123456"}, as, 422, "mfa_factor_not_found", "MFA factor with the provided challenge ID not found", "", ""},
		{"no body to challenge", "POST " + path + "/challenge", nil, as, 200, "", `"type": "totp"`, "", ""},
		{"another address", "POST " + path + "/verify", m{"challenge_id": challenge, "code": app.code(t, 0)}, append(bearer(ann.AccessToken), "X-Forwarded-For", "192.0.2.9"), 422, "mfa_ip_address_mismatch", "", "", ""},
		{"another user", "POST " + path + "/verify", m{"challenge_id": challenge, "code": app.code(t, 0)}, bearer(s.newSession("bob@example.com").AccessToken), 404, "mfa_factor_not_found", "", "", ""},
	})
	up := s.upgrade(ann, app, 0)
	if s.claim(up.AccessToken, "aal") != "aal2" || s.claim(up.AccessToken, "session_id") != s.claim(ann.AccessToken, "session_id") {
		t.Error("the session is not the same one at aal2")
	}
	for name, token := range map[string]string{"before the second factor": ann.RefreshToken, "of the other session": second.RefreshToken} {
		if r, _ := s.refresh(token); r.Status != 400 {
			t.Errorf("refresh token %s: %d %s", name, r.Status, r.Text)
		}
	}
	r, _ := s.refresh(up.RefreshToken)
	if s.claim(s.need(r, "access_token"), "aal") != "aal2" {
		t.Error("a refresh loses aal2")
	}
	low := s.signIn("ann@example.com")
	s.play([]scenario{
		{"unenrol at aal1", "DELETE " + path, nil, bearer(low.AccessToken), 422, "insufficient_aal", "AAL2 required to unenroll verified factor", "", ""},
		{"a token without a session", "DELETE " + path, nil, bearer(s.token(jwt.MapClaims{"sub": ann.UserID})), 500, "unexpected_failure", "A valid session and factor are required to unenroll a factor", "", ""},
		{"verify without a session", "POST " + path + "/verify", m{}, bearer(s.token(jwt.MapClaims{"sub": ann.UserID})), 500, "unexpected_failure", "A valid session is required to verify a factor", "", ""},
		{"unenrol", "DELETE " + path, nil, bearer(up.AccessToken), 200, "", `{"id": "` + app.ID + `"}`, "select count(*) from postern.totp_steps", "0"},
		{"unenrol again", "DELETE " + path, nil, bearer(up.AccessToken), 404, "mfa_factor_not_found", "", "", ""},
	})
	r, _ = s.refresh(r.session().RefreshToken)
	if s.claim(s.need(r, "access_token"), "aal") != "aal1" {
		t.Error("aal2 outlives the factor")
	}
}

// A session below aal2 lives GOTRUE_SESSIONS_ALLOW_LOW_AAL, its tokens no longer, once the user has a second factor.
func TestLowAAL(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_SESSIONS_ALLOW_LOW_AAL=10m")
	ann := s.newSession("ann@example.com")
	lifetime := func(token string) float64 {
		return s.claim(token, "exp").(float64) - s.claim(token, "iat").(float64)
	}
	if got := lifetime(ann.AccessToken); got != 3600 {
		t.Errorf("without a factor a token lives %v s", got)
	}
	app := s.enrollApp(ann, "app")
	if up := s.upgrade(ann, app, 0); lifetime(up.AccessToken) != 3600 {
		t.Error("a token at aal2 lives shorter")
	}
	low := s.signIn("ann@example.com")
	if got := lifetime(low.AccessToken); got < 598 || got > 600 {
		t.Errorf("at aal1 a token lives %v s", got)
	}
	age := func(by string) {
		s.exec("update auth.sessions set created_at = created_at - $1::interval where aal = 'aal1'", by)
	}
	age("4 minutes")
	r, _ := s.refresh(low.RefreshToken)
	if got := lifetime(s.need(r, "access_token")); got < 355 || got > 360 {
		t.Errorf("after 4 minutes a token lives %v s", got)
	}
	if got := r.Body["expires_in"].(float64); got > 360 {
		t.Errorf("expires_in is %v", got)
	}
	low = r.session()
	age("6 minutes")
	r, _ = s.refresh(low.RefreshToken)
	if r.Status != 400 || r.Body["error_code"] != "session_expired" || r.Body["msg"] != "Invalid Refresh Token: Session Expired (Low AAL: User Needs MFA Verification)" {
		t.Errorf("after 10 minutes: %d %s", r.Status, r.Text)
	}
	if got := s.scan("select reason from postern.why_signed_out('ann@example.com')"); got != "low_aal" {
		t.Errorf("reason %s", got)
	}
	up := s.upgrade(low, app, 1) // the access token still counts
	if r, _ := s.refresh(up.RefreshToken); r.Status != 200 || lifetime(r.session().AccessToken) != 3600 {
		t.Errorf("at aal2: %d %s", r.Status, r.Text)
	}
}

// sendSMS is a send-sms hook in the database that keeps what it is given.
const sendSMS = `create table public.texts (n int generated always as identity, payload jsonb);
	create function public.send_sms(event jsonb) returns jsonb language plpgsql security definer set search_path = '' as $$
	begin
		if event #>> '{sms,phone}' = '15550009' then
			raise exception 'secret of the hook';
		elsif event #>> '{sms,phone}' = '15550008' then
			return '{"error": {"http_code": 403, "message": "not this number"}}';
		end if;
		insert into public.texts (payload) values (event);
		return '{}';
	end $$; grant execute on function public.send_sms(jsonb) to public`

func TestPhoneAsSecondFactor(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_MFA_PHONE_ENROLL_ENABLED=true", "GOTRUE_MFA_PHONE_VERIFY_ENABLED=true", "GOTRUE_MFA_PHONE_OTP_LENGTH=8",
		"GOTRUE_HOOK_SEND_SMS_ENABLED=true", "GOTRUE_HOOK_SEND_SMS_URI=pg-functions://postgres/public/send_sms",
		"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT=true", "GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY_ID=k1",
		"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY=q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k",
		"GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS=k1:q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k")
	s.exec(sendSMS)
	ann := s.newSession("ann@example.com")
	as := bearer(ann.AccessToken)
	enroll := func(phone string) factor {
		return factor{ID: s.need(s.do("POST", "/factors", m{"factor_type": "phone", "friendly_name": phone, "phone": phone}, as...), "id")}
	}
	phone := enroll("+15550001")
	path := "/factors/" + phone.ID
	s.play([]scenario{
		{"no body", "POST " + path + "/challenge", nil, as, 400, "bad_json", "", "", ""},
		{"a hook that fails", "POST /factors/" + enroll("15550009").ID + "/challenge", m{}, as, 500, "unexpected_failure", "error invoking hook", "select count(*) from auth.mfa_challenges", "0"},
		{"a hook that refuses", "POST /factors/" + enroll("15550008").ID + "/challenge", m{}, as, 500, "unexpected_failure", "error invoking hook", "select count(*) from auth.mfa_challenges", "0"},
	})
	challenge := s.challengeFor(ann, phone)
	if got := s.scan(`select (payload -> 'sms') - 'otp' || jsonb_build_object('for', payload #> '{user,email}', 'hook', payload #> '{metadata,name}') from public.texts`); got != `map[for:ann@example.com hook:send-sms phone:15550001 sms_type:mfa]` {
		t.Errorf("the hook got %s", got)
	}
	code := s.scan("select payload #>> '{sms,otp}' from public.texts")
	if len(code) != 8 {
		t.Errorf("a code of %d digits", len(code))
	}
	if got := s.scan("select otp_code like '{%' and position($1 in otp_code) = 0 from auth.mfa_challenges", code); got != "true" {
		t.Error("the code rests in clear")
	}
	s.play([]scenario{
		{"too soon", "POST " + path + "/challenge", m{}, as, 429, "over_sms_send_rate_limit", "For security purposes, you can only request this after 5", "", ""},
		{"wrong code", "POST " + path + "/verify", m{"challenge_id": challenge, "code": "1234567"}, as, 422, "mfa_verification_failed", "Invalid MFA Phone code entered", "", ""},
		{"right code", "POST " + path + "/verify", m{"challenge_id": challenge, "code": code}, as, 200, "", "refresh_token", "select authentication_method from auth.mfa_amr_claims order by updated_at desc limit 1", "mfa/phone"},
		{"used challenge", "POST " + path + "/verify", m{"challenge_id": challenge, "code": code}, as, 422, "mfa_ip_address_mismatch", "", "", ""},
	})
}

func TestChannelsOfFactors(t *testing.T) {
	t.Parallel()
	for provider, status := range map[string]int{"": 400, "vonage": 400} {
		s := setup(t, "GOTRUE_MFA_PHONE_ENROLL_ENABLED=true", "GOTRUE_MFA_PHONE_VERIFY_ENABLED=true", "GOTRUE_SMS_PROVIDER="+provider)
		ann := s.newSession("ann@example.com")
		r := s.do("POST", "/factors", m{"factor_type": "phone", "phone": "15550001"}, bearer(ann.AccessToken)...)
		r = s.do("POST", "/factors/"+s.need(r, "id")+"/challenge", m{"channel": "whatsapp"}, bearer(ann.AccessToken)...)
		if r.Status != status || !strings.HasPrefix(r.Body["msg"].(string), "Invalid channel") {
			t.Errorf("%q: %d %s", provider, r.Status, r.Text)
		}
	}
}

// A secret that an older key encrypted, or none, is encrypted with the current one when it is used.
func TestSecretsAreSealed(t *testing.T) {
	t.Parallel()
	const keys = "GOTRUE_SECURITY_DB_ENCRYPTION_"
	plain := setup(t)
	sealed := setupOn(t, plain.dsn, keys+"ENCRYPT=true", keys+"ENCRYPTION_KEY_ID=k1",
		keys+"ENCRYPTION_KEY=q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k", keys+"DECRYPTION_KEYS=k1:q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k")
	ann := plain.newSession("ann@example.com")
	app := plain.enrollApp(ann, "app")
	if got := plain.scan("select secret from auth.mfa_factors"); got != app.Secret {
		t.Errorf("the secret rests as %s", got)
	}
	up := sealed.upgrade(ann, app, 0)
	if got := plain.scan("select secret::jsonb ->> 'key_id' from auth.mfa_factors"); got != "k1" {
		t.Errorf("key %s", got)
	}
	other := sealed.enrollApp(up, "other")
	sealed.upgrade(up, other, 0)
	if got := plain.scan("select bool_and(secret like '{%') from auth.mfa_factors"); got != "true" {
		t.Error("a secret rests in clear")
	}
	r := plain.do("POST", "/factors/"+other.ID+"/verify", m{"challenge_id": plain.challengeFor(up, other), "code": other.code(t, 1)}, bearer(up.AccessToken)...)
	if r.Status != 500 || strings.Contains(r.Text, "k1") {
		t.Errorf("without the key: %d %s", r.Status, r.Text)
	}
}

// A new challenge is no new set of guesses: wrong codes count per factor, too, and the right one forgets them.
func TestFactorLimit(t *testing.T) {
	t.Parallel()
	s := setup(t, "POSTERN_LIMIT_FACTOR_FAILURES=3/1h")
	ann := s.newSession("ann@example.com")
	f := s.enrollApp(ann, "phone")
	guess := func(code string) response {
		return s.do("POST", "/factors/"+f.ID+"/verify", m{"challenge_id": s.challengeFor(ann, f), "code": code}, bearer(ann.AccessToken)...)
	}
	wrong := func() string { // not one of the codes of these minutes
		for _, code := range []string{"000000", "111111", "222222", "333333", "444444"} {
			if code != f.code(t, -1) && code != f.code(t, 0) && code != f.code(t, 1) {
				return code
			}
		}
		return "555555"
	}
	for range 2 {
		if r := guess(wrong()); r.Status != 422 {
			t.Fatalf("a wrong code: %d %s", r.Status, r.Text)
		}
	}
	r := guess(f.code(t, 0))
	s.need(r, "access_token")
	ann = r.session()
	for range 3 {
		if r := guess(wrong()); r.Status != 422 {
			t.Fatalf("a wrong code after the right one: %d %s", r.Status, r.Text)
		}
	}
	if r := guess(f.code(t, 1)); r.Status != 429 || r.Body["error_code"] != "over_request_rate_limit" || r.Header.Get("Retry-After") == "" {
		t.Errorf("over the limit: %d %s", r.Status, r.Text)
	}
	s.exec("select postern.reset_limit($1)", f.ID)
	s.need(guess(f.code(t, 1)), "access_token")
}
