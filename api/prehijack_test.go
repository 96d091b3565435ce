package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// visitor is somebody at a provider.
type visitor struct {
	ID         int
	Email      string
	IsVerified bool
}

// visitors are a GitHub and a GitLab at which who comes depends on the code: one code, one person. GitLab stands for the
// providers that let anybody claim any address.
func visitors(t testing.TB, people map[string]visitor) []string {
	t.Helper()
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := people[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		confirmedAt := ""
		if who.IsVerified {
			confirmedAt = "2026-01-01T00:00:00Z"
		}
		answers := map[string]any{
			"/login/oauth/access_token": m{"access_token": r.FormValue("code"), "token_type": "bearer"},
			"/oauth/token":              m{"access_token": r.FormValue("code"), "token_type": "bearer"},
			"/api/v3/user":              m{"id": who.ID, "login": "octo"},
			"/api/v3/user/emails":       []m{{"email": who.Email, "primary": true, "verified": who.IsVerified}},
			"/api/v4/user":              m{"id": who.ID, "name": "Octo", "email": who.Email, "confirmed_at": confirmedAt},
			"/api/v4/user/emails":       []m{},
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answers[r.URL.Path])
	}))
	t.Cleanup(there.Close)
	settings := []string{
		"GOTRUE_SECURITY_MANUAL_LINKING_ENABLED=true", "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true",
		"GOTRUE_EXTERNAL_PHONE_ENABLED=true", "GOTRUE_SMS_AUTOCONFIRM=true",
	}
	for _, name := range []string{"GITHUB", "GITLAB"} {
		prefix := "GOTRUE_EXTERNAL_" + name + "_"
		settings = append(settings, prefix+"ENABLED=true", prefix+"CLIENT_ID=id", prefix+"SECRET=secret",
			prefix+"REDIRECT_URI=https://api.example.com/callback", prefix+"URL="+there.URL)
	}
	return settings
}

// The people of the tests below. The victim's provider verified the address, the attacker's did not ask.
var hijacking = map[string]visitor{
	"victim":   {1, "victim@example.com", true},
	"claimed":  {2, "victim@example.com", false}, // the attacker, at GitLab
	"attacker": {3, "attacker@example.com", true},
}

// outcome is where a flow ended: the session or the code, or the error.
type outcome struct{ Token, Refresh, Code, Error string }

// comeAs is the way back from a provider as one of the visitors.
func (s *server) comeAs(who, authorizeURL string) outcome {
	s.t.Helper()
	u, err := url.Parse(authorizeURL)
	if err != nil || u.Query().Get("state") == "" {
		s.t.Fatalf("no state in %q", authorizeURL)
	}
	return s.outcome(s.do("GET", "/callback?code="+who+"&state="+u.Query().Get("state"), nil))
}

func (s *server) outcome(r response) outcome {
	s.t.Helper()
	target, err := url.Parse(r.Header.Get("Location"))
	if err != nil {
		s.t.Fatal(err)
	}
	fragment, _ := url.ParseQuery(target.Fragment)
	code := target.Query().Get("error_code")
	if code == "" { // /verify tells it here only
		code = fragment.Get("error_code")
	}
	return outcome{fragment.Get("access_token"), fragment.Get("refresh_token"), target.Query().Get("code"), code}
}

// arrive is a sign-in with a provider.
func (s *server) arrive(provider, who string) outcome {
	s.t.Helper()
	return s.comeAs(who, s.do("GET", "/authorize?provider="+provider, nil).Header.Get("Location"))
}

// linkingTo begins to add an identity to the account of a session; more is further query.
func (s *server) linkingTo(by session, provider, more string) string {
	s.t.Helper()
	return s.need(s.do("GET", "/user/identities/authorize?skip_http_redirect=true&provider="+provider+more, nil, bearer(by.AccessToken)...), "url")
}

// claimAddress makes the account of a session one with the victim's address, which nobody confirmed.
func (s *server) claimAddress(by session) {
	s.t.Helper()
	if o := s.comeAs("claimed", s.linkingTo(by, "gitlab", "")); o.Error != "email_not_confirmed" {
		s.t.Fatalf("claiming the address: %+v", o)
	}
	if got := s.scan("select email || ' ' || (email_confirmed_at is null) from auth.users where id = $1", by.UserID); got != "victim@example.com true" {
		s.t.Fatalf("claiming the address: %s", got)
	}
}

// theVictimArrives signs the victim in with GitHub and returns the id of the account, which must be the victim's alone.
func (s *server) theVictimArrives(wantUserID string) outcome {
	s.t.Helper()
	victim := s.arrive("github", "victim")
	if victim.Token == "" {
		s.t.Fatalf("the victim comes to %+v", victim)
	}
	id := s.claim(victim.Token, "sub")
	if wantUserID != "" && id != wantUserID {
		s.t.Errorf("the victim is %s, not %s", id, wantUserID)
	}
	got := map[string]string{}
	for what, query := range map[string]string{
		"address":    "select email from auth.users where id = $1 and email_confirmed_at is not null",
		"identities": "select string_agg(provider || ' ' || provider_id, ', ') from auth.identities where user_id = $1",
		"sessions":   "select count(*) from auth.sessions where user_id = $1",
		"ways in": `select concat_ws(' ', encrypted_password, phone, phone_confirmed_at, nullif(phone_change, ''), nullif(email_change, ''),
			nullif(confirmation_token, ''), nullif(recovery_token, ''), nullif(email_change_token_new, ''), nullif(email_change_token_current, ''),
			nullif(phone_change_token, ''), nullif(reauthentication_token, '')) from auth.users where id = $1`,
		"left over": `select (select count(*) from auth.one_time_tokens where user_id = $1) + (select count(*) from auth.mfa_factors where user_id = $1)
			+ (select count(*) from auth.flow_state where user_id = $1 or linking_target_id = $1)`,
		"metadata": "select raw_user_meta_data ->> 'planted' from auth.users where id = $1",
		"kind":     "select is_anonymous from auth.users where id = $1",
	} {
		got[what] = s.scan(query, id)
	}
	want := map[string]string{
		"address": "victim@example.com", "identities": "github 1", "sessions": "1", "ways in": "", "left over": "0", "metadata": "<nil>",
		"kind": "false",
	}
	if d := cmp.Diff(want, got); d != "" {
		s.t.Errorf("the victim's account (-want +got):\n%s", d)
	}
	if r := s.do("GET", "/user", nil, bearer(victim.Token)...); r.Status != http.StatusOK {
		s.t.Errorf("the victim is not signed in: %d %s", r.Status, r.Text)
	}
	return victim
}

// isOut checks that a session of the attacker's has ended, and why.
func (s *server) isOut(attacker session) {
	s.t.Helper()
	s.play([]scenario{
		{"the attacker's session", "GET /user", nil, bearer(attacker.AccessToken), 403, "session_not_found", "", "select string_agg(distinct reason, ' ') from postern.session_ends", "reclaimed"},
		{"the attacker's refresh token", "POST /token?grant_type=refresh_token", m{"refresh_token": attacker.RefreshToken}, nil, 400, "refresh_token_not_found", "", "", ""},
	})
}

// staysOut checks that no account but that of the one address answers to the attacker's ways in.
func (s *server) staysOut(victim outcome) {
	s.t.Helper()
	if o := s.arrive("gitlab", "claimed"); o.Token != "" && s.claim(o.Token, "sub") == s.claim(victim.Token, "sub") {
		s.t.Error("the attacker comes in with GitLab")
	}
}

// 1. Classic-federated merge: the attacker signs up with the victim's address and a password of the attacker's.
func TestPrehijackingByMerge(t *testing.T) {
	t.Parallel()
	for policy, isSameAccount := range map[string]bool{"verified": true, "ask": true, "never": false} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := setup(t, append(visitors(t, hijacking), "POSTERN_LINKING_POLICY="+policy)...)
			if r := s.do("POST", "/signup", m{"email": "victim@example.com", "password": password, "data": m{"planted": "x"}}); r.Status != http.StatusOK {
				t.Fatalf("%d %s", r.Status, r.Text)
			}
			attackerID, link := s.scan("select id::text from auth.users"), s.newLink("victim@example.com")
			if !isSameAccount { // nothing is linked, so nothing is taken over either: the attacker's account stays unconfirmed
				victim := s.arrive("github", "victim")
				if victim.Token == "" || s.claim(victim.Token, "sub") == attackerID || s.claim(victim.Token, "email") != "" {
					t.Errorf("the victim comes to %+v", victim)
				}
				return
			}
			s.staysOut(s.theVictimArrives(attackerID))
			s.play([]scenario{{"the attacker's password", "POST /token?grant_type=password", m{"email": "victim@example.com", "password": password}, nil, 400, "invalid_credentials", "", "", ""}})
			if o := s.outcome(s.do("GET", "/verify?type=signup&token="+link, nil)); o.Token != "" {
				t.Error("the link of the sign-up still works")
			}
		})
	}
}

// The other way round: the attacker comes with a provider first, the victim signs up with a password.
func TestPrehijackingByFederatedMerge(t *testing.T) {
	t.Parallel()
	s := setup(t, visitors(t, hijacking)...)
	if o := s.arrive("gitlab", "claimed"); o.Error != "provider_email_needs_verification" {
		t.Fatalf("%+v", o)
	}
	if r := s.do("POST", "/signup", m{"email": "victim@example.com", "password": password}); r.Status != http.StatusOK {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	victim := s.outcome(s.do("GET", "/verify?type=signup&token="+s.newLink("victim@example.com"), nil))
	if s.claim(victim.Token, "email") != "victim@example.com" {
		t.Fatalf("%+v", victim)
	}
	if got := s.scan("select string_agg(provider, ' ') from auth.identities"); got != "email" {
		t.Errorf("identities: %s", got)
	}
	s.staysOut(victim)
}

// 2. Unexpired session: the attacker is signed in when the victim comes.
func TestPrehijackingBySession(t *testing.T) {
	t.Parallel()
	for name, enter := range map[string]func(s *server) session{
		"anonymous": func(s *server) session {
			attacker := s.do("POST", "/signup", m{"data": m{"planted": "x"}}).session()
			s.claimAddress(attacker)
			return attacker
		},
		"unverified sign-in": func(s *server) session {
			o := s.arrive("gitlab", "claimed")
			if o.Token == "" {
				s.t.Fatalf("%+v", o)
			}
			return session{s.claim(o.Token, "sub").(string), o.Token, o.Refresh}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := visitors(t, hijacking)
			if name == "unverified sign-in" {
				settings = append(settings, "GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS=true")
			}
			s := setup(t, settings...)
			attacker := enter(s)
			pkce := "&code_challenge_method=s256&code_challenge=" + challenge(verifier)
			linking, waiting := s.linkingTo(attacker, "github", ""), s.comeAs("attacker", s.linkingTo(attacker, "github", pkce))
			if waiting.Code == "" {
				t.Fatalf("no code in %+v", waiting)
			}
			victim := s.theVictimArrives(attacker.UserID)
			s.isOut(attacker)
			if o := s.comeAs("attacker", linking); o.Error != "bad_oauth_state" {
				t.Errorf("the flow that the attacker began ends with %+v", o)
			}
			s.play([]scenario{{"the code of the attacker", "POST /token?grant_type=pkce", m{"auth_code": waiting.Code, "code_verifier": verifier}, nil, 404, "flow_state_not_found", "", "", ""}})
			s.staysOut(victim)
		})
	}
}

// 3. Trojan identifier: the attacker's account has a phone number, a second factor and a second identity besides the address.
func TestPrehijackingByIdentifier(t *testing.T) {
	t.Parallel()
	s := setup(t, visitors(t, hijacking)...)
	attacker := s.do("POST", "/signup", m{"phone": "15550001", "password": password}).session()
	s.claimAddress(attacker)
	s.need(s.do("POST", "/factors", m{"factor_type": "totp", "friendly_name": "x"}, bearer(attacker.AccessToken)...), "id")
	if o := s.comeAs("attacker", s.linkingTo(attacker, "github", "")); o.Token == "" {
		t.Fatalf("%+v", o)
	}
	victim := s.theVictimArrives(attacker.UserID)
	s.isOut(attacker)
	s.staysOut(victim)
	s.play([]scenario{
		{"the attacker's phone", "POST /token?grant_type=password", m{"phone": "15550001", "password": password}, nil, 400, "invalid_credentials", "", "", ""},
		{"the attacker's factor", "GET /user", nil, bearer(victim.Token), 200, "", "victim@example.com", "select string_agg(type || ' ' || (data ->> 'reason'), ', ' order by type) from postern.events where data ->> 'reason' = 'reclaimed' and type <> 'session.ended' and data ->> 'provider' is distinct from 'gitlab'", "factor.deleted reclaimed, identity.deleted reclaimed, identity.deleted reclaimed"},
	})
	if o := s.arrive("github", "attacker"); s.claim(o.Token, "sub") == attacker.UserID {
		t.Error("the attacker comes in with GitHub")
	}
}

// 4. Unexpired e-mail change: changes and codes wait for the attacker's click.
func TestPrehijackingByEmailChange(t *testing.T) {
	t.Parallel()
	s := setup(t, visitors(t, hijacking)...)
	attacker := s.do("POST", "/signup", m{}).session()
	s.claimAddress(attacker)
	as := bearer(attacker.AccessToken)
	s.play([]scenario{
		{"a change of the address", "PUT /user", m{"email": "attacker@example.com"}, as, 200, "", "", "", ""},
		{"recovery", "POST /recover", m{"email": "victim@example.com"}, nil, 200, "", "", "", ""},
	})
	links := map[string]string{}
	for token, kind := range map[string]string{
		"email_change_token_new": "email_change", "email_change_token_current": "email_change", "confirmation_token": "signup", "recovery_token": "recovery",
	} {
		links[s.scan("select postern_internal.make_link(id, token_hash) from auth.one_time_tokens where token_type::text = $1", token)] = kind
	}
	victim := s.theVictimArrives(attacker.UserID)
	s.isOut(attacker)
	for link, kind := range links {
		if o := s.outcome(s.do("GET", "/verify?type="+kind+"&token="+link, nil)); o.Error != "otp_expired" || o.Token != "" {
			t.Errorf("the link of type %s leads to %+v", kind, o)
		}
	}
	if got := s.scan("select email from auth.users where id = $1", s.claim(victim.Token, "sub")); got != "victim@example.com" {
		t.Errorf("the victim's address is %s", got)
	}
}

// 5. Non-verifying identity provider: the attacker's own account, confirmed with an address of the attacker's, has an identity
// that claims the victim's. It does not attract the victim, and keeps nobody from signing in.
func TestPrehijackingByUnverifiedIdentity(t *testing.T) {
	t.Parallel()
	s := setup(t, visitors(t, hijacking)...)
	attacker := s.newSession("attacker@example.com")
	if o := s.comeAs("claimed", s.linkingTo(attacker, "gitlab", "")); o.Token == "" {
		t.Fatalf("%+v", o)
	}
	victim := s.theVictimArrives("")
	if s.claim(victim.Token, "sub") == attacker.UserID {
		t.Error("the victim comes into the attacker's account")
	}
	s.staysOut(victim)
	if got := s.scan("select count(*) from auth.identities where user_id = $1", attacker.UserID); got != "2" {
		t.Errorf("the attacker's account, which is nobody else's, has %s identities", got)
	}
}

// Nor does an address that a provider verified confirm another one, that of the victim.
func TestPrehijackingByAnotherAddress(t *testing.T) {
	t.Parallel()
	s := setup(t, visitors(t, hijacking)...)
	attacker := s.do("POST", "/signup", m{}).session()
	s.claimAddress(attacker)
	if o := s.comeAs("attacker", s.linkingTo(attacker, "github", "")); o.Token == "" {
		t.Fatalf("%+v", o)
	}
	if o := s.arrive("github", "attacker"); o.Error != "provider_email_needs_verification" {
		t.Errorf("the attacker comes to %+v", o)
	}
	if got := s.scan("select email_confirmed_at is null from auth.users where id = $1", attacker.UserID); got != "true" {
		t.Error("the victim's address counts as confirmed")
	}
	s.theVictimArrives(attacker.UserID)
}
