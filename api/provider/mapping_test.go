package provider

import (
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
)

// TestMappingOfIDTokens reads tokens that clients bring and redirects do not (spec/02 section 12). Those of redirects are
// in the recordings of package api.
func TestMappingOfIDTokens(t *testing.T) {
	t.Parallel()
	const tenant = "/8c6e0a24-51f3-11ee-be56-0242ac120002/"
	for name, test := range map[string]struct {
		claims rawClaims
		want   *Identity // nil: refused
	}{
		"Facebook, Limited Login": {
			rawClaims{
				"iss": "https://www.facebook.com", "aud": "1", "sub": "10225823487991710", "iat": 1732531200., "jti": "j",
				"email": "ann@example.com", "name": "Ann Example", "given_name": "Ann", "picture": "https://fb.example/p",
			},
			&Identity{
				Subject: "10225823487991710", Emails: []Email{{"ann@example.com", true, true}}, Data: map[string]any{
					"iss": "https://www.facebook.com", "sub": "10225823487991710", "provider_id": "10225823487991710",
					"name": "Ann Example", "picture": "https://fb.example/p",
				},
			},
		},
		"Facebook, no address": {
			rawClaims{"iss": "https://www.facebook.com", "sub": "1"},
			&Identity{Subject: "1", Emails: []Email{}, Data: map[string]any{
				"iss": "https://www.facebook.com", "sub": "1", "provider_id": "1",
			}},
		},
		"Snapchat": {
			rawClaims{
				"iss": snapchatIssuer, "aud": "a", "sub": "s", "email": "ann@example.com", "email_verified": false, "name": "Ann",
				"nickname": "ann", "picture": "https://sdk.bitmoji.com/ann.png", "iat": 1732531200., "tid": "t",
			},
			&Identity{Subject: "s", Emails: []Email{{"ann@example.com", true, true}}, Data: map[string]any{
				"iss": snapchatIssuer, "aud": []any{"a"}, "sub": "s", "name": "Ann", "nickname": "ann",
				"picture": "https://sdk.bitmoji.com/ann.png", "iat": 1732531200.,
			}},
		},
		"Snapchat, no address": {
			rawClaims{"iss": snapchatIssuer, "sub": "s"},
			&Identity{Subject: "s", Emails: []Email{}, Data: map[string]any{"iss": snapchatIssuer, "sub": "s"}},
		},
		"Kakao": {
			rawClaims{
				"iss": "https://kauth.kakao.com", "aud": "k", "sub": "4283915132", "auth_time": 1732531200., "nickname": "홍길동",
				"picture": "http://k.kakaocdn.net/dn/a/img_110x110.jpg", "email": "hong@kakao.example",
			},
			&Identity{
				Subject: "4283915132", Emails: []Email{{"hong@kakao.example", true, true}}, Data: map[string]any{
					"iss": "https://kauth.kakao.com", "sub": "4283915132", "provider_id": "4283915132", "name": "홍길동",
					"preferred_username": "홍길동", "picture": "http://k.kakaocdn.net/dn/a/img_110x110.jpg",
				},
			},
		},
		"Azure, version 1 tokens are read like those of any issuer": {
			rawClaims{
				"iss": "https://sts.windows.net" + tenant, "aud": "a", "sub": "s", "email": "ann@example.com", "tid": "t",
				"xms_edov": true, "name": "Ann", "iat": 1732531200.,
			},
			&Identity{Subject: "s", Emails: []Email{{"ann@example.com", false, true}}, Data: map[string]any{
				"iss": "https://sts.windows.net" + tenant, "aud": []any{"a"}, "sub": "s", "name": "Ann", "iat": 1732531200.,
			}},
		},
		"LinkedIn, the flag is no text": {
			rawClaims{
				"iss": "https://www.linkedin.com/oauth", "sub": "s", "email": "ann@example.com", "email_verified": []any{true},
			},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := &IDToken{IDToken: &oidc.IDToken{Issuer: test.claims.text("iss")}, claims: test.claims}
			got, err := token.Identity()
			if (err != nil) != (test.want == nil) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestIssuers tells issuers of a provider from those that only look like them.
func TestIssuers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		provider definition
		iss      string
		want     bool
	}{
		{apple(), "https://appleid.apple.com", true},
		{apple(), "https://account.apple.com", true},
		{apple(), "https://account.apple.com/", false},
		{apple(), "", false},
		{azure(), "https://login.microsoftonline.com/8c6e0a24-51f3-11ee-be56-0242ac120002/v2.0", true},
		{azure(), "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0/", true},
		{azure(), "https://login.microsoftonline.com//v2.0", false},
		{azure(), "https://login.microsoftonline.com/a/b/v2.0", false},
		{azure(), "https://login.microsoftonline.com/a?/v2.0", false},
		{azure(), "https://login.microsoftonline.com/a/v2.0.evil", false},
		{azure(), "https://login.microsoftonline.com@evil.example/a/v2.0", false},
		{azure(), "http://login.microsoftonline.com/a/v2.0", false},
		{azure(), "https://contoso.ciamlogin.com/a/v2.0", false},
		{azure(), "", false},
		{facebook(), "https://www.facebook.com", true},
		{kakao(), "https://kauth.kakao.com", true},
		{kakao(), "https://kapi.kakao.com", false},
		{linkedin(), "https://www.linkedin.com/oauth", false},
		{linkedinOIDC(), "https://www.linkedin.com/oauth", true},
		{linkedinOIDC(), "https://www.linkedin.com", false},
	} {
		if got := test.provider.hasIssuer(test.iss); got != test.want {
			t.Errorf("%q: %v", test.iss, got)
		}
	}
}
