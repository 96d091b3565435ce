package api_test

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

func TestPhoneChange(t *testing.T) {
	t.Parallel()
	s := setupTexts(t)
	ann := s.newSession("ann@example.com")
	s.do("POST", "/admin/users", m{"phone": "15551230031"}, s.asAdmin()...)
	_ = s.audited()
	as := bearer(ann.AccessToken)
	const ofAnn = " from auth.users where email = 'ann@example.com'"
	s.play([]scenario{
		{name: "no number", path: "PUT /user", body: m{"phone": "x"}, header: as, status: 400, code: "validation_failed", text: "E.164"},
		{name: "bad channel", path: "PUT /user", body: m{"phone": "15551230030", "channel": "pigeon"}, header: as, status: 400, code: "validation_failed", text: "Invalid channel"},
		{name: "taken", path: "PUT /user", body: m{"phone": "15551230031"}, header: as, status: 422, code: "phone_exists", text: "A user with this phone number has already been registered"},
		{name: "a channel alone", path: "PUT /user", body: m{"channel": "whatsapp"}, header: as, status: 200},
		{name: "new", path: "PUT /user", body: m{"phone": "+1 555 123 0030", "channel": "whatsapp"}, header: as, status: 200, text: `"new_phone": "15551230030"`,
			query: "select concat_ws(' ', phone, phone_confirmed_at, phone_change, phone_change_token <> '', (select token_type || ' ' || relates_to from auth.one_time_tokens))" + ofAnn, want: "15551230030 t phone_change_token 15551230030"},
	})
	if got, want := s.audited(), "user_modified, user_modified"; got != want {
		t.Errorf("audited %s, want %s", got, want)
	}
	message := s.text("15551230030")
	channel, code, _ := strings.Cut(message, " ")
	if channel != "whatsapp" {
		t.Errorf("by %s", channel)
	}
	s.play([]scenario{
		{name: "resend to a number that is nobody's yet", path: "POST /resend", body: m{"type": "phone_change", "phone": "15551230030"}, status: 200, text: "{}", query: "select count(*) from postern.outbox where kind = 'sms'", want: "1"},
		{name: "resend by the address", path: "POST /resend", body: m{"type": "phone_change", "email": "ann@example.com"}, status: 200, text: "{}"},
	})
	old, code := code, s.code("15551230030")
	s.play([]scenario{
		{name: "an old code", path: "POST /verify", body: m{"type": "phone_change", "phone": "15551230030", "token": old}, status: 403, code: "otp_expired"},
		{name: "as a sign-in", path: "POST /verify", body: m{"type": "sms", "phone": "15551230030", "token": code}, status: 403, code: "otp_expired"},
		{name: "verify", path: "POST /verify", body: m{"type": "phone_change", "phone": "15551230030", "token": code}, status: 200, text: `"phone":"15551230030"`,
			query: "select concat_ws(' ', phone, phone_confirmed_at is not null, phone_change, phone_change_token, raw_app_meta_data ->> 'providers')" + ofAnn, want: `15551230030 t   ["email", "phone"]`},
		{name: "once", path: "POST /verify", body: m{"type": "phone_change", "phone": "15551230030", "token": code}, status: 403, code: "otp_expired"},
		{name: "by the new number", path: "POST /token?grant_type=password", body: m{"phone": "15551230030", "password": password}, status: 200},
		{name: "the same again", path: "PUT /user", body: m{"phone": "15551230030"}, header: as, status: 200, query: "select phone_change" + ofAnn, want: ""},
	})
	if got, want := s.scan("select identity_data - 'sub' from auth.identities where provider = 'phone' and user_id = $1", ann.UserID), "map[email_verified:false phone:15551230030 phone_verified:true]"; got != want {
		t.Errorf("identity %s, want %s", got, want)
	}
	if got, want := s.audited(), `user_modified, login {"provider": "phone"}, user_modified`; got != want {
		t.Errorf("audited %s, want %s", got, want)
	}
}

// The mails about a new number, and then about another one.
func TestPhoneChangeNotifications(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	s := setupTexts(t, append(smtpSettings(sink.Host, sink.Port), "GOTRUE_MAILER_NOTIFICATIONS_PHONE_CHANGED_ENABLED=true",
		"GOTRUE_MAILER_NOTIFICATIONS_IDENTITY_LINKED_ENABLED=true", "GOTRUE_SMS_AUTOCONFIRM=true")...)
	ann := s.newSession("ann@example.com")
	for _, phone := range []string{"15551230030", "15551230032"} {
		if r := s.do("PUT", "/user", m{"phone": phone}, bearer(ann.AccessToken)...); r.Status != 200 || r.Body["phone"] != phone {
			t.Errorf("%d %s", r.Status, r.Text)
		}
	}
	subjects := map[string]int{}
	for _, mail := range sink.WaitFor(t, 3) {
		subjects[mail.Subject]++
	}
	if subjects["Your phone number was changed"] != 2 || subjects["A new sign-in method was linked to your account"] != 1 {
		t.Errorf("mails: %v", subjects)
	}
	if got := s.scan("select string_agg(data ->> 'provider', ',') from postern.events where type = 'identity.created'"); got != "email,phone" {
		t.Errorf("identities: %s", got)
	}
}

// An anonymous user becomes a permanent one with a number, by a code or at once.
func TestAnonymousWithPhone(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{"code": nil, "autoconfirm": {"GOTRUE_SMS_AUTOCONFIRM=true"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupTexts(t, append(settings, "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true")...)
			nobody := s.do("POST", "/signup", m{}).session()
			as := bearer(nobody.AccessToken)
			s.play([]scenario{
				{name: "a password alone", path: "PUT /user", body: m{"password": password}, header: as, status: 422, code: "validation_failed", text: "anonymous user without an email or phone"},
				{name: "both", path: "PUT /user", body: m{"password": password, "phone": "15551230030"}, header: as, status: 200},
			})
			if name == "code" {
				s.play([]scenario{
					{name: "not yet", path: "GET /user", header: as, status: 200, text: `"is_anonymous": true`},
					{name: "verify", path: "POST /verify", body: m{"type": "phone_change", "phone": "15551230030", "token": s.code("15551230030")}, status: 200, text: `"is_anonymous":false`},
				})
			}
			s.play([]scenario{
				{name: "permanent", path: "GET /user", header: as, status: 200, text: `"is_anonymous": false`,
					query: "select concat_ws(' ', phone, is_anonymous, raw_app_meta_data) from auth.users", want: `15551230030 f {"provider": "phone", "providers": ["phone"]}`},
				{name: "sign in", path: "POST /token?grant_type=password", body: m{"phone": "15551230030", "password": password}, status: 200},
			})
			if got := s.scan("select id::text from auth.users"); got != nobody.UserID {
				t.Errorf("another user: %s", got)
			}
		})
	}
}

// Reauthentication by text message, for users without an address.
func TestPhoneNonce(t *testing.T) {
	t.Parallel()
	s := setupTexts(t, "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION=true")
	s.do("POST", "/signup", m{"phone": "15551230000", "password": password})
	kim := s.do("POST", "/verify", m{"type": "sms", "phone": "15551230000", "token": s.code("15551230000")}).session()
	s.exec("update auth.sessions set created_at = now() - interval '25 hours'")
	_ = s.audited()
	as := bearer(kim.AccessToken)
	change := func(nonce string) m { return m{"password": password + "2", "nonce": nonce} }
	s.play([]scenario{
		{name: "no nonce", path: "PUT /user", body: change(""), header: as, status: 400, code: "reauthentication_needed"},
		{name: "none requested", path: "PUT /user", body: change("123456"), header: as, status: 422, code: "reauthentication_not_valid"},
		{name: "request", path: "GET /reauthenticate", header: as, status: 200, text: "{}"},
	})
	nonce := s.code("15551230000")
	if got, want := s.audited(), "user_reauthenticate_requested"; got != want {
		t.Errorf("audited %s, want %s", got, want)
	}
	s.exec("update auth.users set reauthentication_sent_at = now() - interval '301 seconds'")
	s.play([]scenario{
		{name: "too late", path: "PUT /user", body: change(nonce), header: as, status: 422, code: "reauthentication_not_valid"},
	})
	s.exec("update auth.users set reauthentication_sent_at = now()")
	s.play([]scenario{
		{name: "wrong", path: "PUT /user", body: change("x" + nonce), header: as, status: 422, code: "reauthentication_not_valid"},
		{name: "right", path: "PUT /user", body: change(nonce), header: as, status: 200, query: "select concat_ws(' ', reauthentication_token, (select count(*) from auth.one_time_tokens)) from auth.users", want: " 0"},
	})
	s.exec("update auth.users set phone_confirmed_at = null")
	s.play([]scenario{{name: "not confirmed", path: "GET /reauthenticate", header: as, status: 422, code: "phone_not_confirmed", text: "Please verify your phone first."}})
}

var twilioVerifySettings = []string{
	"GOTRUE_SMS_PROVIDER=twilio_verify", "GOTRUE_SMS_TWILIO_VERIFY_ACCOUNT_SID=AC2", "GOTRUE_SMS_TWILIO_VERIFY_AUTH_TOKEN=token",
	"GOTRUE_SMS_TWILIO_VERIFY_MESSAGE_SERVICE_SID=VA1",
}

// With Twilio Verify the codes are Twilio's.
func TestTwilioVerify(t *testing.T) {
	t.Parallel()
	s := setupTexts(t, append(twilioVerifySettings, "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION=true")...)
	verify := func(kind, code string) m { return m{"type": kind, "phone": "15551230000", "token": code} }
	s.play([]scenario{
		{name: "nobody waits for a code", path: "POST /verify", body: verify("sms", "770000"), status: 403, code: "otp_expired"},
		{name: "sign up", path: "POST /signup", body: m{"phone": "15551230000", "password": password}, status: 200},
	})
	if n := s.asked(); n != 0 {
		t.Errorf("%d questions about nothing", n)
	}
	code := s.peek("15551230000")
	s.exec("update auth.users set confirmation_sent_at = now() - interval '301 seconds'") // Twilio knows better
	s.play([]scenario{
		{name: "wrong", path: "POST /verify", body: verify("sms", "000000"), status: 403, code: "otp_expired", text: "Token has expired or is invalid"},
	})
	s.setDown(true)
	s.play([]scenario{
		{name: "no answer", path: "POST /verify", body: verify("sms", code), status: 503, code: "service_unavailable"},
	})
	s.setDown(false)
	before := s.asked()
	kim := s.do("POST", "/verify", verify("sms", code))
	if n := s.asked() - before; kim.Status != 200 || n != 1 {
		t.Fatalf("right: %d %s, asked %d times", kim.Status, kim.Text, n)
	}
	as := bearer(kim.session().AccessToken)
	s.play([]scenario{
		{name: "once", path: "POST /verify", body: verify("sms", code), status: 403, code: "otp_expired"},
		{name: "change", path: "PUT /user", body: m{"phone": "15551230001"}, header: as, status: 200},
	})
	changed := s.peek("15551230001")
	s.play([]scenario{
		{name: "changed", path: "POST /verify", body: m{"type": "phone_change", "phone": "15551230001", "token": changed}, status: 200, text: `"phone":"15551230001"`},
		{name: "a fixed code", path: "POST /otp", body: m{"phone": "15550009999"}, status: 200},
		{name: "is not Twilio's business", path: "POST /verify", body: m{"type": "sms", "phone": "15550009999", "token": "123456"}, status: 200},
		{name: "nor a wrong one", path: "POST /verify", body: m{"type": "sms", "phone": "15550009999", "token": "654321"}, status: 403, code: "otp_expired"},
	})
	s.exec("update auth.sessions set created_at = now() - interval '25 hours'")
	change := func(nonce string) m { return m{"password": password + "2", "nonce": nonce} }
	s.play([]scenario{
		{name: "none requested", path: "PUT /user", body: change("000000"), header: as, status: 422, code: "reauthentication_not_valid"},
		{name: "request", path: "GET /reauthenticate", header: as, status: 200},
	})
	nonce := s.peek("15551230001")
	s.play([]scenario{
		{name: "wrong nonce", path: "PUT /user", body: change("000000"), header: as, status: 403, code: "otp_expired"},
		{name: "right nonce", path: "PUT /user", body: change(nonce), header: as, status: 200},
		{name: "sign in", path: "POST /token?grant_type=password", body: m{"phone": "15551230001", "password": password + "2"}, status: 200},
	})
	if got := s.scan("select coalesce(string_agg(payload::text, ','), '') from postern.outbox where payload ? 'otp'"); got != "" {
		t.Errorf("codes of our own in the outbox: %s", got)
	}
}

// With the send-sms hook nothing is queued, and any channel will do. Fixed codes do not concern it.
func TestSendSMSHook(t *testing.T) {
	t.Parallel()
	s := setupTexts(t, append(twilioVerifySettings, "GOTRUE_HOOK_SEND_SMS_ENABLED=true", "GOTRUE_HOOK_SEND_SMS_URI=pg-functions://postgres/hooks/send_sms")...)
	s.exec(`create schema hooks;
		create table hooks.calls (n int generated always as identity, call jsonb);
		create function hooks.send_sms(event jsonb) returns jsonb language plpgsql as $$
		begin
			if event -> 'sms' ->> 'phone' = '15551230666' then
				return '{"error": {"http_code": 429, "message": "not that one"}}';
			end if;
			insert into hooks.calls (call) values (event);
			return '{}';
		end $$;
		grant usage on schema hooks to public; grant insert on hooks.calls to public`)
	s.play([]scenario{
		{name: "refused by the hook", path: "POST /signup", body: m{"phone": "15551230666", "password": password}, status: 429, code: "unknown", text: "not that one", query: "select count(*) from auth.users", want: "0"},
		{name: "sign up", path: "POST /signup", body: m{"phone": "15551230000", "password": password, "channel": "pigeon"}, status: 200},
		{name: "a fixed code", path: "POST /otp", body: m{"phone": "15550009999"}, status: 200, query: "select count(*) from hooks.calls", want: "1"},
	})
	code := s.scan("select call -> 'sms' ->> 'otp' from hooks.calls")
	if got, want := s.scan(`select concat_ws(' ', call - '{metadata,user,sms}'::text[], (call -> 'sms') - 'otp', call -> 'user' ->> 'phone',
		call -> 'user' ->> 'confirmation_sent_at' <> '', call -> 'user' -> 'identities' -> 0 ->> 'provider') from hooks.calls`),
		`{} {"phone": "15551230000"} 15551230000 t phone`; got != want {
		t.Errorf("called with %s, want %s", got, want)
	}
	s.play([]scenario{
		{name: "our own code", path: "POST /verify", body: m{"type": "sms", "phone": "15551230000", "token": code}, status: 200, query: "select count(*) from postern.outbox", want: "0"},
	})
	if n := s.asked(); n != 0 {
		t.Errorf("Twilio was asked %d times", n)
	}
}
