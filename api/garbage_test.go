package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// garbageValues are JSON values of every kind, for each member of every body.
var garbageValues = []string{
	`null`, `true`, `1`, `-1`, `1e400`, `123456789012345678901234567890`, `1.5`, `""`, `"x"`, `[]`, `{}`, `[1]`, `{"a":1}`, `"\u0000"`, `"a\u0000b"`,
	`"\ud800"`, `"\udc00\ud800"`, "\"\xff\xfe\"", "\"\x00\"", `"'; drop table users; --"`, `"%00"`, `"ann@example.com"`, `"` + "\u202e\U0001F600" + `"`,
	`"11111111-1111-4111-8111-111111111111"`, `"00000000-0000-0000-0000-000000000000"`, `"abcdefghijkl"`, `"pkce_x"`, `"signup"`, `"email"`, `"9999999h"`,
	`"$2a$10$x"`, `"$argon2id$v=19$m=1,t=1,p=1$YQ$YQ"`, `{"\u0000":1}`, `{"a":"\ud800"}`, `[[[[{"a":[]}]]]]`,
}

// members are the names that bodies know.
var members = []string{
	"email", "phone", "password", "data", "channel", "code_challenge", "code_challenge_method", "refresh_token", "auth_code", "code_verifier",
	"type", "token", "token_hash", "redirect_to", "nonce", "current_password", "app_metadata", "user_metadata", "create_user", "id", "aud", "role",
	"password_hash", "email_confirm", "phone_confirm", "ban_duration", "should_soft_delete", "new_email", "friendly_name", "gotrue_meta_security",
	"id_token", "provider", "grant_type",
}

// garbageBodies are whole bodies.
func garbageBodies() []string {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	return []string{
		"", " ", "null", "[]", "1", `"x"`, "{", "}", "{}{}", `{"email":}`, string(noise), "\x00", "\xef\xbb\xbf{}",
		strings.Repeat("[", 10_000), strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		strings.Repeat(`{"data":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		`{"email":"deep@example.com","password":"` + password + `","data":` + strings.Repeat(`{"a":`, 9_990) + "1" + strings.Repeat("}", 9_990) + "}",
		`{"email":"` + strings.Repeat("a", 100_000) + `@example.com","password":"` + password + `"}`,
		`{"email":"big@example.com","password":"` + password + `","data":{"n":1e131072}}`,
		`{"email":"bigger@example.com","password":"` + password + `","data":{"n":` + strings.Repeat("9", 200_000) + `}}`,
		`{"EMAIL":"case@example.com","pAssword":"` + password + `"}`,
	}
}

// mixedBody has a few members with garbage, and the rest as it should be.
func mixedBody(random *rand.Rand) string {
	var parts []string
	for _, name := range members {
		switch random.IntN(4) {
		case 0:
			parts = append(parts, fmt.Sprintf("%q:%s", name, garbageValues[random.IntN(len(garbageValues))]))
		case 1:
			if name == "email" {
				parts = append(parts, fmt.Sprintf("%q:%q", name, fmt.Sprintf("u%d@example.com", random.IntN(1000))))
			}
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// checkGarbageReply fails for every 5xx, and for bodies that are neither typed JSON nor what the router says by itself.
func checkGarbageReply(t *testing.T, what string, r response) {
	t.Helper()
	if len(what) > 300 {
		what = what[:300] + "..."
	}
	if r.Status >= http.StatusInternalServerError {
		t.Errorf("%s: %d %s", what, r.Status, r.Text)
	}
	if r.Status < http.StatusBadRequest || r.Status == http.StatusMethodNotAllowed && r.Text == "" {
		return
	}
	if r.Status == http.StatusNotFound && r.Text == "404 page not found\n" {
		return
	}
	if r.Header.Get("Content-Type") != "application/json" || !json.Valid([]byte(r.Text)) || r.Body == nil {
		t.Errorf("%s: %d, no typed body: %s", what, r.Status, r.Text)
	}
}

// garbageSetup is a server with a user's and an administrator's headers.
func garbageSetup(t *testing.T) (s *server, headers [][]string) {
	s = setup(t, "GOTRUE_API_MAX_REQUEST_DURATION=60s")
	ann := s.newSession("ann@example.com")
	return s, [][]string{nil, bearer(ann.AccessToken), s.asAdmin()}
}

// fill puts something into the parameters of a path.
func fill(path, value string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, ":") {
			parts[i] = url.PathEscape(value)
		}
	}
	return strings.Join(parts, "/")
}

func TestGarbageBodies(t *testing.T) {
	t.Parallel()
	s, credentials := garbageSetup(t)
	random := rand.New(rand.NewPCG(3, 4))
	for _, route := range s.api.Routes() {
		if route[0] == "GET" {
			continue
		}
		paths := []string{fill(route[1], "11111111-1111-4111-8111-111111111111")}
		if route[1] == "/token" {
			paths = []string{"/token", "/token?grant_type=password", "/token?grant_type=refresh_token", "/token?grant_type=pkce", "/token?grant_type=id_token"}
		}
		bodies := garbageBodies()
		for range rounds(5, 400) {
			bodies = append(bodies, mixedBody(random))
		}
		for _, path := range paths {
			for _, body := range bodies {
				header := credentials[0]
				if strings.HasPrefix(path, "/admin") || path == "/invite" {
					header = credentials[2]
				} else if strings.HasPrefix(path, "/user") {
					header = credentials[1]
				}
				for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded"}[:1+len(body)%2] {
					r := s.do(route[0], path, body, append([]string{"Content-Type", contentType}, header...)...)
					checkGarbageReply(t, route[0]+" "+path+" "+body, r)
				}
			}
		}
	}
}

func TestGarbageMembers(t *testing.T) {
	t.Parallel()
	s, _ := garbageSetup(t)
	random := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct{ method, path, valid string }{
		{"POST", "/signup", `"email":"m@example.com","password":"short"`},
		{"POST", "/otp", `"email":"m@example.com"`},
		{"POST", "/recover", `"email":"ann@example.com"`},
		{"POST", "/resend", `"type":"signup","email":"m@example.com"`},
		{"POST", "/verify", `"type":"email","token":"123456","email":"ann@example.com"`},
		{"POST", "/token?grant_type=refresh_token", `"refresh_token":"abcdefghijkl"`},
		{"POST", "/token?grant_type=pkce", `"auth_code":"x","code_verifier":"y"`},
		{"POST", "/admin/users", `"email":"m@example.com","password_hash":"` + testHash + `"`},
		{"POST", "/admin/generate_link", `"type":"magiclink","email":"ann@example.com"`},
		{"POST", "/invite", `"email":"i@example.com"`},
	} {
		for _, name := range members {
			for _, value := range garbageValues {
				if !isLong() && random.IntN(8) > 0 {
					continue
				}
				body := fmt.Sprintf("{%s,%q:%s}", c.valid, name, value) // the last of two members counts
				checkGarbageReply(t, c.method+" "+c.path+" "+body, s.do(c.method, c.path, body, s.asAdmin()...))
			}
		}
	}
}

// garbageTexts are for places that are text: queries, paths, headers.
var garbageTexts = []string{
	"", " ", "\x00", "a\x00b", "\xff\xfe", "\u202e\U0001F600", "'", "\"", ";--", "../..", "..", ".", "%", "%zz", "-1", "0", "1e9", "99999999999999999999999",
	"11111111-1111-4111-8111-111111111111", "00000000-0000-0000-0000-000000000000", "{11111111-1111-4111-8111-111111111111}", "null", "undefined",
	"https://evil.example.com", "https://app.example.com/\x00", "javascript:alert(1)", strings.Repeat("a", 5000), "pkce_" + strings.Repeat("f", 56), "eyJ9",
}

func TestGarbageQueriesAndPaths(t *testing.T) {
	t.Parallel()
	s, credentials := garbageSetup(t)
	names := []string{
		"type", "token", "redirect_to", "grant_type", "scope", "page", "per_page", "sort", "filter", "limit", "cursor", "query", "provider", "scopes",
		"code", "state", "error", "error_description", "code_challenge", "code_challenge_method", "invite_token",
	}
	random := rand.New(rand.NewPCG(7, 8))
	for _, route := range s.api.Routes() {
		for i, text := range garbageTexts {
			paths := []string{fill(route[1], text), fill(route[1], "11111111-1111-4111-8111-111111111111") + "?%zz&;&=&" + url.QueryEscape(text)}
			query := url.Values{}
			for _, name := range names {
				if random.IntN(2) == 0 {
					query.Set(name, garbageTexts[random.IntN(len(garbageTexts))])
				}
			}
			paths = append(paths, fill(route[1], text)+"?"+query.Encode())
			for _, path := range paths {
				header := credentials[i%3]
				if strings.HasPrefix(path, "/admin") {
					header = credentials[2]
				}
				r, err := s.try(route[0], path, nil, header...)
				if err != nil {
					t.Errorf("%s %s: %v", route[0], path, err)
					continue
				}
				checkGarbageReply(t, route[0]+" "+path, r)
			}
		}
	}
	for _, name := range names { // one at a time, where the rest is right
		for _, text := range garbageTexts {
			for _, path := range []string{"/admin/users", "/admin/audit", "/verify", "/authorize", "/callback"} {
				path += "?" + url.Values{name: {text}}.Encode()
				checkGarbageReply(t, path, s.do("GET", path, nil, s.asAdmin()...))
			}
			path := "/verify?type=signup&token=x&" + url.Values{name: {text}}.Encode()
			checkGarbageReply(t, path, s.do("GET", path, nil))
		}
	}
}

func TestGarbageTokens(t *testing.T) {
	t.Parallel()
	s, _ := garbageSetup(t)
	odd := []any{nil, "", "x", 1, 1e300, true, []string{"a", "b"}, map[string]any{"a": nil}, "a\x00b", "11111111-1111-4111-8111-111111111111"}
	for _, claim := range []string{"sub", "session_id", "role", "aud", "exp", "nbf", "iat", "aal", "amr", "email"} {
		for _, value := range odd {
			claims := jwt.MapClaims{"sub": "11111111-1111-4111-8111-111111111111", "aud": "authenticated", "role": "service_role"}
			claims[claim] = value
			token := s.token(claims)
			for _, path := range []string{"GET /user", "PUT /user", "POST /logout", "GET /reauthenticate", "GET /admin/users", "POST /invite"} {
				method, path, _ := strings.Cut(path, " ")
				checkGarbageReply(t, fmt.Sprintf("%s %s with %s=%v", method, path, claim, value), s.do(method, path, "{}", bearer(token)...))
			}
		}
	}
}

// What Go's client would not send goes over a plain connection.
func TestGarbageOnTheWire(t *testing.T) {
	t.Parallel()
	s := setup(t)
	host := strings.TrimPrefix(s.URL, "http://")
	requests := []string{"GET /user HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + strings.Repeat("a", 100_000) + "\r\n\r\n"}
	for _, method := range []string{"HEAD", "TRACE", "CONNECT", "PROPFIND", "PATCH", "OPTIONS", "get", "X"} {
		for _, path := range []string{"/user", "/token", "/admin/users", "/nowhere", "//user", "/admin/users/x/y/z", "*"} {
			requests = append(requests, method+" "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		}
	}
	for _, name := range []string{
		"Authorization", "X-Forwarded-For", "Sb-Forwarded-For", "X-Forwarded-Host", "Accept-Language", "X-Supabase-Api-Version", "X-JWT-AUD", "redirect_to", "Referer",
		"User-Agent", "Origin", "Content-Type", "Access-Control-Request-Method",
	} {
		for _, value := range []string{"\xff\xfe", "a b c", "Bearer", "Bearer  x", "Bearer \xff", strings.Repeat("x", 30_000), "9999-99-99", "1.2.3.4, ::1%eth0", "\U0001F600", "http://[::1"} {
			for _, line := range []string{"GET /user", "POST /otp", "GET /verify?type=signup&token=x", "GET /admin/users"} {
				body := `{"email":"wire@example.com"}`
				requests = append(requests, fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s", line, name, value, len(body), body))
			}
		}
	}
	for _, request := range requests {
		status, body := rawRequest(t, host, request)
		if status >= http.StatusInternalServerError && status != http.StatusNotImplemented { // 501 is net/http's own
			t.Errorf("%.200q: %d %s", request, status, body)
		}
	}
}

func rawRequest(t *testing.T, host, request string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(conn, request) }() // the answer may come before the end of the request
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%.200q: %v", request, err)
		return 0, ""
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
	return res.StatusCode, string(text)
}
