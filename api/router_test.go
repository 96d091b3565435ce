package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// Paths, methods and bodies that no handler sees (spec/00 section 1).
func TestTransport(t *testing.T) {
	t.Parallel()
	s := setup(t)
	big := `{"email":"` + strings.Repeat("a", 1<<20) + `"}`
	for _, c := range []struct {
		method, path, body string
		status             int
		code, text         string
	}{
		{"GET", "/nowhere", "", 404, "", "404 page not found\n"},
		{"GET", "//user", "", 404, "", "404 page not found\n"},
		{"GET", "/settings/", "", 404, "", "404 page not found\n"},
		{"POST", "/token/", "", 404, "", "404 page not found\n"},
		{"GET", "/health", "", 200, "", `"name":`},
		{"GET", "/health/live", "", 200, "", "ok"},
		{"GET", "/health/ready", "", 200, "", "ok"},
		{"GET", "/.well-known/jwks.json", "", 200, "", `{"keys":[]}`},
		{"GET", "/settings", "", 200, "", `"disable_signup":false`},
		{"DELETE", "/token", "", 405, "", ""},
		{"GET", "/signup", "", 405, "", ""},
		{"DELETE", "/user", "", 401, "no_authorization", "Bearer token"},
		{"GET", "/user/", "", 401, "no_authorization", "Bearer token"},
		{"POST", "/signup/", "{}", 422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled"},
		{"POST", "/signup", "", 400, "bad_json", "Could not parse request body as JSON: unexpected end of JSON input"},
		{"POST", "/signup", "{", 400, "bad_json", "Could not parse request body as JSON: "},
		{"POST", "/signup", "{} x", 400, "bad_json", "Could not parse request body as JSON: "},
		{"POST", "/signup", "null", 422, "anonymous_provider_disabled", ""},
		{"POST", "/signup", big, 413, "request_entity_too_large", "Request body too large (max 1048576 bytes)"},
		{"POST", "/magiclink", big, 400, "bad_json", "Could not read verification params: "},
		{"POST", "/otp", `{"EMAIL":"x"}`, 400, "validation_failed", "invalid format"},
		{"POST", "/otp", `{"email":"a\u0000@b"}`, 400, "validation_failed", "NUL"},
	} {
		r := s.do(c.method, c.path, c.body)
		if r.Status != c.status || r.Header.Get("X-Sb-Error-Code") != c.code || !strings.Contains(r.Text, c.text) {
			t.Errorf("%s %s %.40s: %d %s", c.method, c.path, c.body, r.Status, r.Text)
		}
		if c.status == http.StatusMethodNotAllowed && r.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
		if c.text == "404 page not found\n" && r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %v", c.method, c.path, r.Header)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_CORS_ALLOWED_HEADERS=apikey")
	r := s.do("GET", "/health", nil, "Origin", "https://a.example")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Expose-Headers": "X-Total-Count, Link, X-Supabase-Api-Version",
	} {
		if got := strings.Join(r.Header.Values(name), ", "); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for headers, granted := range map[string]bool{"authorization": true, "apikey,authorization": true, "x-evil": false} {
		r := s.do("OPTIONS", "/token", nil, "Origin", "https://a.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", headers)
		if r.Status != http.StatusNoContent || (r.Header.Get("Access-Control-Allow-Methods") == "POST") != granted {
			t.Errorf("%s: %d %v", headers, r.Status, r.Header)
		}
	}
	if vary := s.do("GET", "/health", nil).Header.Get("Vary"); vary != "Origin" {
		t.Errorf("Vary: %q", vary)
	}
}
