package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/apitest"
)

// acmeURL is an address that anybody may name, and that nobody is asked about.
const acmeURL = "https://93.184.215.14"

// oauth2Provider and oidcProvider are bodies of POST /admin/custom-providers with other members; nil removes one.
func oauth2Provider(changes m) m {
	return changed(m{
		"provider_type": "oauth2", "identifier": "custom:acme", "name": "Acme", "client_id": "c1", "client_secret": "s1",
		"authorization_url": acmeURL + "/authorize", "token_url": acmeURL + "/token", "userinfo_url": acmeURL + "/me",
	}, changes)
}

func oidcProvider(changes m) m {
	return changed(m{
		"provider_type": "oidc", "identifier": "custom:corp", "name": "Corp", "client_id": "c2", "client_secret": "s2",
		"issuer": acmeURL,
	}, changes)
}

func changed(all, changes m) m {
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// Every refusal of POST, in the order of the checks: each body has the faults of those that come later, too.
func TestCreateCustomProviderRefusals(t *testing.T) {
	t.Parallel()
	s := setup(t)
	administer(t, s, []adminStep{{"the first", "POST", "/admin/custom-providers", oauth2Provider(nil), 201, nil}})
	many := strings.Repeat("x", 513)
	for _, c := range []struct {
		body          any
		code, message string
	}{
		{"{", "bad_json", "Could not parse request body as JSON: unexpected end of JSON input"},
		{`{"name": 7}`, "bad_json", "Could not parse request body as JSON: json: cannot unmarshal number into Go struct field customProviderParams.name of type string"},
		{m{}, "validation_failed", "provider_type must be either 'oauth2' or 'oidc'"},
		{m{"provider_type": "ldap"}, "validation_failed", "provider_type must be either 'oauth2' or 'oidc'"},
		{m{"provider_type": "oauth2"}, "validation_failed", "identifier is required"},
		{m{"provider_type": "oauth2", "identifier": "acme"}, "validation_failed", "identifier must start with 'custom:' prefix, e.g. 'custom:acme'"},
		{m{"provider_type": "oauth2", "identifier": "Custom:acme"}, "validation_failed", "identifier must start with 'custom:' prefix, e.g. 'custom:Custom:acme'"},
		{m{"provider_type": "oidc", "identifier": "custom:X"}, "validation_failed", "name is required"},
		{m{"provider_type": "oidc", "identifier": "custom:X", "name": "X"}, "validation_failed", "client_id is required"},
		{m{"provider_type": "oidc", "identifier": "custom:X", "name": "X", "client_id": "c"}, "validation_failed", "client_secret is required"},
		{oidcProvider(m{"issuer": nil, "authorization_params": m{"state": "x"}}), "validation_failed", "issuer is required for OIDC providers"},
		{oauth2Provider(m{"authorization_url": nil, "token_url": nil}), "validation_failed", "authorization_url is required for OAuth2 providers"},
		{oauth2Provider(m{"token_url": nil, "userinfo_url": nil}), "validation_failed", "token_url is required for OAuth2 providers"},
		{oauth2Provider(m{"userinfo_url": nil, "authorization_params": m{"state": "x"}}), "validation_failed", "userinfo_url is required for OAuth2 providers"},
		{oauth2Provider(m{"authorization_params": m{"prompt": 7}, "attribute_mapping": m{"role": "x"}}), "validation_failed", `Authorization parameter "prompt" must be a string`},
		{oauth2Provider(m{"authorization_params": m{"prompt": nil}}), "validation_failed", `Authorization parameter "prompt" must be a string`},
		{oauth2Provider(m{"attribute_mapping": m{"role": "x"}, "custom_claims_allowlist": []string{""}}), "validation_failed", "Cannot map to protected system field: role"},
		{oauth2Provider(m{"custom_claims_allowlist": []string{"groups", " \t"}, "token_url": "http://x"}), "validation_failed", "custom_claims_allowlist entries must be non-empty strings"},
		{oauth2Provider(m{"token_url": "%zz"}), "validation_failed", "Invalid URL format"},
		{oauth2Provider(m{"userinfo_url": "http://93.184.215.14/me"}), "validation_failed", "URL must use HTTPS"},
		{oauth2Provider(m{"token_url": "https:///token"}), "validation_failed", "URL must have a valid hostname"},
		{oauth2Provider(m{"token_url": "https://localhost/token"}), "validation_failed", "URL cannot point to localhost or loopback addresses"},
		{oauth2Provider(m{"token_url": "https://127.0.0.1/token"}), "validation_failed", "URL cannot point to localhost or loopback addresses"},
		{oauth2Provider(m{"token_url": "https://10.1.2.3/token"}), "validation_failed", "URL cannot resolve to private network addresses"},
		{oauth2Provider(m{"token_url": "https://169.254.1.1/token"}), "validation_failed", "URL cannot resolve to link-local addresses"},
		{oauth2Provider(m{"token_url": "https://169.254.169.254/token"}), "validation_failed", "URL cannot resolve to cloud metadata endpoints"},
		{oauth2Provider(m{"jwks_uri": "https://[ff02::1]/"}), "validation_failed", "URL cannot resolve to multicast addresses"},
		{oauth2Provider(m{"token_url": "https://0.0.0.0/token"}), "validation_failed", "URL cannot resolve to unspecified addresses"},
		{oidcProvider(m{"issuer": "https://10.0.0.1"}), "validation_failed", "URL cannot resolve to private network addresses"},
		{oidcProvider(m{"discovery_url": "https://10.0.0.1/d"}), "validation_failed", "URL cannot resolve to private network addresses"},
		{oauth2Provider(m{"token_url": "http://x"}), "validation_failed", "URL must use HTTPS"}, // before the duplicate
		{oauth2Provider(m{"identifier": "custom:"}), "validation_failed", "identifier must have at most 50 characters of a-z, 0-9, ':' and '-', the last of them a letter or digit"},
		{oauth2Provider(m{"identifier": "custom:Acme"}), "validation_failed", "identifier must have at most 50 characters of a-z, 0-9, ':' and '-', the last of them a letter or digit"},
		{oauth2Provider(m{"identifier": "custom:b", "name": many}), "validation_failed", "name must have at most 100 characters"},
		{oauth2Provider(m{"identifier": "custom:b", "client_id": many}), "validation_failed", "client_id must have at most 512 characters"},
		{oauth2Provider(m{"identifier": "custom:b", "token_url": acmeURL + "/" + strings.Repeat("x", 2048)}), "validation_failed", "token_url must have at most 2048 characters"},
		{oauth2Provider(m{"identifier": "custom:b", "token_url": "HTTPS://93.184.215.14/token"}), "validation_failed", "URL must use HTTPS"},
		{oauth2Provider(nil), "conflict", "A custom OAuth provider with this identifier already exists"},
	} {
		s.play([]scenario{{
			name: c.message, path: "POST /admin/custom-providers", body: c.body, header: s.asAdmin(), status: 400, code: c.code,
			text: string(quoted(c.message)),
		}})
	}
	if n := s.scan("select count(*) from auth.custom_oauth_providers"); n != "1" {
		t.Errorf("%s providers", n)
	}
}

func quoted(text string) []byte {
	q, _ := json.Marshal(text) // a text: cannot fail
	return q
}

// Names that the protocol and the server reserve (spec/08 section 5).
func TestCustomProviderReservedNames(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, name := range []string{"client_id", "client_secret", "redirect_uri", "response_type", "state", "code_challenge",
		"code_challenge_method", "code_verifier", "nonce"} {
		s.play([]scenario{{
			name: name, path: "POST /admin/custom-providers", body: oauth2Provider(m{"authorization_params": m{name: "x"}}),
			header: s.asAdmin(), status: 400, code: "validation_failed", text: "Cannot override reserved OAuth parameter: " + name,
		}})
	}
	for _, name := range []string{"id", "aud", "role", "app_metadata", "created_at", "updated_at", "confirmed_at",
		"email_confirmed_at", "phone_confirmed_at", "email_verified", "phone_verified", "banned_until", "is_super_admin"} {
		s.play([]scenario{{
			name: name, path: "POST /admin/custom-providers", body: oauth2Provider(m{"attribute_mapping": m{name: "x"}}),
			header: s.asAdmin(), status: 400, code: "validation_failed", text: "Cannot map to protected system field: " + name,
		}})
	}
	// the exact case counts, and other names are free
	administer(t, s, []adminStep{{"others", "POST", "/admin/custom-providers", oauth2Provider(m{
		"authorization_params": m{"State": "x", "prompt": "login"}, "attribute_mapping": m{"Role": "x", "name": "display_name"},
	}), 201, []string{`"authorization_params":{"State":"x","prompt":"login"}`, `"attribute_mapping":{"Role":"x","name":"display_name"}`}}})
}

func TestCustomProviderLife(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const all, one = "/admin/custom-providers", "/admin/custom-providers/custom:acme"
	administer(t, s, []adminStep{
		{"none", "GET", all, nil, 200, []string{`{"providers":[]}`}},
		{"create", "POST", all + "/", oauth2Provider(m{
			"scopes": []string{"email"}, "acceptable_client_ids": []string{"ios"}, "custom_claims_allowlist": []string{"groups"},
			"jwks_uri": acmeURL + "/keys", "pkce_enabled": false, "enabled": false, "email_optional": true, "skip_nonce_check": true,
			"issuer": "http://ignored", "discovery_url": "ignored",
		}), 201, []string{`"scopes":["email"]`, `"acceptable_client_ids":["ios"]`, `"custom_claims_allowlist":["groups"]`,
			`"pkce_enabled":false`, `"enabled":false`, `"email_optional":true`, `"skip_nonce_check":true`, `"jwks_uri"`,
			"!secret", "!issuer", "!discovery"}},
		{"get", "GET", one, nil, 200, []string{`"identifier":"custom:acme"`, "!secret"}},
		{"get, trailing slash", "GET", one + "/", nil, 200, nil},
		{"get, without prefix", "GET", all + "/acme", nil, 400, []string{"identifier must start with 'custom:' prefix, e.g. 'custom:acme'"}},
		{"get, encoded", "GET", all + "/custom%3Aacme", nil, 400, []string{"identifier must start with 'custom:' prefix, e.g. 'custom:custom%3Aacme'"}},
		{"get, unknown", "GET", all + "/custom:b", nil, 404, []string{"custom_provider_not_found", "Custom OAuth provider not found"}},
		{"update nothing", "PUT", one, object{}, 200, []string{`"name":"Acme"`, `"scopes":["email"]`, `"pkce_enabled":false`}},
		{"what does not change", "PUT", one, object{
			"name": "", "client_id": "", "client_secret": "", "token_url": "", "scopes": nil, "enabled": nil, "attribute_mapping": nil,
			"identifier": "custom:b", "provider_type": "oidc", "issuer": acmeURL,
		}, 200, []string{`"identifier":"custom:acme"`, `"provider_type":"oauth2"`, `"name":"Acme"`, `"client_id":"c1"`, `"scopes":["email"]`, "!issuer"}},
		{"all that can", "PUT", one, object{
			"name": "Acme 2", "client_id": "c9", "client_secret": "s9", "scopes": []string{}, "acceptable_client_ids": []string{},
			"custom_claims_allowlist": []string{}, "authorization_params": object{"prompt": "login"}, "attribute_mapping": object{"sub": "id"},
			"pkce_enabled": true, "enabled": true, "email_optional": false, "skip_nonce_check": false,
			"authorization_url": acmeURL + "/a", "token_url": acmeURL + "/t", "userinfo_url": acmeURL + "/u", "jwks_uri": acmeURL + "/j",
		}, 200, []string{`"name":"Acme 2"`, `"client_id":"c9"`, `"scopes":[]`, `"acceptable_client_ids":[]`, `"custom_claims_allowlist":[]`,
			`"prompt":"login"`, `"sub":"id"`, `"pkce_enabled":true`, `"enabled":true`, `"email_optional":false`, `"skip_nonce_check":false`,
			acmeURL + "/a", acmeURL + "/t", acmeURL + "/u", acmeURL + "/j", "!s9"}},
		{"update, bad body", "PUT", one, "{", 400, []string{"bad_json"}},
		{"update of none, bad body", "PUT", all + "/custom:b", "{", 404, []string{"custom_provider_not_found"}},
		{"update, without prefix", "PUT", all + "/acme", object{}, 400, []string{"identifier must start with"}},
		{"update, parameter", "PUT", one, object{"authorization_params": object{"nonce": "x"}}, 400, []string{"Cannot override reserved OAuth parameter: nonce"}},
		{"update, mapping", "PUT", one, object{"attribute_mapping": object{"aud": "x"}}, 400, []string{"Cannot map to protected system field: aud"}},
		{"update, allowlist", "PUT", one, object{"custom_claims_allowlist": []string{""}}, 400, []string{"custom_claims_allowlist entries"}},
		{"update, address", "PUT", one, object{"token_url": "https://10.0.0.1"}, 400, []string{"private network addresses"}},
		{"update, too long", "PUT", one, object{"name": strings.Repeat("é", 101)}, 400, []string{"name must have at most 100 characters"}},
		{"list, bad type", "GET", all + "?type=saml", nil, 400, []string{"type must be either 'oauth2' or 'oidc'"}},
		{"list of the other type", "GET", all + "?type=oidc", nil, 200, []string{`{"providers":[]}`}},
		{"list of the type", "GET", all + "?type=oauth2", nil, 200, []string{`"custom:acme"`, "!s9"}},
		{"second", "POST", all, oauth2Provider(m{"identifier": "custom:b"}), 201, nil},
		{"newest first", "GET", all + "/", nil, 200, []string{`"custom:b"`}},
		{"delete, without prefix", "DELETE", all + "/acme", nil, 400, []string{"identifier must start with"}},
		{"delete", "DELETE", one, nil, 204, nil},
		{"delete again", "DELETE", one, nil, 404, []string{"custom_provider_not_found"}},
	})
	want := "custom_provider.created acme,custom_provider.updated acme,custom_provider.updated acme,custom_provider.updated acme," +
		"custom_provider.created b,custom_provider.deleted acme"
	if got := s.scan(`select string_agg(type || ' ' || substr(data ->> 'identifier', 8), ',' order by id) from postern.events
		where actor = 'service_role' and data::text not like '%s9%'`); got != want {
		t.Errorf("events: %s", got)
	}
	if n := s.scan("select count(*) from auth.audit_log_entries"); n != "0" {
		t.Errorf("%s audit entries, the reference writes none", n)
	}
}

func TestCustomProvidersNewestFirst(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, id := range []string{"custom:one", "custom:two", "custom:three"} {
		administer(t, s, []adminStep{{id, "POST", "/admin/custom-providers", oauth2Provider(m{"identifier": id}), 201, nil}})
	}
	r := s.do("GET", "/admin/custom-providers", nil, s.asAdmin()...)
	var got []string
	for _, p := range r.Body["providers"].([]any) {
		got = append(got, p.(m)["identifier"].(string))
	}
	if diff := cmp.Diff([]string{"custom:three", "custom:two", "custom:one"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCustomProvidersOff(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_CUSTOM_OAUTH_ENABLED=false")
	for _, path := range []string{
		"GET /admin/custom-providers?type=saml", "POST /admin/custom-providers", "GET /admin/custom-providers/custom:acme",
		"PUT /admin/custom-providers/acme", "DELETE /admin/custom-providers/custom:acme",
	} {
		var body any
		if strings.HasPrefix(path, "P") {
			body = "{"
		}
		s.play([]scenario{
			{name: path, path: path, body: body, header: s.asAdmin(), status: 404, code: "feature_disabled", text: "Custom OAuth providers are disabled"},
		})
		if r := s.do(strings.Fields(path)[0], strings.Fields(path)[1], body); r.Status != 401 {
			t.Errorf("%s without a token: %d %s", path, r.Status, r.Text)
		}
	}
	s.play([]scenario{{
		name: "authorize", path: "GET /authorize?provider=custom:acme", status: 400, code: "validation_failed",
		text: "Unsupported provider: custom OAuth providers are disabled",
	}})
}

// Parallel calls do not get past the quota, and of one identifier there is one.
func TestCustomProviderQuota(t *testing.T) {
	t.Parallel()
	dsn := apitest.Database(t)
	s := setupOn(t, dsn, "GOTRUE_CUSTOM_OAUTH_MAX_PROVIDERS=3")
	statuses := func(s *server, count int, identifier func(i int) string) map[string]int32 {
		var created, refused atomic.Int32
		var done sync.WaitGroup
		for i := range count {
			done.Go(func() {
				r, err := s.try("POST", "/admin/custom-providers", oauth2Provider(m{"identifier": identifier(i)}), s.asAdmin()...)
				switch {
				case err != nil:
					t.Error(err)
				case r.Status == 201:
					created.Add(1)
				case r.Body["error_code"] == "over_custom_provider_quota" || r.Body["error_code"] == "conflict":
					refused.Add(1)
				default:
					t.Errorf("%d %s", r.Status, r.Text)
				}
			})
		}
		done.Wait()
		return map[string]int32{"created": created.Load(), "refused": refused.Load()}
	}
	if diff := cmp.Diff(map[string]int32{"created": 3, "refused": 13}, statuses(s, 16, func(i int) string {
		return fmt.Sprintf("custom:p%d", i)
	})); diff != "" {
		t.Error(diff)
	}
	s.play([]scenario{{
		name: "full", path: "POST /admin/custom-providers", body: oauth2Provider(m{"token_url": "http://x"}), header: s.asAdmin(), status: 400,
		code: "over_custom_provider_quota", text: "Maximum number of custom OAuth/OIDC providers reached",
	}})
	unlimited := setupOn(t, dsn)
	if diff := cmp.Diff(map[string]int32{"created": 1, "refused": 15}, statuses(unlimited, 16, func(int) string { return "custom:same" })); diff != "" {
		t.Error(diff)
	}
}
