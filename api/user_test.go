package api_test

import (
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestGetUser(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	gone := "11111111-1111-4111-8111-111111111111"
	for _, c := range []struct {
		name, token string
		status      int
		code        string
	}{
		{"own token", ann.AccessToken, http.StatusOK, ""},
		{"no token", "", http.StatusUnauthorized, "no_authorization"},
		{"garbage", "abc", http.StatusForbidden, "bad_jwt"},
		{"nobody", s.token(jwt.MapClaims{"sub": gone, "aud": "authenticated"}), http.StatusForbidden, "user_not_found"},
		{"no sub", s.token(jwt.MapClaims{"role": "anon"}), http.StatusForbidden, "bad_jwt"},
		{"sub is no id", s.token(jwt.MapClaims{"sub": "x"}), http.StatusBadRequest, "bad_jwt"},
		{"no such session", s.token(jwt.MapClaims{"sub": ann.UserID, "aud": "authenticated", "session_id": gone}), http.StatusForbidden, "session_not_found"},
		{"no session", s.token(jwt.MapClaims{"sub": ann.UserID, "aud": "authenticated"}), http.StatusOK, ""},
		{"no audience", s.token(jwt.MapClaims{"sub": ann.UserID}), http.StatusBadRequest, "validation_failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.do("GET", "/user", nil, bearer(c.token)...)
			if r.Status != c.status || r.Header.Get("X-Sb-Error-Code") != c.code {
				t.Errorf("got %d %s", r.Status, r.Text)
			}
			if c.status == http.StatusOK && r.Body["id"] != ann.UserID {
				t.Errorf("got user %v", r.Body["id"])
			}
		})
	}
}
