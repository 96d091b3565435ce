package sms_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/sms"
)

// standIn is a provider on this machine. It answers what it is told and keeps what it was sent.
type standIn struct {
	*httptest.Server
	answer func(w http.ResponseWriter)

	mu       sync.Mutex
	requests []string
}

func newStandIn(t *testing.T, answer func(w http.ResponseWriter)) *standIn {
	t.Helper()
	s := &standIn{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, fmt.Sprintf("%s https://%s%s\nAuthorization: %s\nContent-Type: %s\n\n%s",
			r.Method, r.Host, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body))
		s.mu.Unlock()
		s.answer(w)
	}))
	t.Cleanup(s.Close)
	return s
}

// RoundTrip leads what is meant for any provider here, the host as the provider would see it.
func (s *standIn) RoundTrip(r *http.Request) (*http.Response, error) {
	here := r.Clone(r.Context())
	here.Host = r.URL.Host
	here.URL.Scheme, here.URL.Host = "http", s.Listener.Addr().String()
	return http.DefaultTransport.RoundTrip(here)
}

func says(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// settings are those of a provider, by the environment as an operator gives them.
func settings(t *testing.T, environ ...string) config.SMS {
	t.Helper()
	c, err := config.Load(append([]string{
		"API_EXTERNAL_URL=https://auth.example.com", "DATABASE_URL=postgres://u:p@127.0.0.1/x", "GOTRUE_SITE_URL=https://app.example.com",
		"GOTRUE_JWT_SECRET=a-secret-for-tests-of-more-than-32-bytes",
	}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	return c.SMS
}

func newSender(t *testing.T, transport http.RoundTripper, environ ...string) *sms.Sender {
	t.Helper()
	s, err := sms.New(settings(t, environ...), &http.Client{Transport: transport, Timeout: 5 * time.Second}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	twilio       = []string{"GOTRUE_SMS_PROVIDER=twilio", "GOTRUE_SMS_TWILIO_ACCOUNT_SID=AC1", "GOTRUE_SMS_TWILIO_AUTH_TOKEN=to:ken", "GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID=MG1"}
	twilioVerify = []string{"GOTRUE_SMS_PROVIDER=twilio_verify", "GOTRUE_SMS_TWILIO_VERIFY_ACCOUNT_SID=AC2", "GOTRUE_SMS_TWILIO_VERIFY_AUTH_TOKEN=token2", "GOTRUE_SMS_TWILIO_VERIFY_MESSAGE_SERVICE_SID=VA2"}
	messageBird  = []string{"GOTRUE_SMS_PROVIDER=messagebird", "GOTRUE_SMS_MESSAGEBIRD_ACCESS_KEY=key3", "GOTRUE_SMS_MESSAGEBIRD_ORIGINATOR=Example & Co"}
	textlocal    = []string{"GOTRUE_SMS_PROVIDER=textlocal", "GOTRUE_SMS_TEXTLOCAL_API_KEY=key4", "GOTRUE_SMS_TEXTLOCAL_SENDER=EXMPL"}
	vonage       = []string{"GOTRUE_SMS_PROVIDER=vonage", "GOTRUE_SMS_VONAGE_API_KEY=key5", "GOTRUE_SMS_VONAGE_API_SECRET=secret5", "GOTRUE_SMS_VONAGE_FROM=Example"}
)

const form = "application/x-www-form-urlencoded"

// What each provider gets, byte for byte (spec/06 section 8).
func TestRequests(t *testing.T) {
	t.Parallel()
	const twilioSent, birdSent = `{"sid":"SM1","status":"queued","error_code":null}`, `{"id":"b1","recipients":{"totalSentCount":1}}`
	const vonageSent = `{"message-count":"1","messages":[{"to":"1","message-id":"v1","status":"0"}]}`
	for name, c := range map[string]struct {
		provider []string
		more     string
		channel  string
		answer   string
		want     string
	}{
		"twilio": {twilio, "", "sms", twilioSent,
			"POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json\nAuthorization: Basic QUMxOnRvOmtlbg==\nContent-Type: " + form +
				"\n\nBody=Your+code+is+123456&Channel=sms&From=MG1&To=%2B15551234567"},
		"twilio, own text": {twilio, "GOTRUE_SMS_TEMPLATE={{ .Code }} öffnet & schließt", "sms", twilioSent,
			"POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json\nAuthorization: Basic QUMxOnRvOmtlbg==\nContent-Type: " + form +
				"\n\nBody=123456+%C3%B6ffnet+%26+schlie%C3%9Ft&Channel=sms&From=MG1&To=%2B15551234567"},
		"twilio, empty text": {twilio, "GOTRUE_SMS_TEMPLATE=", "sms", twilioSent,
			"POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json\nAuthorization: Basic QUMxOnRvOmtlbg==\nContent-Type: " + form +
				"\n\nBody=Your+code+is+123456&Channel=sms&From=MG1&To=%2B15551234567"},
		"twilio, WhatsApp from a service": {twilio, "", "whatsapp", twilioSent,
			"POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json\nAuthorization: Basic QUMxOnRvOmtlbg==\nContent-Type: " + form +
				"\n\nBody=Your+code+is+123456&Channel=whatsapp&From=MG1&To=whatsapp%3A%2B15551234567"},
		"twilio, WhatsApp from a number": {twilio, "GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID=+15550000001", "whatsapp", twilioSent,
			"POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json\nAuthorization: Basic QUMxOnRvOmtlbg==\nContent-Type: " + form +
				"\n\nBody=Your+code+is+123456&Channel=whatsapp&From=whatsapp%3A%2B15550000001&To=whatsapp%3A%2B15551234567"},
		"twilio, SMS from a number": {twilio, "GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID=+15550000001", "sms", twilioSent,
			"POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json\nAuthorization: Basic QUMxOnRvOmtlbg==\nContent-Type: " + form +
				"\n\nBody=Your+code+is+123456&Channel=sms&From=%2B15550000001&To=%2B15551234567"},
		"twilio, WhatsApp with content": {twilio, "GOTRUE_SMS_TWILIO_CONTENT_SID=HX1", "whatsapp", twilioSent,
			"POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json\nAuthorization: Basic QUMxOnRvOmtlbg==\nContent-Type: " + form +
				"\n\nChannel=whatsapp&ContentSid=HX1&ContentVariables=%7B%221%22%3A+%22123456%22%7D&From=MG1&To=whatsapp%3A%2B15551234567"},
		"twilio, content is for WhatsApp": {twilio, "GOTRUE_SMS_TWILIO_CONTENT_SID=HX1", "sms", twilioSent,
			"POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json\nAuthorization: Basic QUMxOnRvOmtlbg==\nContent-Type: " + form +
				"\n\nBody=Your+code+is+123456&Channel=sms&From=MG1&To=%2B15551234567"},
		"twilio_verify": {twilioVerify, "", "sms", `{"sid":"VE1","status":"pending","valid":false}`,
			"POST https://verify.twilio.com/v2/Services/VA2/Verifications\nAuthorization: Basic QUMyOnRva2VuMg==\nContent-Type: " + form +
				"\n\nChannel=sms&To=%2B15551234567"},
		"twilio_verify, WhatsApp": {twilioVerify, "", "whatsapp", `{"sid":"VE1","status":"pending","valid":false}`,
			"POST https://verify.twilio.com/v2/Services/VA2/Verifications\nAuthorization: Basic QUMyOnRva2VuMg==\nContent-Type: " + form +
				"\n\nChannel=whatsapp&To=%2B15551234567"},
		"messagebird": {messageBird, "", "sms", birdSent,
			"POST https://rest.messagebird.com/messages\nAuthorization: AccessKey key3\nContent-Type: " + form +
				"\n\nbody=Your+code+is+123456&datacoding=unicode&originator=Example+%26+Co&recipients=15551234567&type=sms"},
		"textlocal": {textlocal, "", "sms", `{"balance":9,"status":"success"}`,
			"POST https://api.textlocal.in/send\nAuthorization: \nContent-Type: " + form +
				"\n\napikey=key4&message=Your+code+is+123456&numbers=15551234567&sender=EXMPL"},
		"vonage": {vonage, "", "sms", vonageSent,
			"POST https://rest.nexmo.com/sms/json\nAuthorization: \nContent-Type: " + form +
				"\n\napi_key=key5&api_secret=secret5&from=Example&text=Your+code+is+123456&to=15551234567"},
		"vonage, not ASCII": {vonage, "GOTRUE_SMS_TEMPLATE=ключ {{ .Code }}", "sms", vonageSent,
			"POST https://rest.nexmo.com/sms/json\nAuthorization: \nContent-Type: " + form +
				"\n\napi_key=key5&api_secret=secret5&from=Example&text=%D0%BA%D0%BB%D1%8E%D1%87+123456&to=15551234567&type=unicode"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			there := newStandIn(t, says(201, c.answer))
			environ := c.provider
			if c.more != "" {
				environ = append(append([]string{}, environ...), c.more)
			}
			s := newSender(t, there, environ...)
			errs := s.Deliver(t.Context(), []sms.Request{{
				Template: "confirmation", To: "15551234567", Payload: []byte(`{"otp":"123456","channel":"` + c.channel + `"}`),
			}})
			if errs[0] != nil {
				t.Errorf("not sent: %v", errs[0])
			}
			if d := cmp.Diff([]string{c.want}, there.requests); d != "" {
				t.Error(d)
			}
		})
	}
}

// What each provider may answer: sent, refused for good, or a failure that may pass.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		provider []string
		status   int
		body     string
		want     string // part of the error; "" for none
		isFinal  bool
	}{
		"twilio, 200":          {twilio, 200, `{"sid":"SM1","status":"accepted"}`, "", false},
		"twilio, failed":       {twilio, 201, `{"status":"failed","error_code":30006,"error_message":"Landline"}`, "failed: Landline (30006)", true},
		"twilio, undelivered":  {twilio, 201, `{"status":"undelivered","message":"no"}`, "undelivered: no", true},
		"twilio, bad number":   {twilio, 400, `{"code":21211,"message":"Invalid 'To' Phone Number","status":400}`, "400 Invalid 'To' Phone Number (21211)", true},
		"twilio, bad account":  {twilio, 401, `{"code":20003,"message":"Authenticate","status":401}`, "401 Authenticate (20003)", true},
		"twilio, busy":         {twilio, 429, `{"code":20429,"message":"Too Many Requests"}`, "answered 429", false},
		"twilio, down":         {twilio, 503, `<html>`, "answered 503", false},
		"twilio, no JSON":      {twilio, 200, `<html>`, "cannot be read", false},
		"twilio, redirect":     {twilio, 307, ``, "307", true},
		"twilio, refused HTML": {twilio, 403, `<html>`, "403", true},

		"verify, 201":         {twilioVerify, 201, `{"sid":"VE1","status":"pending"}`, "", false},
		"verify, bad number":  {twilioVerify, 400, `{"code":60200,"message":"Invalid parameter"}`, "400 Invalid parameter (60200)", true},
		"verify, too often":   {twilioVerify, 429, `{"code":60203,"message":"Max send attempts reached"}`, "answered 429", false},
		"messagebird, nobody": {messageBird, 201, `{"id":"b1","recipients":{"totalSentCount":0}}`, "sent to nobody", true},
		"messagebird, 422":    {messageBird, 422, `{"errors":[{"code":9,"description":"no (correct) recipients found","parameter":"recipient"}]}`, "no (correct) recipients found (9)", true},
		"messagebird, 401":    {messageBird, 401, `nothing`, "status 401", true},
		"messagebird, 500":    {messageBird, 500, ``, "answered 500", false},
		"textlocal, failure":  {textlocal, 200, `{"errors":[{"code":51,"message":"No valid numbers specified"}],"status":"failure"}`, "No valid numbers specified (51)", true},
		"textlocal, no word":  {textlocal, 200, `{}`, "status 200", true},
		"textlocal, array":    {textlocal, 200, `[]`, "cannot be read", false},
		"vonage, refused":     {vonage, 200, `{"messages":[{"status":"6","error-text":"Unroutable"}]}`, "Unroutable (6)", true},
		"vonage, throttled":   {vonage, 200, `{"messages":[{"status":"1","error-text":"Throughput Rate Exceeded"}]}`, "Throughput Rate Exceeded (1)", false},
		"vonage, no message":  {vonage, 200, `{"messages":[]}`, "about no message", false},
		"vonage, 401":         {vonage, 401, ``, "status 401", true},
		"vonage, no settings": {[]string{"GOTRUE_SMS_PROVIDER=vonage"}, 200, ``, "no SMS provider", false},
		"unknown provider":    {[]string{"GOTRUE_SMS_PROVIDER=pigeon"}, 200, ``, "no SMS provider", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSender(t, newStandIn(t, says(c.status, c.body)), c.provider...)
			err := s.Deliver(t.Context(), []sms.Request{{To: "15551234567", Payload: []byte(`{"otp":"123456","channel":"sms"}`)}})[0]
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			var final *sms.RefusedError
			if errors.As(err, &final) != c.isFinal {
				t.Errorf("%v: final %v", err, !c.isFinal)
			}
			if err != nil && (strings.Contains(err.Error(), "123456") || strings.Contains(err.Error(), "ken")) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// Twilio Verify says whether a code is right.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		body    string
		isRight bool
		isError bool
	}{
		"approved":         {200, `{"status":"approved","valid":true}`, true, false},
		"pending":          {200, `{"status":"pending","valid":false}`, false, false},
		"approved, but no": {200, `{"status":"approved","valid":false}`, false, false},
		"used or expired":  {404, `{"code":20404,"message":"not found","status":404}`, false, false},
		"no code":          {400, `{"code":60200,"message":"Invalid parameter","status":400}`, false, false},
		"bad account":      {401, `{"code":20003,"message":"Authenticate","status":401}`, false, true},
		"too many tries":   {429, `{"code":60202,"message":"Max check attempts reached","status":429}`, false, false},
		"down":             {502, ``, false, true},
		"odd":              {200, `[]`, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			there := newStandIn(t, says(c.status, c.body))
			s := newSender(t, there, twilioVerify...)
			if !s.ChecksCodes() {
				t.Fatal("it does not check")
			}
			isRight, err := s.Check(t.Context(), "15551234567", "12 34")
			if isRight != c.isRight || (err != nil) != c.isError {
				t.Errorf("%v %v", isRight, err)
			}
			const want = "POST https://verify.twilio.com/v2/Services/VA2/VerificationCheck\nAuthorization: Basic QUMyOnRva2VuMg==\nContent-Type: " +
				form + "\n\nCode=12+34&To=%2B15551234567"
			if d := cmp.Diff([]string{want}, there.requests); d != "" {
				t.Error(d)
			}
		})
	}
	s := newSender(t, newStandIn(t, says(200, `{}`)), twilio...)
	if _, err := s.Check(t.Context(), "15551234567", "1"); err == nil || s.ChecksCodes() {
		t.Error("Twilio without Verify checks codes")
	}
}

// A template that cannot be read keeps nobody from starting who sends nothing.
func TestTemplateWithoutProvider(t *testing.T) {
	t.Parallel()
	if s := newSender(t, http.DefaultTransport, "GOTRUE_SMS_TEMPLATE={{ .Code"); s.CanSend() {
		t.Error("it can send")
	}
}

// A provider that says nothing costs the time limit, and no more than that.
func TestSilence(t *testing.T) {
	t.Parallel()
	quiet := make(chan struct{})
	there := newStandIn(t, func(http.ResponseWriter) { <-quiet })
	s, err := sms.New(settings(t, twilio...), &http.Client{Transport: there, Timeout: 50 * time.Millisecond}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Deliver(t.Context(), []sms.Request{{To: "1555", Payload: []byte(`{}`)}})[0]
	close(quiet)
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("not a timeout: %v", err)
	}
}

// Once the context has ended nothing is begun, and a payload that is none cannot be sent.
func TestNotTried(t *testing.T) {
	t.Parallel()
	there := newStandIn(t, says(201, `{"sid":"SM1","status":"queued"}`))
	s := newSender(t, there, twilio...)
	var refused *sms.RefusedError
	if err := s.Deliver(t.Context(), []sms.Request{{To: "1555", Payload: []byte(`{`)}})[0]; !errors.As(err, &refused) {
		t.Errorf("a broken payload: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Deliver(ctx, make([]sms.Request, 3)) {
		if !errors.Is(err, sms.ErrNotTried) {
			t.Errorf("%v", err)
		}
	}
	if len(there.requests) > 0 {
		t.Errorf("requests: %v", there.requests)
	}
}
