package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// comeTogether sends the browsers of several visits back at the same moment; each entry is a visitor and where the visit began.
func (s *server) comeTogether(t *testing.T, on [2]*server, visits [][2]string) []outcome {
	t.Helper()
	answers := race(t, on, len(visits), func(s *server, i int) (response, error) {
		_, state, _ := strings.Cut(visits[i][1], "state=")
		state, _, _ = strings.Cut(state, "&")
		return s.try("GET", "/callback?code="+visits[i][0]+"&state="+state, nil)
	})
	outcomes := make([]outcome, len(answers))
	for i, a := range answers {
		if a.Status != http.StatusFound && a.Status != http.StatusSeeOther {
			t.Errorf("visit %d: %d %s", i, a.Status, a.Text)
		}
		outcomes[i] = s.outcome(a)
	}
	return outcomes
}

// visit begins a sign-in.
func (s *server) visit(who, provider string) [2]string {
	s.t.Helper()
	return [2]string{who, s.do("GET", "/authorize?provider="+provider, nil).Header.Get("Location")}
}

// oneAccount checks that all visits ended in one account, and returns it.
func (s *server) oneAccount(outcomes []outcome) string {
	s.t.Helper()
	accounts := map[string]bool{}
	for i, o := range outcomes {
		if o.Token == "" {
			s.t.Fatalf("visit %d ended with %+v", i, o)
		}
		accounts[s.claim(o.Token, "sub").(string)] = true
	}
	if len(accounts) != 1 {
		s.t.Fatalf("%d accounts", len(accounts))
	}
	return s.claim(outcomes[0].Token, "sub").(string)
}

const visitTables = `select (select count(*) from auth.users) || ' users, ' || (select count(*) from auth.identities) || ' identities, '
	|| (select count(*) from postern.events where type = 'user.created') || ' created'`

// Parallel first visits of one person make one account, and all are signed in to it.
func TestParallelFirstVisits(t *testing.T) {
	t.Parallel()
	on := pair(t, visitors(t, hijacking)...)
	s := on[0]
	for range rounds(3, 50) {
		var visits [][2]string
		for range 20 {
			visits = append(visits, s.visit("victim", "github"))
		}
		s.oneAccount(s.comeTogether(t, on, visits))
		if got := s.scan(visitTables); got != "1 users, 1 identities, 1 created" {
			t.Fatal(got)
		}
		s.exec("delete from auth.users")
		s.exec("delete from postern.events")
	}
}

// Two providers that verified one address, at the same moment: one account, in the default domain and in another one.
func TestParallelProviders(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"default": nil, "work": {"GOTRUE_EXPERIMENTAL_PROVIDER_LINKING_DOMAINS=github=work,gitlab=work"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := pair(t, append(visitors(t, hijacking), settings...)...)
			s := on[0]
			for range rounds(5, 100) {
				s.oneAccount(s.comeTogether(t, on, [][2]string{
					s.visit("victim", "github"), s.visit("victim", "gitlab"), s.visit("victim", "gitlab"), s.visit("victim", "github"),
				}))
				if got := s.scan(visitTables); got != "1 users, 2 identities, 1 created" {
					t.Fatal(got)
				}
				s.exec("delete from auth.users")
				s.exec("delete from postern.events")
			}
		})
	}
}

// Whoever links an identity while somebody signs in with it: it ends in one account, the other one knows nothing of it.
func TestParallelLinkAndSignIn(t *testing.T) {
	t.Parallel()
	on := pair(t, visitors(t, hijacking)...)
	s := on[0]
	s.newUser("ann@example.com")
	for range rounds(5, 100) {
		ann := s.signIn("ann@example.com")
		visits := [][2]string{{"victim", s.linkingTo(ann, "github", "")}}
		for range 5 {
			visits = append(visits, s.visit("victim", "github"))
		}
		outcomes := s.comeTogether(t, on, visits)
		account := s.oneAccount(outcomes[1:])
		want := "1 users, 2 identities, 1 created"
		if account != ann.UserID {
			want = "2 users, 2 identities, 2 created"
			if outcomes[0].Error != "identity_already_exists" {
				t.Errorf("linking ended with %+v", outcomes[0])
			}
		} else if s.claim(outcomes[0].Token, "sub") != ann.UserID {
			t.Errorf("linking ended with %+v", outcomes[0])
		}
		if got := s.scan(visitTables); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		s.exec("delete from auth.users where email <> 'ann@example.com'")
		s.exec("delete from auth.identities where provider = 'github'")
		s.exec("delete from postern.events where user_id <> $1", ann.UserID)
	}
}

// An attacker who comes in at the very moment in which the victim arrives is not left inside.
func TestParallelTakeOver(t *testing.T) {
	t.Parallel()
	on := pair(t, append(visitors(t, hijacking), "GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS=true")...)
	s := on[0]
	for round := range rounds(5, 100) {
		first := s.arrive("gitlab", "claimed")
		attacker := session{s.claim(first.Token, "sub").(string), first.Token, first.Refresh}
		visits := [][2]string{s.visit("claimed", "gitlab"), s.visit("victim", "github"), s.visit("claimed", "gitlab"), {"attacker", s.linkingTo(attacker, "github", "")}}
		outcomes := s.comeTogether(t, on, visits)
		if s.claim(outcomes[1].Token, "sub") != attacker.UserID {
			t.Fatalf("the victim comes to %+v", outcomes[1])
		}
		got := s.scan(`select (select count(*) from auth.sessions where user_id = $1) || ' '
			|| (select string_agg(provider || ' ' || provider_id, ', ') from auth.identities where user_id = $1)`, attacker.UserID)
		if got != "1 github 1" {
			t.Fatalf("round %d: %s", round, got)
		}
		s.exec("delete from auth.users")
	}
}

// Of several people who were sent one invitation, or one who clicks twice, one takes it up.
func TestParallelInvitations(t *testing.T) {
	t.Parallel()
	on := pair(t, visitors(t, hijacking)...)
	s := on[0]
	for range rounds(3, 50) {
		s.need(s.do("POST", "/invite", m{"email": "victim@example.com"}, s.asAdmin()...), "id")
		token := s.newLink("victim@example.com")
		var visits [][2]string
		for i := range 6 {
			provider := []string{"github", "gitlab"}[i%2]
			visits = append(visits, [2]string{"victim", s.do("GET", fmt.Sprintf("/authorize?provider=%s&invite_token=%s", provider, token), nil).Header.Get("Location")})
		}
		count := map[string]int{}
		for _, o := range s.comeTogether(t, on, visits) {
			count[o.Error]++
		}
		if count[""] != 1 || count["invite_not_found"] != 5 {
			t.Fatalf("outcomes: %v", count)
		}
		s.exec("delete from auth.users")
	}
}
