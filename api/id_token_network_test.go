package api_test

import (
	"testing"

	"github.com/postern-auth/postern/api/apitest/idp"
)

// TestIDTokenNetwork brings tokens of a provider that misbehaves, over the network.
func TestIDTokenNetwork(t *testing.T) {
	t.Parallel()
	p := idp.Start(t, idp.Options{})
	settings := []string{
		"GOTRUE_EXTERNAL_KEYCLOAK_ENABLED=true", "GOTRUE_EXTERNAL_KEYCLOAK_CLIENT_ID=app", "GOTRUE_EXTERNAL_KEYCLOAK_URL=" + p.URL,
		"GOTRUE_INTERNAL_HTTP_TIMEOUT=1s",
	}
	s := setup(t, settings...)
	grant := func(s *server) response {
		return s.grant(m{"provider": "keycloak", "id_token": p.IDToken("app", nil), "access_token": "at"})
	}
	for _, flaw := range idp.Flaws() {
		if flaw == idp.WrongAtHash { // these tokens have none
			continue
		}
		p.Set(func(k *idp.Knobs) { k.Flaw = flaw })
		if r := grant(s); r.Status != 400 {
			t.Errorf("%s: %d %s", flaw, r.Status, r.Text)
		}
	}
	if n := s.scan("select count(*) from auth.users"); n != "0" {
		t.Errorf("%s accounts", n)
	}
	for _, algorithm := range []string{"RS256", "ES256"} {
		for _, flaw := range []idp.Flaw{"", idp.AudienceList, idp.NoKid} {
			p.Set(func(k *idp.Knobs) { k.Flaw, k.Algorithm = flaw, algorithm })
			p.RotateKeys(t)
			if r := grant(s); r.Status != 200 {
				t.Errorf("%s %s: %d %s", algorithm, flaw, r.Status, r.Text)
			}
		}
	}
	p.Set(func(k *idp.Knobs) { k.Flaw = "" })
	for _, fault := range idp.Faults() { // a server that knows nothing yet, and this one, which knows keys of before
		p.Set(func(k *idp.Knobs) { k.Discovery, k.Keys = fault, idp.OK })
		fresh := setupOn(t, s.dsn, settings...)
		if r := grant(fresh); r.Status != 500 || r.Text != unexpectedBody {
			t.Errorf("document, %s: %d %s", fault, r.Status, r.Text)
		}
		p.Set(func(k *idp.Knobs) { k.Discovery, k.Keys = idp.OK, fault })
		if r := grant(fresh); r.Text != badIDToken {
			t.Errorf("keys, %s: %d %s", fault, r.Status, r.Text)
		}
		if r := grant(s); r.Status != 200 {
			t.Errorf("keys that are known, %s: %d %s", fault, r.Status, r.Text)
		}
	}
}
