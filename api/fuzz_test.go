package api_test

import (
	"net/url"
	"testing"
)

// fuzzSetup starts one server for all inputs of a fuzz target.
func fuzzSetup(f *testing.F) (s *server, on func(t *testing.T) *server) {
	f.Helper()
	s = setup(f, "GOTRUE_API_MAX_REQUEST_DURATION=60s")
	return s, func(t *testing.T) *server {
		copied := *s
		copied.t = t
		return &copied
	}
}

// FuzzRequest sends any body to any route: go test -fuzz FuzzRequest ./api/.
func FuzzRequest(f *testing.F) {
	s, on := fuzzSetup(f)
	routes := s.api.Routes()
	for i := range routes {
		f.Add(i, `{"email":"a@example.com","password":"`+password+`","data":{"a":1}}`, "11111111-1111-4111-8111-111111111111", "application/json", "2024-01-01")
	}
	for i, body := range garbageBodies() {
		f.Add(i, body, "x", "application/x-www-form-urlencoded", "")
	}
	admin := s.asAdmin()[1]
	f.Fuzz(func(t *testing.T, route int, body, id, contentType, version string) {
		r := routes[int(uint(route)%uint(len(routes)))]
		answer, err := on(t).try(r[0], fill(r[1], id), body, "Content-Type", contentType, "X-Supabase-Api-Version", version, "Authorization", admin)
		if err != nil {
			return // what no client can send
		}
		checkGarbageReply(t, r[0]+" "+r[1]+" "+body, answer)
	})
}

// FuzzVerifyQuery follows links with any parameters.
func FuzzVerifyQuery(f *testing.F) {
	_, on := fuzzSetup(f)
	for _, text := range garbageTexts {
		f.Add("signup", text, "https://app.example.com/"+text)
		f.Add(text, "pkce_x", text)
	}
	f.Fuzz(func(t *testing.T, linkType, token, target string) {
		query := url.Values{"type": {linkType}, "token": {token}, "redirect_to": {target}}.Encode()
		answer := on(t).do("GET", "/verify?"+query, nil)
		checkGarbageReply(t, query, answer)
		to, err := url.Parse(answer.Header.Get("Location"))
		if err != nil || answer.Status == 303 && to.Host != "app.example.com" {
			t.Errorf("%s leads to %s", query, answer.Header.Get("Location"))
		}
	})
}
