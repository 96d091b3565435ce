package api_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// captchaProvider says yes to the token "good", no to "bad", and breaks off otherwise.
type captchaProvider struct{}

func (captchaProvider) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	answer := ""
	switch string(body) {
	case "secret=x&response=good&remoteip=203.0.113.9":
		answer = `{"success": true}`
	case "secret=x&response=bad&remoteip=203.0.113.9":
		answer = `{"success": false, "error-codes": ["invalid-input-response", "timeout-or-duplicate"]}`
	default:
		return nil, errors.New("unreachable")
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

func TestCaptcha(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_SECURITY_CAPTCHA_ENABLED=true", "GOTRUE_SECURITY_CAPTCHA_SECRET=x")
	s.api.StandInForCaptcha(captchaProvider{})
	s.newUser("ann@example.com")
	from := []string{"X-Forwarded-For", "203.0.113.9"}
	with := func(token string) m {
		return m{"email": "ann@example.com", "password": password, "gotrue_meta_security": m{"captcha_token": token}}
	}
	const missing = "captcha protection: request disallowed (no captcha_token found)"
	var list []scenario
	for _, path := range []string{"/signup", "/recover", "/resend", "/magiclink", "/otp", "/sso", "/passkeys/authentication/options", "/token?grant_type=password", "/token?grant_type=web3", "/token"} {
		list = append(list, scenario{name: path, path: "POST " + path, body: m{}, header: from, status: 400, code: "captcha_failed", text: missing})
	}
	s.play(append(list, []scenario{
		{name: "no JSON", path: "POST /signup", body: "", header: from, status: 400, code: "bad_json"},
		{name: "blank", path: "POST /recover", body: with("  "), header: from, status: 400, code: "captcha_failed", text: missing},
		{name: "refused", path: "POST /otp", body: with("bad"), header: from, status: 400, code: "captcha_failed", text: "captcha protection: request disallowed (invalid-input-response, timeout-or-duplicate)"},
		{name: "unreachable", path: "POST /otp", body: with("x"), header: from, status: 500, code: "unexpected_failure", text: "captcha verification process failed"},
		{name: "right", path: "POST /token?grant_type=password", body: with(" good "), header: from, status: 200, text: `"access_token"`},
		{name: "refresh", path: "POST /token?grant_type=refresh_token", body: m{"refresh_token": "abcdefghijkl"}, header: from, status: 400, code: "refresh_token_not_found"},
		{name: "code", path: "POST /token?grant_type=pkce", body: m{"auth_code": "x", "code_verifier": "y"}, header: from, status: 404, code: "flow_state_not_found"},
		{name: "verify", path: "POST /verify", body: m{"type": "email", "token_hash": "x"}, header: from, status: 403, code: "otp_expired"},
		{name: "administrator", path: "POST /recover", body: m{"email": "ann@example.com"}, header: append(s.asAdmin(), from...), status: 200},
		{name: "not one", path: "POST /recover", body: m{"email": "ann@example.com"}, header: append(bearer("x"), from...), status: 400, code: "captcha_failed"},
	}...))
}
