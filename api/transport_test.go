package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// Which paths may end in a slash (spec/00 section 1).
func TestTrailingSlashes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.newUser("ann@example.com")
	for _, path := range []string{
		"POST /signup/", "GET /verify/", "POST /verify/", "GET /user/", "PUT /user/", "GET /reauthenticate/", "GET /callback/", "POST /callback/",
		"POST /factors/", "GET /passkeys/", "POST /sso/", "GET /admin/users/", "POST /admin/users/", "GET /admin/audit/",
		"GET /admin/users/" + id + "/", "PUT /admin/users/" + id + "/", "GET /admin/users/" + id + "/factors/", "DELETE /admin/users/" + id + "/",
	} {
		method, path, _ := strings.Cut(path, " ")
		header := s.asAdmin()
		if !strings.HasPrefix(path, "/admin") {
			header = nil
		}
		with := s.do(method, path, "{}", header...)
		if with.Text == "404 page not found\n" || with.Status == http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d %s", method, path, with.Status, with.Text)
		}
	}
	for _, path := range []string{
		"/settings/", "/health/", "/token/", "/logout/", "/otp/", "/recover/", "/invite/", "/magiclink/", "/resend/", "/authorize/",
		"//user", "/user//", "/admin//users", "/.well-known/jwks.json/", "/", "/verify/x", "/USER",
	} {
		for _, method := range []string{"GET", "POST"} {
			r := s.do(method, path, "{}", s.asAdmin()...)
			if r.Status != 404 || r.Text != "404 page not found\n" || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
				r.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: %d %v %s", method, path, r.Status, r.Header, r.Text)
			}
		}
	}
}

// Bodies of every endpoint that reads one: too large, empty, no object, null (spec/00 section 1).
func TestBodies(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	id := s.newUser("bob@example.com")
	large := `{"email":"` + strings.Repeat("a", 1<<20) + `"}`
	exact := `{"email":"` + strings.Repeat("a", 1<<20-len(`{"email":""}`)) + `"}`
	for path, header := range map[string][]string{
		"POST /signup": nil, "POST /otp": nil, "POST /recover": nil, "POST /resend": nil, "POST /verify": nil, "POST /token?grant_type=password": nil,
		"POST /token?grant_type=refresh_token": nil, "POST /token?grant_type=pkce": nil, "PUT /user": bearer(ann.AccessToken),
		"POST /invite": s.asAdmin(), "POST /admin/users": s.asAdmin(), "PUT /admin/users/" + id: s.asAdmin(), "POST /admin/generate_link": s.asAdmin(),
		"POST /magiclink": nil,
	} {
		method, path, _ := strings.Cut(path, " ")
		for what, c := range map[string]struct {
			body   string
			status int
			code   string
			text   string
		}{
			"too large":     {large, 413, "request_entity_too_large", "Request body too large (max 1048576 bytes)"},
			"empty":         {"", 400, "bad_json", "unexpected end of JSON input"},
			"cut off":       {`{"email":`, 400, "bad_json", "unexpected end of JSON input"},
			"a list":        {"[]", 400, "bad_json", ""},
			"trailing data": {"{} {}", 400, "bad_json", ""},
			"wrong type":    {`{"email":{},"refresh_token":1,"auth_code":[]}`, 400, "bad_json", ""},
		} {
			prefix := "Could not parse request body as JSON: "
			switch {
			case path == "/magiclink" && c.status == 413:
				c.status, c.code = 400, "bad_json" // its decoder is an old one
				prefix = "Could not read verification params: "
			case path == "/magiclink":
				prefix = "Could not read verification params: "
			case c.status == 413:
				prefix = ""
			}
			r := s.do(method, path, c.body, header...)
			if r.Status != c.status || r.Body["error_code"] != c.code || !strings.Contains(r.Text, prefix) || !strings.Contains(r.Text, c.text) {
				t.Errorf("%s %s, %s: %d %s", method, path, what, r.Status, r.Text)
			}
		}
		if r := s.do(method, path, "null", header...); r.Body["error_code"] == "bad_json" {
			t.Errorf("%s %s, null: %d %s", method, path, r.Status, r.Text)
		}
		if r := s.do(method, path, exact, header...); r.Status == 413 || r.Body["error_code"] == "bad_json" {
			t.Errorf("%s %s, just not too large: %d %.200s", method, path, r.Status, r.Text)
		}
	}
	r := s.do("DELETE", "/admin/users/"+id, large, s.asAdmin()...)
	if r.Status != 413 {
		t.Errorf("DELETE: %d %s", r.Status, r.Text)
	}
}

// What the version header does, and that it does it to errors alone (spec/00 section 3).
func TestAPIVersions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for version, isNew := range map[string]bool{
		"2024-01-01": true, "2024-12-31": true, "2030-06-15": true, "2023-12-31": false, "": false, "x": false, "2024-13-01": false,
		"2024-02-30": false, "2024-1-1": false, "20240101": false, "2024-01-01x": false, "9999-12-31": true,
	} {
		r := s.do("POST", "/recover", m{}, "X-Supabase-Api-Version", version)
		_, hasMessage := r.Body["message"]
		told := r.Header.Get("X-Supabase-Api-Version")
		if hasMessage != isNew || (told == "2024-01-01") != isNew || r.Header.Get("X-Sb-Error-Code") != "validation_failed" {
			t.Errorf("%q: %v %s", version, r.Header, r.Text)
		}
		if told := s.do("GET", "/settings", nil, "X-Supabase-Api-Version", version).Header.Get("X-Supabase-Api-Version"); told != "" {
			t.Errorf("%q, success: %s", version, told)
		}
	}
	r := s.do("POST", "/signup", m{"email": "a@example.com", "password": "x"})
	if r.Header.Get("X-Sb-Error-Code") != "weak_password" || r.Body["msg"] == nil {
		t.Errorf("weak: %v %s", r.Header, r.Text)
	}
	r = s.do("POST", "/signup", m{"email": "a@example.com", "password": "x"}, "X-Supabase-Api-Version", "2024-01-01")
	if r.Header.Get("X-Sb-Error-Code") != "" || r.Body["code"] != "weak_password" || r.Body["weak_password"] == nil {
		t.Errorf("weak, new: %v %s", r.Header, r.Text)
	}
}

// Preflights and what scripts may see, on errors and redirects as well (spec/00 section 5).
func TestCORSEverywhere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, path := range []string{"GET /health", "GET /nowhere", "DELETE /token", "GET /user", "POST /otp", "GET /verify?type=signup&token=x"} {
		method, path, _ := strings.Cut(path, " ")
		for _, origin := range []string{"https://a.example", "null"} {
			h := s.do(method, path, nil, "Origin", origin).Header
			if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "true" ||
				h.Get("Access-Control-Expose-Headers") != "X-Total-Count, Link, X-Supabase-Api-Version" || h.Get("Vary") != "Origin" {
				t.Errorf("%s %s: %v", method, path, h)
			}
		}
		h := s.do(method, path, nil).Header
		if h.Get("Access-Control-Expose-Headers") != "" || h.Get("Vary") != "Origin" {
			t.Errorf("%s %s without an origin: %v", method, path, h)
		}
	}
	const all = "accept,authorization,content-type,x-client-info,x-client-ip,x-jwt-aud,x-supabase-api-version,x-use-cookie"
	for _, c := range []struct {
		method, headers string
		isGranted       bool
	}{
		{"GET", "", true}, {"POST", all, true}, {"PUT", "authorization", true}, {"PATCH", "", true}, {"DELETE", "", true},
		{"POST", "apikey", false}, {"POST", "authorization,x-evil", false}, {"TRACE", "", false},
	} {
		header := []string{"Origin", "https://a.example", "Access-Control-Request-Method", c.method}
		if c.headers != "" {
			header = append(header, "Access-Control-Request-Headers", c.headers)
		}
		r := s.do("OPTIONS", "/nowhere/at/all", nil, header...)
		granted := r.Header.Get("Access-Control-Allow-Methods") == c.method && r.Header.Get("Access-Control-Allow-Headers") == c.headers &&
			r.Header.Get("Access-Control-Allow-Origin") == "*" && r.Header.Get("Access-Control-Allow-Credentials") == "true"
		refused := r.Header.Get("Access-Control-Allow-Methods") == "" && r.Header.Get("Access-Control-Allow-Headers") == "" &&
			r.Header.Get("Access-Control-Allow-Origin") == "" && r.Header.Get("Access-Control-Allow-Credentials") == ""
		if r.Status != 204 || c.isGranted && !granted || !c.isGranted && !refused {
			t.Errorf("%s %s: %d %v", c.method, c.headers, r.Status, r.Header)
		}
	}
	if r := s.do("OPTIONS", "/health", nil); r.Status != 405 {
		t.Errorf("OPTIONS that is no preflight: %d", r.Status)
	}
}
