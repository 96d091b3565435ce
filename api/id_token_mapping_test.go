package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestIDTokenMapping is the table "claim mapping from ID tokens" of spec/02 section 12: what identity_data is made of, and
// which addresses count.
func TestIDTokenMapping(t *testing.T) {
	t.Parallel()
	const (
		facebookIss = "https://www.facebook.com"
		kakaoIss    = "https://kauth.kakao.com"
		vercelIss   = "https://marketplace.vercel.com"
		snapchatIss = "https://accounts.snapchat.com/accounts/oauth2/token"
		linkedInIss = "https://www.linkedin.com/oauth"
	)
	settings := []string{"GOTRUE_EXTERNAL_ALLOWED_ID_TOKEN_ISSUERS=" + linkedInIss + "," + anyIss}
	for _, name := range []string{"FACEBOOK", "KAKAO", "VERCEL_MARKETPLACE", "SNAPCHAT"} {
		settings = append(settings, "GOTRUE_EXTERNAL_"+name+"_ENABLED=true", "GOTRUE_EXTERNAL_"+name+"_CLIENT_ID=app")
	}
	s, world := setupIssuers(t, settings...)
	for _, iss := range []string{facebookIss, kakaoIss, vercelIss, snapchatIss, linkedInIss} {
		world.open(iss, nil)
	}
	all := m{
		"name": "Ida Lee", "given_name": "Ida", "family_name": "Lee", "nickname": "ida", "picture": "https://p.example/1",
		"locale": "de", "preferred_username": "ida.lee", "unknown": "claim", "nonce": nil,
	}
	plain := func(data m) m { data["sub"], data["email"] = "person-1", "ida@example.com"; return data }
	for name, c := range map[string]struct {
		provider, iss string
		claims        m
		nonce         string
		status        int
		want          m // identity_data without the two flags; iat and exp are only there
	}{
		"google": {provider: "google", iss: googleIss, claims: m{"hd": "example.com"}, status: 200, want: plain(m{
			"iss": googleIss, "provider_id": "person-1", "name": "Ida Lee", "full_name": "Ida Lee", "picture": "https://p.example/1",
			"avatar_url": "https://p.example/1", "custom_claims": m{"hd": "example.com"},
		})},
		"google, the older flag": {provider: "google", iss: googleIss, claims: m{"email_verified": nil, "verified_email": true}, status: 200},
		"google, not verified":   {provider: "google", iss: googleIss, claims: m{"email_verified": false}, status: 422},
		"google, a text":         {provider: "google", iss: googleIss, claims: m{"email_verified": "false"}, status: 422},
		"apple": {provider: "apple", iss: appleIss, claims: m{"email_verified": "false", "is_private_email": "true", "auth_time": 1, "transfer_sub": "t"}, status: 200,
			want: plain(m{"iss": appleIss, "provider_id": "person-1", "custom_claims": m{"is_private_email": true, "auth_time": 1.0, "transfer_sub": "t"}})},
		"azure": {provider: "azure", iss: tenantIss, claims: m{"tid": tenantID, "ver": "2.0", "oid": "o", "email_verified": nil}, status: 200, want: plain(m{
			"iss": tenantIss, "provider_id": "person-1", "preferred_username": "ida.lee", "full_name": "Ida Lee",
			"custom_claims": m{
				"email": "ida@example.com", "family_name": "Lee", "given_name": "Ida", "locale": "de", "nickname": "ida", "oid": "o",
				"picture": "https://p.example/1", "tid": tenantID, "unknown": "claim",
			},
		})},
		"azure, of another domain":    {provider: "azure", iss: tenantIss, claims: m{"xms_edov": false}, status: 422},
		"azure, of its domain":        {provider: "azure", iss: tenantIss, claims: m{"xms_edov": "1"}, status: 200},
		"azure's older form: generic": {provider: "azure", iss: oldAzureIss, claims: m{"email_verified": nil}, status: 422},
		"facebook, a nonce of nobody's": {provider: "facebook", iss: facebookIss, claims: m{"email_verified": false, "nonce": "x"}, status: 200,
			want: plain(m{"iss": facebookIss, "provider_id": "person-1", "name": "Ida Lee", "picture": "https://p.example/1"})},
		"kakao": {provider: "kakao", iss: kakaoIss, claims: m{"email_verified": nil, "nonce": hexSHA256("n")}, nonce: "n", status: 200,
			want: plain(m{"iss": kakaoIss, "provider_id": "person-1", "name": "ida", "preferred_username": "ida", "picture": "https://p.example/1"})},
		"kakao, nonce missing": {provider: "kakao", iss: kakaoIss, claims: m{"nonce": "x"}, status: 400},
		"vercel_marketplace": {provider: "vercel_marketplace", iss: vercelIss, status: 200,
			claims: m{"email": nil, "user_email": "ida@example.com", "user_name": "Ida", "user_avatar_url": "https://v.example/1", "global_user_id": "g1"},
			want:   m{"iss": vercelIss, "sub": "global_user_id:g1", "provider_id": "global_user_id:g1", "email": "ida@example.com", "name": "Ida", "picture": "https://v.example/1"}},
		"snapchat": {provider: "snapchat", iss: snapchatIss, claims: m{"email_verified": false}, status: 200, want: plain(m{
			"iss": snapchatIss, "aud": []any{"app"}, "name": "Ida Lee", "given_name": "Ida", "family_name": "Lee", "nickname": "ida",
			"picture": "https://p.example/1", "locale": "de", "preferred_username": "ida.lee",
		})},
		"linkedin": {iss: linkedInIss, claims: m{"email_verified": "true"}, status: 200, want: plain(m{
			"iss": linkedInIss, "provider_id": "person-1", "name": "Ida Lee", "given_name": "Ida", "family_name": "Lee", "locale": "de",
			"picture": "https://p.example/1",
		})},
		"linkedin, not verified": {iss: linkedInIss, claims: m{"email_verified": "false"}, status: 422},
		"linkedin, unreadable":   {iss: linkedInIss, claims: m{"email_verified": "maybe"}, status: 400},
		"any other": {iss: anyIss, status: 200, want: plain(m{
			"iss": anyIss, "aud": []any{"app"}, "name": "Ida Lee", "given_name": "Ida", "family_name": "Lee", "nickname": "ida",
			"picture": "https://p.example/1", "locale": "de", "preferred_username": "ida.lee",
		})},
		"any other, a text": {iss: anyIss, claims: m{"email_verified": "true"}, status: 422},
	} {
		t.Run(name, func(t *testing.T) {
			s.exec("delete from auth.users")
			claims := m{}
			for _, more := range []m{all, c.claims} {
				for k, v := range more {
					claims[k] = v
				}
			}
			r := s.grant(m{"provider": c.provider, "issuer": c.iss, "client_id": "app", "nonce": c.nonce, "id_token": idToken(c.iss, claims)})
			if r.Status != c.status {
				t.Fatalf("%d %s", r.Status, r.Text)
			}
			if c.want == nil {
				return
			}
			identities := at(r.Body, "user.identities").([]any)
			data := at(identities[0], "identity_data").(map[string]any)
			for _, known := range []string{"email_verified", "phone_verified", "iat", "exp"} {
				delete(data, known)
			}
			if diff := cmp.Diff(map[string]any(c.want), data); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
