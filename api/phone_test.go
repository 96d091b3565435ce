package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/apitest"
)

// texting is a server with text messages, and the provider that it sends them through.
type texting struct {
	*server
	twilio *twilio
}

// twilio answers in place of the company.
type twilio struct {
	mu     sync.Mutex
	codes  map[string][]string // bodies of messages by phone, oldest first; of Twilio Verify the codes it made
	checks int                 // questions to Twilio Verify about a code
	down   bool
}

func (p *twilio) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	status, answer := http.StatusServiceUnavailable, ""
	if !p.down {
		status, answer = p.answer(r.URL.Path, form)
	}
	return &http.Response{StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

func (p *twilio) answer(path string, form url.Values) (status int, body string) {
	_, to, _ := strings.Cut(form.Get("To"), "+")
	switch resource := path[strings.LastIndex(path, "/")+1:]; resource {
	case "Messages.json":
		p.codes[to] = append(p.codes[to], form.Get("Channel")+" "+form.Get("Body"))
		return 201, `{"sid":"SM1","status":"queued"}`
	case "Verifications":
		p.codes[to] = append(p.codes[to], form.Get("Channel")+" "+fmt.Sprintf("77%04d", len(p.codes)*100+len(p.codes[to])))
		return 201, `{"sid":"VE1","status":"pending","valid":false}`
	case "VerificationCheck":
		p.checks++
		if sent := p.codes[to]; len(sent) > 0 && strings.HasSuffix(sent[len(sent)-1], " "+form.Get("Code")) {
			p.codes[to] = nil
			return 200, `{"status":"approved","valid":true}`
		}
		return 404, `{"code":20404}`
	default:
		return 500, "what is " + resource
	}
}

var twilioSettings = []string{
	"GOTRUE_EXTERNAL_PHONE_ENABLED=true", "GOTRUE_SMS_PROVIDER=twilio", "GOTRUE_SMS_TWILIO_ACCOUNT_SID=AC1", "GOTRUE_SMS_TWILIO_AUTH_TOKEN=token",
	"GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID=MG1", "GOTRUE_SMS_TEMPLATE={{ .Code }}", "GOTRUE_SMS_MAX_FREQUENCY=1ns", "GOTRUE_SMS_OTP_EXP=300",
	"GOTRUE_SMS_TEST_OTP=+1 555 000 9999:123456",
}

// setupTexts starts a server with Twilio, changed by NAME=value pairs.
func setupTexts(t *testing.T, settings ...string) *texting {
	t.Helper()
	p := &twilio{codes: map[string][]string{}}
	all := append(append([]string{}, twilioSettings...), settings...)
	return &texting{setupTexting(t, apitest.Database(t), p, all...), p}
}

// text waits for the next message to a phone and returns it: channel and code.
func (s *texting) text(phone string) (message string) {
	s.t.Helper()
	s.eventually("a message to "+phone, func() bool {
		s.twilio.mu.Lock()
		defer s.twilio.mu.Unlock()
		if sent := s.twilio.codes[phone]; len(sent) > 0 {
			message, s.twilio.codes[phone] = sent[0], sent[1:]
		}
		return message != ""
	})
	return message
}

// code is the code of the next message.
func (s *texting) code(phone string) string {
	s.t.Helper()
	_, code, _ := strings.Cut(s.text(phone), " ")
	return code
}

// peek is code, but Twilio Verify still knows the code.
func (s *texting) peek(phone string) string {
	s.t.Helper()
	message := s.text(phone)
	s.twilio.mu.Lock()
	defer s.twilio.mu.Unlock()
	s.twilio.codes[phone] = []string{message}
	_, code, _ := strings.Cut(message, " ")
	return code
}

// setDown takes the provider away, or brings it back.
func (s *texting) setDown(down bool) {
	s.twilio.mu.Lock()
	defer s.twilio.mu.Unlock()
	s.twilio.down = down
}

// asked is how often Twilio Verify was asked about a code.
func (s *texting) asked() int {
	s.twilio.mu.Lock()
	defer s.twilio.mu.Unlock()
	return s.twilio.checks
}

// audited lists what was written to the audit log since the last time, with traits.
func (s *texting) audited() string {
	s.t.Helper()
	return s.scan(`with gone as (delete from auth.audit_log_entries returning payload, created_at)
		select coalesce(string_agg(concat_ws(' ', payload ->> 'action', (payload -> 'traits')::jsonb - array['user_id', 'user_email', 'user_phone']), ', '
			order by created_at, payload ->> 'action' <> 'login' desc), '') from gone`)
}

func TestPhoneSignUp(t *testing.T) {
	t.Parallel()
	s := setupTexts(t)
	const count = "select count(*) from auth.users"
	pkce := m{"phone": "15551230000", "password": password, "code_challenge": challenge(verifier), "code_challenge_method": "s256"}
	with := func(members ...any) m {
		body := m{"phone": "15551230000", "password": password}
		for i := 0; i < len(members); i += 2 {
			body[members[i].(string)] = members[i+1]
		}
		return body
	}
	s.play([]scenario{
		{name: "weak before anything else", path: "POST /signup", body: with("password", "x", "email", "a@example.com"), status: 422, code: "weak_password"},
		{name: "both before the channel", path: "POST /signup", body: with("email", "a@example.com", "channel", "pigeon"), status: 400, code: "validation_failed", text: "Only an email address or phone number"},
		{name: "channel before PKCE", path: "POST /signup", body: with("channel", "pigeon", "code_challenge", "x"), status: 400, code: "validation_failed", text: "Invalid channel"},
		{name: "PKCE", path: "POST /signup", body: pkce, status: 400, code: "validation_failed", text: "PKCE not supported for phone signups"},
		{name: "half of PKCE", path: "POST /signup", body: with("code_challenge_method", "s256"), status: 400, code: "validation_failed", text: "PKCE flow requires"},
		{name: "no number", path: "POST /signup", body: with("phone", "0123"), status: 400, code: "validation_failed", text: "E.164", query: count, want: "0"},
		{name: "new", path: "POST /signup", body: with("phone", "+1 555 123 0000", "data", m{"nick": "kim", "phone_verified": true, "none": nil}), status: 200, text: `"phone": "15551230000"`,
			query: `select concat_ws(' ', phone_confirmed_at, raw_user_meta_data - 'sub', raw_app_meta_data, confirmation_sent_at = created_at) from auth.users`,
			want:  `{"nick": "kim", "email_verified": false, "phone_verified": false} {"provider": "phone", "providers": ["phone"]} t`},
		{name: "too early", path: "POST /token?grant_type=password", body: with(), status: 400, code: "phone_not_confirmed", text: "Phone not confirmed"},
	})
	if got, want := s.audited(), `user_confirmation_requested {"provider": "phone"}`; got != want {
		t.Errorf("audited %s, want %s", got, want)
	}
	if got := s.scan("select concat_ws(' ', token_type, relates_to, token_hash = (select confirmation_token from auth.users)) from auth.one_time_tokens"); got != "confirmation_token 15551230000 t" {
		t.Errorf("stored: %s", got)
	}
	code := s.code("15551230000")
	s.play([]scenario{
		{name: "as another type", path: "POST /verify", body: m{"type": "phone_change", "phone": "15551230000", "token": code}, status: 403, code: "otp_expired"},
		{name: "as an e-mail's", path: "POST /verify", body: m{"type": "signup", "phone": "15551230000", "token": code}, status: 403, code: "otp_expired"},
		{name: "sms by e-mail", path: "POST /verify", body: m{"type": "sms", "email": "a@example.com", "token": code}, status: 403, code: "otp_expired", text: "Token has expired or is invalid"},
		{name: "sms by hash", path: "POST /verify", body: m{"type": "sms", "token_hash": s.scan("select confirmation_token from auth.users")}, status: 400, code: "validation_failed", text: "Invalid email verification type"},
		{name: "no number", path: "POST /verify", body: m{"type": "sms", "phone": "x", "token": code}, status: 400, code: "validation_failed", text: "E.164"},
		{name: "another number", path: "POST /verify", body: m{"type": "sms", "phone": "15551230009", "token": code}, status: 403, code: "otp_expired"},
		{name: "the test code of another number", path: "POST /verify", body: m{"type": "sms", "phone": "15551230000", "token": "x123456"}, status: 403, code: "otp_expired"},
		{name: "right", path: "POST /verify", body: m{"type": "sms", "phone": "+15551230000", "token": code}, status: 200, text: `"phone_confirmed_at":`,
			query: "select concat_ws(' ', confirmation_token, (select count(*) from auth.one_time_tokens), (select identity_data - 'sub' from auth.identities)) from auth.users",
			want:  ` 0 {"nick": "kim", "none": null, "email_verified": false, "phone_verified": false}`},
		{name: "once", path: "POST /verify", body: m{"type": "sms", "phone": "15551230000", "token": code}, status: 403, code: "otp_expired"},
		{name: "sign in", path: "POST /token?grant_type=password", body: with("phone", "+1 555 1230000"), status: 200, text: `"weak_password":null`},
	})
	if got, want := s.audited(), `user_signedup {"provider": "phone"}, login {"provider": "phone"}`; got != want {
		t.Errorf("audited %s, want %s", got, want)
	}
	r := s.do("POST", "/signup", with("data", m{"x": 1}))
	delete(r.Body, "created_at")
	delete(r.Body, "updated_at")
	delete(r.Body, "confirmation_sent_at")
	id := r.Body["id"]
	delete(r.Body, "id")
	if d := cmp.Diff(map[string]any{
		"aud": "authenticated", "role": "", "email": "", "phone": "15551230000", "identities": []any{}, "is_anonymous": false,
		"app_metadata": map[string]any{"provider": "phone", "providers": []any{"phone"}}, "user_metadata": map[string]any{"x": 1.0},
	}, r.Body); d != "" || r.Status != 200 || id == s.scan("select id::text from auth.users") {
		t.Errorf("the number of a confirmed user: %d %v\n%s", r.Status, id, d)
	}
	if got, want := s.audited(), `user_repeated_signup {"provider": "phone"}`; got != want {
		t.Errorf("audited %s, want %s", got, want)
	}
	s.do("POST", "/signup", with("phone", "15551230001", "channel", "whatsapp"))
	if got := s.text("15551230001"); !strings.HasPrefix(got, "whatsapp ") {
		t.Errorf("by WhatsApp: %s", got)
	}
}

// The answer comes after one statement, and before the provider's.
func TestPhoneSignUpWhileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	s := setupTexts(t)
	s.setDown(true)
	before := s.statements.Load()
	if r := s.do("POST", "/signup", m{"phone": "15551230000", "password": password}); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	if n := s.statements.Load() - before; n != 1 {
		t.Errorf("%d statements", n)
	}
	s.eventually("a failed delivery", func() bool {
		return s.scan("select coalesce(max(last_error), '') from postern.outbox") == "api.twilio.com answered 503"
	})
	s.setDown(false)
	code := s.code("15551230000")
	if r := s.do("POST", "/verify", m{"type": "sms", "phone": "15551230000", "token": code}); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	s.eventually("no code left behind", func() bool {
		return s.scan("select string_agg(concat_ws(' ', state, payload), ',') from postern.outbox") == "sent {}"
	})
}

func TestPhoneSettings(t *testing.T) {
	t.Parallel()
	signUp := m{"phone": "15551230000", "password": password}
	for name, c := range map[string]struct {
		settings  []string
		scenarios []scenario
	}{
		"phones are off": {[]string{"GOTRUE_EXTERNAL_PHONE_ENABLED=false"}, []scenario{
			{name: "sign-up", path: "POST /signup", body: signUp, status: 400, code: "phone_provider_disabled", text: "Phone signups are disabled"},
			{name: "otp", path: "POST /otp", body: m{"phone": "x"}, status: 400, code: "phone_provider_disabled", text: "Unsupported phone provider"},
			{name: "otp for known numbers only", path: "POST /otp", body: m{"phone": "x", "create_user": false}, status: 422, code: "otp_disabled"},
			{name: "resend", path: "POST /resend", body: m{"type": "sms", "phone": "x"}, status: 400, code: "phone_provider_disabled", text: "Phone logins are disabled"},
		}},
		"autoconfirm": {[]string{"GOTRUE_SMS_AUTOCONFIRM=true"}, []scenario{
			{name: "sign-up", path: "POST /signup", body: signUp, status: 200, text: `"access_token"`, query: "select string_agg(concat_ws(' ', payload ->> 'action', payload -> 'traits'), ', ' order by payload ->> 'action') from auth.audit_log_entries", want: `login {"provider": "phone"}, user_signedup {"channel": "sms", "provider": "phone"}`},
			{name: "taken", path: "POST /signup", body: signUp, status: 422, code: "user_already_exists", text: "User already registered"},
			{name: "new by code", path: "POST /otp", body: m{"phone": "15551230001"}, status: 200, text: "{}", query: "select count(*) from postern.outbox where recipient = '15551230001'", want: "1"},
			{name: "new test number by code", path: "POST /otp", body: m{"phone": "15550009999"}, status: 200, text: `{"message_id":"test-otp"}`},
		}},
		"no sign-up": {[]string{"GOTRUE_DISABLE_SIGNUP=true"}, []scenario{
			{name: "sign-up", path: "POST /signup", body: signUp, status: 422, code: "signup_disabled"},
			{name: "otp", path: "POST /otp", body: m{"phone": "15551230000"}, status: 422, code: "signup_disabled"},
		}},
		"no provider": {[]string{"GOTRUE_SMS_PROVIDER="}, []scenario{
			{name: "sign-up", path: "POST /signup", body: signUp, status: 500, code: "unexpected_failure", text: "Unable to get SMS provider", query: "select count(*) from auth.users", want: "0"},
			{name: "WhatsApp", path: "POST /signup", body: m{"phone": "15551230000", "password": password, "channel": "whatsapp"}, status: 400, code: "validation_failed", text: "Invalid channel"},
			{name: "a test number needs none", path: "POST /otp", body: m{"phone": "15550009999"}, status: 200},
		}},
		"an unknown provider": {[]string{"GOTRUE_SMS_PROVIDER=pigeon"}, []scenario{
			{name: "otp", path: "POST /otp", body: m{"phone": "15551230000"}, status: 500, code: "unexpected_failure", text: "Unable to get SMS provider"},
		}},
		"a provider without its settings": {[]string{"GOTRUE_SMS_TWILIO_AUTH_TOKEN="}, []scenario{
			{name: "otp", path: "POST /otp", body: m{"phone": "15551230000"}, status: 500, code: "unexpected_failure", text: "Unable to get SMS provider"},
		}},
		"frequency": {[]string{"GOTRUE_SMS_MAX_FREQUENCY=1h"}, []scenario{
			{name: "first", path: "POST /otp", body: m{"phone": "15551230000"}, status: 200},
			{name: "second", path: "POST /otp", body: m{"phone": "15551230000"}, status: 429, code: "over_sms_send_rate_limit", text: "For security purposes, you can only request this after 3599 seconds."},
			{name: "again", path: "POST /resend", body: m{"type": "sms", "phone": "15551230000"}, status: 429, code: "over_sms_send_rate_limit"},
			{name: "first to a test number", path: "POST /otp", body: m{"phone": "15550009999"}, status: 200},
			{name: "second to a test number", path: "POST /otp", body: m{"phone": "15550009999"}, status: 429, code: "over_sms_send_rate_limit"},
		}},
		"test codes that have ended": {[]string{"GOTRUE_SMS_TEST_OTP_VALID_UNTIL=2020-01-01T00:00:00Z"}, []scenario{
			{name: "otp", path: "POST /otp", body: m{"phone": "15550009999"}, status: 200, query: "select count(*) from postern.outbox", want: "1"},
			{name: "the old code", path: "POST /verify", body: m{"type": "sms", "phone": "15550009999", "token": "123456"}, status: 403, code: "otp_expired"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			setupTexts(t, c.settings...).play(c.scenarios)
		})
	}
}

func TestPhoneOTP(t *testing.T) {
	t.Parallel()
	s := setupTexts(t)
	s.play([]scenario{
		{name: "both", path: "POST /otp", body: m{"phone": "15551230000", "email": "a@example.com"}, status: 400, code: "validation_failed", text: "Only an email address or phone number should be provided"},
		{name: "a channel for mail", path: "POST /otp", body: m{"email": "a@example.com", "channel": "sms"}, status: 400, code: "validation_failed", text: "Channel should only be specified with Phone OTP"},
		{name: "bad number", path: "POST /otp", body: m{"phone": "0"}, status: 400, code: "validation_failed", text: "E.164"},
		{name: "bad channel", path: "POST /otp", body: m{"phone": "15551230000", "channel": "pigeon"}, status: 400, code: "validation_failed", text: "Invalid channel"},
		{name: "stranger", path: "POST /otp", body: m{"phone": "15551230000", "create_user": false}, status: 422, code: "otp_disabled", text: "Signups not allowed for otp"},
		{name: "no number of a stranger", path: "POST /otp", body: m{"phone": "0", "create_user": false}, status: 422, code: "otp_disabled"},
		{name: "new", path: "POST /otp", body: m{"phone": "15551230000", "data": m{"nick": "wes"}}, status: 200, text: "{}", query: "select raw_user_meta_data ->> 'nick' from auth.users", want: "wes"},
	})
	first := s.code("15551230000")
	s.play([]scenario{
		{name: "unconfirmed is no stranger", path: "POST /otp", body: m{"phone": "15551230000", "create_user": false, "data": m{"nick": "other"}}, status: 200, query: "select raw_user_meta_data ->> 'nick' from auth.users", want: "wes"},
	})
	_ = s.code("15551230000")
	s.play([]scenario{
		{name: "resend", path: "POST /resend", body: m{"type": "sms", "phone": "15551230000"}, status: 200, text: "{}"},
		{name: "resend to a stranger", path: "POST /resend", body: m{"type": "sms", "phone": "15551230009"}, status: 200, text: "{}"},
		{name: "resend a sign-up needs an address", path: "POST /resend", body: m{"type": "signup", "phone": "15551230000"}, status: 400, code: "validation_failed", text: "Type provided requires an email address"},
		{name: "resend a code needs a number", path: "POST /resend", body: m{"type": "sms", "email": "a@example.com"}, status: 400, code: "validation_failed", text: "Type provided requires a phone number"},
	})
	if got, want := s.audited(), `user_confirmation_requested {"provider": "phone"}, user_confirmation_requested {"provider": "phone"}, user_recovery_requested`; got != want {
		t.Errorf("audited %s, want %s", got, want)
	}
	third := s.code("15551230000")
	s.play([]scenario{
		{name: "only the last code counts", path: "POST /verify", body: m{"type": "sms", "phone": "15551230000", "token": first}, status: 403, code: "otp_expired"},
		{name: "verify", path: "POST /verify", body: m{"type": "sms", "phone": "15551230000", "token": third}, status: 200},
		{name: "nothing to resend", path: "POST /resend", body: m{"type": "sms", "phone": "15551230000"}, status: 200, text: "{}", query: "select count(*) from auth.one_time_tokens", want: "0"},
		{name: "known", path: "POST /otp", body: m{"phone": "15551230000", "create_user": false, "channel": "whatsapp"}, status: 200, text: "{}"},
	})
	_ = s.audited()
	code := s.code("15551230000")
	s.exec("update auth.users set banned_until = now() + interval '1 hour'")
	ban := scenario{name: "banned", path: "POST /verify", body: m{"type": "sms", "phone": "15551230000", "token": code}, status: 403, code: "user_banned"}
	s.play([]scenario{ban})
	s.exec("update auth.users set banned_until = null, confirmation_sent_at = now() - interval '301 seconds'")
	s.play([]scenario{{name: "too late", path: "POST /verify", body: ban.body, status: 403, code: "otp_expired"}})
	s.exec("update auth.users set confirmation_sent_at = now() - interval '298 seconds', phone_confirmed_at = 'epoch'")
	s.play([]scenario{{name: "in time", path: "POST /verify", body: ban.body, status: 200,
		query: "select phone_confirmed_at > now() - interval '1 minute' from auth.users", want: "true"}})
}

// A number with a fixed code gets no message, and its code counts whatever was sent.
func TestFixedCodes(t *testing.T) {
	t.Parallel()
	s := setupTexts(t)
	right := m{"type": "sms", "phone": "15550009999", "token": "123456"}
	s.play([]scenario{
		{name: "nobody has that number", path: "POST /verify", body: right, status: 403, code: "otp_expired"},
		{name: "new", path: "POST /otp", body: m{"phone": "15550009999"}, status: 200, text: "{}"},
		{name: "resend", path: "POST /resend", body: m{"type": "sms", "phone": "15550009999"}, status: 200, text: `{"message_id":"test-otp"}`},
		{name: "wrong", path: "POST /verify", body: m{"type": "sms", "phone": "15550009999", "token": "654321"}, status: 403, code: "otp_expired"},
		{name: "right", path: "POST /verify", body: right, status: 200},
		{name: "known", path: "POST /otp", body: m{"phone": "15550009999"}, status: 200, text: `{"message_id":"test-otp"}`},
		{name: "right again", path: "POST /verify", body: right, status: 200},
		{name: "nothing was sent", path: "POST /verify", body: right, status: 200, query: "select count(*) from postern.outbox", want: "0"},
	})
	as := bearer(s.do("POST", "/verify", right).session().AccessToken)
	s.play([]scenario{
		{name: "a nonce", path: "GET /reauthenticate", header: as, status: 200, text: `{"message_id":"test-otp"}`},
	})
}
