package sql_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/postern-auth/postern/api/apitest"
)

const (
	addShop = `select postern.create_custom_provider('custom:shop', 'Shop', 'c1', 'secret-1', authorization_url => 'https://a/a',
		token_url => 'https://a/t', userinfo_url => 'https://a/u')`
	addCorp = `select postern.create_custom_provider('custom:corp', 'Corp', 'c2', 'secret-2', issuer => 'https://b')`
)

// The rules are those of the HTTP API, whose tests have every refusal; here is what differs for SQL callers.
func TestCustomProvidersBySQL(t *testing.T) {
	t.Parallel()
	const shop, corp = "create_custom_provider('custom:shop', 'Shop', 'c', 's', ", "create_custom_provider('custom:corp', 'Corp', 'c', 's', 'https://b'"
	const row = "select identifier, provider_type, name, client_id, client_secret, scopes, pkce_enabled, enabled, issuer, token_url, cached_discovery from auth.custom_oauth_providers order by identifier"
	for _, test := range []struct {
		call, want string
		after      [][2]string
	}{
		{"select p - '{id,created_at,updated_at}'::text[] from (" + addShop + " as p) as p",
			`("{""name"": ""Shop"", ""scopes"": [], ""enabled"": true, ""client_id"": ""c1"", ""token_url"": ""https://a/t"", ""identifier"": ""custom:shop"", ` +
				`""pkce_enabled"": true, ""userinfo_url"": ""https://a/u"", ""provider_type"": ""oauth2"", ""email_optional"": false, ""skip_nonce_check"": false, ` +
				`""attribute_mapping"": {}, ""authorization_url"": ""https://a/a"", ""authorization_params"": {}, ""acceptable_client_ids"": [], ""custom_claims_allowlist"": []}")`,
			[][2]string{
				{row, "(custom:shop,oauth2,Shop,c1,secret-1,{},t,t,,https://a/t,)"},
				{"select type, actor = session_user, data ->> 'identifier', user_id from postern.events", "(custom_provider.created,t,custom:shop,)"},
				{"select count(*) from auth.audit_log_entries", "(0)"},
				{addShop, "PT400 conflict: A custom OAuth provider with this identifier already exists"},
				{"select postern.update_custom_provider('custom:shop', name => 'S', client_secret => 'secret-9', scopes => '{b,a}', enabled => false, issuer => 'https://ignored') ->> 'name'", "(S)"},
				{row, "(custom:shop,oauth2,S,c1,secret-9,\"{b,a}\",t,f,,https://a/t,)"},
				{"select identifier, name, type, is_enabled, is_secret_encrypted, provider ->> 'client_id', provider::text like '%secret-%' from postern.list_custom_providers()",
					"(custom:shop,S,oauth2,f,f,c1,f)"},
				{"select count(*) from postern.list_custom_providers('oidc')", "(0)"},
				{"select postern.delete_custom_provider('custom:shop')", `("")`},
				{"select postern.delete_custom_provider('custom:shop')", "PT404 custom_provider_not_found: Custom OAuth provider not found"},
				{"select type from postern.events order by id", "(custom_provider.created)\n(custom_provider.updated)\n(custom_provider.deleted)"},
			}},
		{"select p ->> 'provider_type' from (" + addCorp + " as p) as p", "(oidc)", [][2]string{
			{row, "(custom:corp,oidc,Corp,c2,secret-2,{openid},t,t,https://b,,)"},
			{"select postern.update_custom_provider('custom:corp', client_secret => '{\"key_id\":\"k\",\"alg\":\"aes-gcm-hkdf\",\"data\":\"AA==\",\"nonce\":\"AAAAAAAAAAAAAAAA\"}') is null", "(f)"},
			{"select is_secret_encrypted, provider ? 'discovery_document' from postern.list_custom_providers('oidc')", "(t,f)"},
			{"select postern.update_custom_provider('custom:corp', scopes => '{}') -> 'scopes'", `("[""openid""]")`},
			{"select postern.update_custom_provider('custom:corp', discovery_url => 'https://b/d') ->> 'discovery_url'", "(https://b/d)"},
			{"select updated_at > created_at, updated_at - created_at < interval '1 ms' from auth.custom_oauth_providers", "(t,t)"}, // in one transaction
		}},
		{"select postern." + shop + "authorization_url => 'https://a')", "PT400 validation_failed: token_url is required for OAuth2 providers", nil},
		{"select postern.create_custom_provider(null, 'S', 'c', 's')", "PT400 validation_failed: identifier is required", nil},
		{"select postern.create_custom_provider('shop', null, 'c', 's')", "PT400 validation_failed: identifier must start with 'custom:' prefix, e.g. 'custom:shop'", nil},
		{"select postern." + corp + ", discovery_url => 'http://b')", "PT400 validation_failed: URL must use HTTPS", nil},
		{"select postern." + corp + ", discovery_url => 'https://')", "PT400 validation_failed: URL must use HTTPS", nil},
		{"select postern." + corp + ", attribute_mapping => '[]')", "PT400 validation_failed: attribute_mapping must be an object", nil},
		{"select postern." + corp + ", authorization_params => '7')", "PT400 validation_failed: authorization_params must be an object", nil},
		{"select postern." + corp + ", authorization_params => '{\"nonce\": \"x\"}')", "PT400 validation_failed: Cannot override reserved OAuth parameter: nonce", nil},
		{"select postern." + corp + ", custom_claims_allowlist => '{a,null}')", "PT400 validation_failed: custom_claims_allowlist entries must be non-empty strings", nil},
		{"select postern.create_custom_provider('custom:x_y', 'X', 'c', 's', 'https://b')", "PT400 validation_failed: identifier must have at most 50 characters of a-z, 0-9, ':' and '-', the last of them a letter or digit", nil},
		{"select postern.update_custom_provider('custom:shop')", "PT404 custom_provider_not_found: Custom OAuth provider not found", nil},
		{"select postern.update_custom_provider(null)", "PT400 validation_failed: identifier must start with 'custom:' prefix, e.g. 'custom:'", nil},
		{"select * from postern.list_custom_providers('saml')", "PT400 validation_failed: type must be either 'oauth2' or 'oidc'", nil},
	} {
		t.Run(test.call, func(t *testing.T) {
			tx := admin(t)
			if got := ask(t, tx, test.call); got != test.want {
				t.Errorf("%s:\n%s, want\n%s", test.call, got, test.want)
			}
			for _, question := range test.after {
				if got := ask(t, tx, question[0]); got != question[1] {
					t.Errorf("%s, then %s:\n%s, want\n%s", test.call, question[0], got, question[1])
				}
			}
		})
	}
}

// SQL callers follow the settings that a server published.
func TestCustomProvidersFollowPublishedSettings(t *testing.T) {
	t.Parallel()
	tx := apitest.Tx(t)
	publish := func(settings string) {
		t.Helper()
		ask(t, tx, "select postern_internal.publish_settings('"+settings+"')")
	}
	publish(`{"max_custom_providers": 1}`)
	if got := ask(t, tx, addCorp+" is null"); got != "(f)" {
		t.Error(got)
	}
	if got := ask(t, tx, addShop); got != "PT400 over_custom_provider_quota: Maximum number of custom OAuth/OIDC providers reached" {
		t.Error(got)
	}
	publish(`{"custom_providers_off": true}`)
	for _, call := range []string{
		addShop, "select postern.update_custom_provider('custom:corp')", "select postern.delete_custom_provider('custom:corp')",
		"select * from postern.list_custom_providers()",
	} {
		if got := ask(t, tx, call); got != "PT404 feature_disabled: Custom OAuth providers are disabled" {
			t.Errorf("%s: %s", call, got)
		}
	}
}

// Secrets of providers are for the server alone: administrators manage providers without seeing one, and nobody else
// reaches them at all.
func TestWhoReachesCustomProviders(t *testing.T) {
	t.Parallel()
	conn := connect(t, apitest.AdminURL(t, apitest.Database(t)), "")
	exec(t, conn, addShop)
	for role, isAdmin := range map[string]bool{
		"anon": false, "authenticated": false, "service_role": false, "postern_support": false, "postern_admin": true,
	} {
		for query, want := range map[string]bool{
			"select from postern.list_custom_providers()":                            isAdmin,
			"select postern.update_custom_provider('custom:shop', name => 'Shop 2')": isAdmin,
			"select postern.delete_custom_provider('custom:shop')":                   isAdmin,
			addCorp: isAdmin,
			"select client_secret from auth.custom_oauth_providers":                                       false,
			"update auth.custom_oauth_providers set issuer = 'https://x'":                                 false,
			"select postern_internal.usable_custom_provider('custom:shop', '{}')":                         false,
			"select postern_internal.list_sealed_values('custom_oauth_providers.client_secret', null, 1)": false,
		} {
			exec(t, conn, "begin", "set local role "+role)
			_, err := conn.Exec(t.Context(), query)
			exec(t, conn, "rollback")
			var pg *pgconn.PgError
			if isRefused := errors.As(err, &pg) && pg.Code == "42501"; isRefused == want || err != nil && !isRefused {
				t.Errorf("%s: %s: %v", role, query, err)
			}
		}
	}
}
