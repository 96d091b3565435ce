package captcha

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

type standIn func(*http.Request) (*http.Response, error)

func (f standIn) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestVerify(t *testing.T) {
	t.Parallel()
	for provider, endpoint := range map[string]string{
		"hcaptcha": "https://hcaptcha.com/siteverify", "turnstile": "https://challenges.cloudflare.com/turnstile/v0/siteverify",
	} {
		for answer, want := range map[string]string{
			`{"success":true}`:                          "",
			`{"success":false,"error-codes":["a","b"]}`: "captcha protection: request disallowed (a, b)",
			`{}`:    "captcha protection: request disallowed ()",
			`<html`: "reading the answer",
			"":      "unreachable",
		} {
			v, err := New(provider, "s&cret", &http.Client{})
			if err != nil {
				t.Fatal(err)
			}
			got := v.Via(standIn(func(r *http.Request) (*http.Response, error) {
				body, _ := io.ReadAll(r.Body)
				if r.Method+" "+r.URL.String() != "POST "+endpoint || string(body) != "secret=s%26cret&response=a+token&remoteip=203.0.113.9" ||
					r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
					t.Errorf("asked %s %s: %s", r.Method, r.URL, body)
				}
				if answer == "" {
					return nil, errors.New("unreachable")
				}
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(answer))}, nil
			})).Verify(t.Context(), " a token ", "203.0.113.9")
			if want == "" && got != nil || want != "" && (got == nil || !strings.Contains(got.Error(), want)) {
				t.Errorf("%s: %v, want %q", answer, got, want)
			}
		}
	}
	v, _ := New("hcaptcha", "x", &http.Client{})
	if err := v.Verify(t.Context(), "  ", ""); err == nil || !strings.Contains(err.Error(), "(no captcha_token found)") {
		t.Errorf("blank: %v", err)
	}
	if _, err := New("x", "x", &http.Client{}); err == nil {
		t.Error("any provider will do")
	}
}
