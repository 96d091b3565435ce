package api_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

// A session that ends takes the flows with it that would add an identity: whoever resets the password is alone.
func TestLinkingEndsWithTheSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		by   func(s *server, attacker session)
		want string
	}{
		"signed out": {func(s *server, attacker session) {
			s.do("POST", "/logout?scope=global", nil, bearer(s.signIn("ann@example.com").AccessToken)...)
		}, "session_not_found"},
		"a new password": {func(s *server, attacker session) {
			if r := s.do("PUT", "/user", m{"password": "another-horse-9"}, bearer(s.signIn("ann@example.com").AccessToken)...); r.Status != http.StatusOK {
				s.t.Fatalf("%d %s", r.Status, r.Text)
			}
		}, "bad_oauth_state"},
		"banned": {func(s *server, attacker session) {
			s.exec("update auth.users set banned_until = 'infinity'")
		}, "user_banned"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, visitors(t, hijacking)...)
			attacker := s.newSession("ann@example.com")
			linking := s.linkingTo(attacker, "github", "")
			end.by(s, attacker)
			if o := s.comeAs("attacker", linking); o.Error != end.want {
				t.Errorf("the flow ends with %+v, want %s", o, end.want)
			}
			if got := s.scan("select count(*) from auth.identities where provider = 'github'"); got != "0" {
				t.Error("the identity was added")
			}
		})
	}
}

// A flow that another server began has no session here, and ends as it does there.
func TestLinkingBegunElsewhere(t *testing.T) {
	t.Parallel()
	s := setup(t, visitors(t, hijacking)...)
	ann := s.newSession("ann@example.com")
	linking := s.linkingTo(ann, "github", "")
	s.exec("delete from postern.linking_flows")
	if o := s.comeAs("attacker", linking); o.Token == "" || s.claim(o.Token, "sub") != ann.UserID {
		t.Errorf("the flow ends with %+v", o)
	}
}

// A callback that has its flow already when the account changes hands finds that no session is behind it, even if the token
// that began it never had one.
func TestLinkingWhileTheAccountChangesHands(t *testing.T) {
	t.Parallel()
	s := setup(t, visitors(t, hijacking)...)
	id := s.newUser("ann@example.com")
	linking := s.linkingTo(session{AccessToken: s.token(jwt.MapClaims{"sub": id})}, "github", "")
	s.exec("update postern.linking_flows set flow_id = gen_random_uuid()") // as if the flow were locked: it stays
	s.exec("select postern_internal.end_flows($1::uuid)", id)
	s.exec("update postern.linking_flows set flow_id = $1::uuid", stateIn(t, linking))
	if o := s.comeAs("attacker", linking); o.Error != "session_not_found" {
		t.Errorf("the flow ends with %+v", o)
	}
}

// POSTERN_LINKING_POLICY=ask: the person hears what to do, and does it.
func TestLinkingPolicyAsk(t *testing.T) {
	t.Parallel()
	s := setup(t, append(visitors(t, hijacking), "POSTERN_LINKING_POLICY=ask")...)
	owner := s.newSession("victim@example.com")
	r := s.do("GET", "/callback?code=victim&state="+stateIn(t, s.do("GET", "/authorize?provider=github", nil).Header.Get("Location")), nil)
	target, _ := url.Parse(r.Header.Get("Location"))
	got := []string{target.Query().Get("error"), target.Query().Get("error_code"), target.Query().Get("error_description")}
	want := []string{"access_denied", "identity_linking_required", "An account with this email address exists. Sign in to it as before, then link github to it"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("error (-want +got):\n%s", d)
	}
	if got := s.scan("select (select count(*) from auth.users) || ' ' || (select count(*) from auth.identities)"); got != "1 1" {
		t.Errorf("users and identities: %s", got)
	}
	if o := s.comeAs("victim", s.linkingTo(owner, "github", "")); s.claim(o.Token, "sub") != owner.UserID {
		t.Errorf("linking leads to %+v", o)
	}
	if o := s.arrive("github", "victim"); s.claim(o.Token, "sub") != owner.UserID {
		t.Errorf("then, signing in leads to %+v", o)
	}
	if o := s.arrive("github", "attacker"); o.Token == "" { // whose address nobody has
		t.Errorf("somebody new comes to %+v", o)
	}
}

func stateIn(t testing.TB, authorizeURL string) string {
	t.Helper()
	u, err := url.Parse(authorizeURL)
	if err != nil || u.Query().Get("state") == "" {
		t.Fatalf("no state in %q", authorizeURL)
	}
	return u.Query().Get("state")
}
