package api_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What postern.get_claims says a token will carry is what the token carries, claim by claim: at a sign-in, at a refresh, with
// a hook that changes claims, with an issuer and a lifetime of one's own. Only times and the id of a session yet to come differ.
func TestClaimsInSQLAreThoseOfTokens(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"plain":    nil,
		"settings": {"GOTRUE_JWT_ISSUER=https://issuer.example.com", "GOTRUE_JWT_EXP=1234"},
		"a hook": {"GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_ENABLED=true",
			"GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_URI=pg-functions://postgres/public/add_plan"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, settings...)
			s.exec(`create function public.add_plan(event jsonb) returns jsonb language sql as $$
				select jsonb_set(jsonb_set(event, '{claims,plan}', '"gold"'), '{claims,method}', event -> 'authentication_method') $$`)
			s.newUser("ann@example.com")
			signedIn := s.signIn("ann@example.com")
			said := s.claimsInSQL("select postern.get_claims('ann@example.com')")
			issued := payload(t, signedIn.AccessToken)
			sameClaims(t, "a sign-in", issued, said)
			if said["session_id"] == issued["session_id"] {
				t.Error("the session of the next sign-in is one that there is")
			}
			refreshed := s.do("POST", "/token?grant_type=refresh_token", m{"refresh_token": signedIn.RefreshToken})
			again := payload(t, s.need(refreshed, "access_token"))
			said = s.claimsInSQL("select postern.get_claims('ann@example.com', session_id => '" + again["session_id"].(string) + "')")
			sameClaims(t, "a refresh", again, said)
			if said["session_id"] != again["session_id"] {
				t.Errorf("session %v, want %v", said["session_id"], again["session_id"])
			}
		})
	}
}

func (s *server) claimsInSQL(query string) (claims map[string]any) {
	s.t.Helper()
	var text []byte
	if err := s.DB.QueryRow(s.t.Context(), query).Scan(&text); err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		s.t.Fatal(err)
	}
	return claims
}

// payload reads the claims of a token.
func payload(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// sameClaims compares all but the moments: the lifetime counts, and that a method has a time.
func sameClaims(t *testing.T, what string, issued, said map[string]any) {
	t.Helper()
	if diff := cmp.Diff(timeless(issued), timeless(said)); diff != "" {
		t.Errorf("%s (-token +SQL):\n%s", what, diff)
	}
}

func timeless(claims map[string]any) map[string]any {
	same := map[string]any{}
	for name, value := range claims {
		switch name {
		case "iat", "exp":
			same["lifetime"] = claims["exp"].(float64) - claims["iat"].(float64)
		case "session_id":
			same[name] = len(value.(string))
		case "amr":
			var methods []any
			for _, entry := range value.([]any) {
				method := entry.(map[string]any)
				methods = append(methods, []any{method["method"], method["timestamp"].(float64) > 0, len(method)})
			}
			same[name] = methods
		default:
			same[name] = value
		}
	}
	return same
}
