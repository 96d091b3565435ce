package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/seal"
	"github.com/postern-auth/postern/gen"
)

// The callback makes two statements; several servers follow a change at once, whoever made it.
func TestCustomProviderChangesCountEverywhere(t *testing.T) {
	t.Parallel()
	stage := stageOf(t, someToken, m{"sub": "7", "email": "ann@corp.example", "email_verified": true})
	dsn := apitest.Database(t)
	first, second := setupTexting(t, dsn, stage), setupTexting(t, dsn, stage)
	first.addCustomProvider(corpProvider(nil))
	const document = "GET " + corp + "/.well-known/openid-configuration"
	expect := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, stage.lines()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", what, diff)
		}
	}
	expect("creation", document)
	for range 2 {
		before := second.statements.Load()
		_, back := second.roundTrip("provider=custom:corp")
		if n := second.statements.Load() - before; n != 4 {
			t.Errorf("a visit takes %d statements, want 4", n)
		}
		second.userOf(back)
		expect("a visit with the document in the row", "POST "+corp+"/token", "GET "+corp+"/me")
	}

	stage.play(document, corpDocument(m{"authorization_endpoint": corp + "/v2/auth", "token_endpoint": shop + "/token"}))
	if r := first.do("PUT", "/admin/custom-providers/custom:corp", m{"issuer": corp, "client_id": "c3", "client_secret": "s3"}, first.asAdmin()...); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	expect("a given issuer", document)
	there, back := second.roundTrip("provider=custom:corp")
	second.userOf(back)
	if there.Path != "/v2/auth" || there.Query().Get("client_id") != "c3" {
		t.Errorf("the change does not count: %s", there)
	}
	expect("a visit after the change", "POST "+shop+"/token", "GET "+corp+"/me")

	// by SQL: the document is read by the server that needs it, and remembered until the next change
	second.exec("select postern.update_custom_provider('custom:corp', discovery_url => $1)", corp+"/doc")
	stage.play("GET "+corp+"/doc", corpDocument(m{"authorization_endpoint": corp + "/v3/auth"}))
	for i, s := range []*server{first, first, second} {
		if there := s.location("/authorize?provider=custom:corp"); there.Path != "/v3/auth" {
			t.Errorf("the change does not count: %s", there)
		}
		if i == 1 {
			expect("what one server remembers", "GET "+corp+"/doc")
		}
	}
	expect("what another server has to ask", "GET "+corp+"/doc")
	stage.play("GET "+corp+"/doc", corpDocument(m{"authorization_endpoint": corp + "/v4/auth"}))
	second.exec("select postern.update_custom_provider('custom:corp', name => 'Corp 2')")
	if there := first.location("/authorize?provider=custom:corp"); there.Path != "/v4/auth" {
		t.Errorf("a change of the name makes the document be read: %s", there)
	}
	second.exec("select postern.delete_custom_provider('custom:corp')")
	first.play([]scenario{{name: "deleted", path: "GET /authorize?provider=custom:corp", status: 400, code: "validation_failed"}})
}

// A stored document without algorithms, as the reference leaves it, or an old one is read anew.
func TestCustomProviderStoredDocument(t *testing.T) {
	t.Parallel()
	stage := stageOf(t, someToken, nil)
	s := setupTexting(t, apitest.Database(t), stage)
	id := s.addCustomProvider(corpProvider(nil))
	stage.lines()
	const document = "GET " + corp + "/.well-known/openid-configuration"
	for name, c := range map[string]struct {
		change string
		asks   int
	}{
		"fresh":              {"discovery_cached_at = now() - interval '10 minutes'", 0},
		"old":                {"discovery_cached_at = now() - interval '2 hours'", 1},
		"without algorithms": {"discovery_cached_at = now(), cached_discovery = cached_discovery - 'id_token_signing_alg_values_supported'", 1},
		"of another issuer":  {`discovery_cached_at = now(), cached_discovery = cached_discovery || '{"issuer": "https://x.example"}'`, 1},
		"none":               {"cached_discovery = null", 1},
	} {
		row := s.scan("select cached_discovery::text from auth.custom_oauth_providers")
		s.exec("update auth.custom_oauth_providers set updated_at = clock_timestamp(), " + c.change)
		s.location("/authorize?provider=custom:corp")
		if got := len(stage.lines()); got != c.asks {
			t.Errorf("%s: the document was read %d times", name, got)
		}
		s.exec("update auth.custom_oauth_providers set cached_discovery = $1 where id = $2", row, id)
	}
	// when it cannot be read again, what this version of the row said goes on to count
	s.exec("update auth.custom_oauth_providers set discovery_cached_at = now() - interval '2 hours', updated_at = clock_timestamp()")
	stage.play(document, nil)
	s.location("/authorize?provider=custom:corp")
}

// Discovery when a provider is made or changed.
func TestCustomProviderDiscovery(t *testing.T) {
	t.Parallel()
	stage := stageOf(t, nil, nil)
	s := setupTexting(t, apitest.Database(t), stage)
	const usual = corp + "/.well-known/openid-configuration"
	failed := `OIDC discovery from \"` + usual + `\" failed: `
	create := func(name string, body m, status int, want ...string) {
		t.Helper()
		administer(t, s, []adminStep{{name, "POST", "/admin/custom-providers", body, status, want}})
	}
	stage.play("GET "+usual, nil)
	create("no answer", corpProvider(nil), 400, failed+`Get \"`+usual)
	stage.play("GET "+usual, "no object")
	create("no object", corpProvider(nil), 400, failed+`GET `+usual)
	stage.play("GET "+usual, corpDocument(m{"issuer": corp + "/"}))
	create("another issuer", corpProvider(nil), 400,
		failed+`oidc: issuer did not match the issuer returned by provider, expected \"`+corp+`\" got \"`+corp+`/\"`)
	stage.play("GET "+usual, m{})
	create("empty", corpProvider(nil), 400,
		`"OIDC discovery document is missing required fields: issuer, authorization_endpoint, token_endpoint, jwks_uri"`)
	stage.play("GET "+usual, corpDocument(m{"token_endpoint": nil}))
	create("one missing", corpProvider(nil), 400, `"OIDC discovery document is missing required fields: token_endpoint"`)
	stage.play("GET "+usual, corpDocument(m{"padding": strings.Repeat("x", 1<<20)}))
	create("too large", corpProvider(nil), 400, failed)
	if n := s.scan("select count(*) from auth.custom_oauth_providers"); n != "0" {
		t.Fatalf("%s providers", n)
	}

	stage.play("GET "+usual, corpDocument(nil))
	create("works", corpProvider(m{"scopes": []string{"email"}, "authorization_url": "http://ignored"}), 201,
		`"scopes":["openid","email"]`, `"issuer":"`+corp+`"`, `"discovery_document":{`, `"userinfo_endpoint":"`+corp+`/me"`, `"scopes_supported":["openid"]`,
		`"response_types_supported":["code"]`, `"grant_types_supported":["authorization_code"]`, `"subject_types_supported":["public"]`,
		"!claims_supported", "!id_token_signing", "!discovery_url", "!authorization_url")
	if stage.lines(); s.scan("select (discovery_cached_at > now() - interval '1 minute')::text from auth.custom_oauth_providers") != "true" {
		t.Error("the document is not in the row")
	}
	const one = "/admin/custom-providers/custom:corp"
	stage.play("GET "+corp+"/other", corpDocument(m{"token_endpoint": corp + "/t2"}))
	administer(t, s, []adminStep{
		{"nothing about discovery", "PUT", one, object{"name": "C", "scopes": []string{}}, 200, []string{`"token_endpoint":"` + corp + `/token"`, `"scopes":["openid"]`}},
		{"another address", "PUT", one, object{"discovery_url": corp + "/other"}, 200, []string{`"token_endpoint":"` + corp + `/t2"`, `"discovery_url":"` + corp + `/other"`}},
		{"an issuer that is not there", "PUT", one, object{"issuer": shop}, 400, []string{`OIDC discovery from \"` + corp + `/other\" failed: oidc: issuer did not match`}},
		{"what was stays", "GET", one, nil, 200, []string{`"token_endpoint":"` + corp + `/t2"`, `"issuer":"` + corp + `"`}},
	})
	if diff := cmp.Diff([]string{"GET " + corp + "/other", "GET " + corp + "/other"}, stage.lines()); diff != "" {
		t.Error(diff)
	}
}

// Secrets are sealed for their row; those that SQL left are sealed at first use; all can be sealed under a new key.
func TestCustomProviderSecretsAreEncrypted(t *testing.T) {
	t.Parallel()
	stage := stageOf(t, someToken, m{"sub": "7", "email": "ann@corp.example", "email_verified": true})
	first := setupTexting(t, apitest.Database(t), stage, encryption("old")...)
	second := setupTexting(t, first.dsn, stage, encryption("new")...)
	off := setupTexting(t, first.dsn, stage, encryption("new")[3])
	stored := func() string { return first.scan("select client_secret from auth.custom_oauth_providers") }
	expect := func(what, id, key, plain string) {
		t.Helper()
		if got := keyOf(stored()); got != key {
			t.Errorf("%s: the secret is %s, want %s: %s", what, got, key, stored())
		}
		if got, _, err := sealer(t, "new").Open(id, stored()); err != nil || got != plain {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	visits := func(s *server, statements int64) {
		t.Helper()
		before := s.statements.Load()
		there := s.location("/authorize?provider=custom:shop")
		back := s.location("/callback?code=code-1&state=" + there.Query().Get("state"))
		if n := s.statements.Load() - before; n != statements {
			t.Errorf("a visit takes %d statements, want %d", n, statements)
		}
		s.userOf(back)
	}
	id := first.addCustomProvider(shopProvider(nil))
	expect("creation", id, "old", "s1")
	if _, _, err := sealer(t, "old").Open("00000000-0000-4000-8000-000000000001", stored()); err == nil {
		t.Error("the secret can be read in another row")
	}
	visits(first, 4)
	visits(off, 4)
	expect("use without a reason", id, "old", "s1")
	visits(second, 5)
	expect("use with another key", id, "new", "s1")
	first.do("PUT", "/admin/custom-providers/custom:shop", m{"client_secret": "s4"}, first.asAdmin()...)
	expect("change", id, "old", "s4")
	first.do("PUT", "/admin/custom-providers/custom:shop", m{"name": "Shop"}, second.asAdmin()...)
	expect("change of something else", id, "old", "s4")

	version := "select updated_at::text from auth.custom_oauth_providers"
	first.exec("select postern.update_custom_provider('custom:shop', client_secret => 's5')")
	expect("change by SQL", id, "plain", "s5")
	visits(off, 4)
	before := first.scan(version)
	visits(second, 5)
	expect("use of what SQL left", id, "new", "s5")
	if got := first.scan(version); got != before {
		t.Errorf("sealing is a change of the provider: %s, was %s", got, before)
	}
	if requests := strings.Join(stage.requests, "\n"); !strings.Contains(requests, "Authorization: Basic YzE6czU=") { // c1:s5
		t.Errorf("the provider did not get the secret: %s", requests)
	}

	done, err := sealer(t, "old").Rotate(t.Context(), gen.New(first.DB), "custom_oauth_providers.client_secret", 10,
		func(id string, err error) { t.Errorf("%s: %v", id, err) })
	if err != nil || done.Sealed != 1 {
		t.Errorf("rotation: %+v, %v", done, err)
	}
	expect("rotation", id, "old", "s5")
	visits(first, 4)

	// what no key opens is the operator's concern, and is not told
	first.exec("update auth.custom_oauth_providers set client_secret = $1", strings.Replace(stored(), `"old"`, `"gone"`, 1))
	if r := first.do("GET", "/authorize?provider=custom:shop", nil); r.Status != 500 || strings.Contains(r.Text, "gone") {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	if !strings.Contains(first.logged.String(), (seal.UnknownKeyError{ID: "gone"}).Error()[:20]) {
		t.Errorf("the log does not say why: %s", first.logged)
	}
}
