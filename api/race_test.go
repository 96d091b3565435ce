package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// isLong tells whether the rounds of issue 2 run in full, which takes minutes.
func isLong() bool { return os.Getenv("POSTERN_LONG_TESTS") != "" }

// rounds is how often a race is repeated.
func rounds(short, long int) int {
	if isLong() {
		return long
	}
	return short
}

// pair is two servers on one database.
func pair(t *testing.T, settings ...string) [2]*server {
	t.Helper()
	first := setup(t, settings...)
	return [2]*server{first, setupOn(t, first.dsn, settings...)}
}

// race sends n requests at the same moment, every other one to the other server, and returns the answers.
func race(t *testing.T, on [2]*server, n int, send func(s *server, i int) (response, error)) []response {
	t.Helper()
	answers := make([]response, n)
	errs := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			answers[i], errs[i] = send(on[i%2], i)
		})
	}
	close(start)
	group.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	return answers
}

// outcomes counts answers by status and error code.
func outcomes(answers []response) map[string]int {
	count := map[string]int{}
	for _, a := range answers {
		count[strings.TrimSpace(fmt.Sprint(a.Status, " ", a.Header.Get("X-Sb-Error-Code")))]++
	}
	return count
}

// noServerErrors fails the test for answers of 500 and above.
func noServerErrors(t *testing.T, answers []response) {
	t.Helper()
	for _, a := range answers {
		if a.Status >= http.StatusInternalServerError {
			t.Errorf("answered %d %s", a.Status, a.Text)
		}
	}
}

// wantOutcomes compares the count of answers; other answers than one 200 must carry the code.
func wantOneSuccess(t *testing.T, answers []response, otherwise string) {
	t.Helper()
	want := map[string]int{"200": 1, otherwise: len(answers) - 1}
	if got := outcomes(answers); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func (s *server) refresh(token string) (response, error) {
	return s.try("POST", "/token?grant_type=refresh_token", map[string]string{"refresh_token": token})
}

// tokenVersions are the settings of both kinds of refresh tokens, without any time for reuse.
var tokenVersions = map[string][]string{
	"v1": {"GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL=0"},
	"v2": {"GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL=0", "GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION=2"},
}

// All of 200 parallel refreshes of one token get the same successor (DESIGN section 9, row 11).
func TestParallelRefreshes(t *testing.T) {
	t.Parallel()
	for version, settings := range tokenVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			on := pair(t, settings...)
			ann := on[0].newSession("ann@example.com")
			token := ann.RefreshToken
			for round := range rounds(3, 200) {
				answers := race(t, on, 200, func(s *server, _ int) (response, error) { return s.refresh(token) })
				if got := outcomes(answers); got["200"] != 200 {
					t.Fatalf("round %d: got %v", round, got)
				}
				successors := map[string]bool{}
				for _, a := range answers {
					successors[a.session().RefreshToken] = true
				}
				if len(successors) != 1 {
					t.Fatalf("round %d: %d successors", round, len(successors))
				}
				token = answers[0].session().RefreshToken
			}
			if n := on[0].scan("select count(*) from auth.sessions where user_id = $1", ann.UserID); n != "1" {
				t.Errorf("%s sessions", n)
			}
		})
	}
}

// A client that loses every other reply and asks again with its old token stays signed in.
func TestLostRefreshReplies(t *testing.T) {
	t.Parallel()
	for version, settings := range tokenVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			on := pair(t, settings...)
			token := on[0].newSession("ann@example.com").RefreshToken
			for round := range rounds(30, 1000) {
				var successor string
				for attempt := range 3 { // two replies are lost
					r, err := on[attempt%2].refresh(token)
					if err != nil || r.Status != http.StatusOK {
						t.Fatalf("round %d, attempt %d: %d %s %v", round, attempt, r.Status, r.Text, err)
					}
					if successor != "" && successor != r.session().RefreshToken {
						t.Fatalf("round %d, attempt %d: another successor", round, attempt)
					}
					successor = r.session().RefreshToken
				}
				token = successor
			}
		})
	}
}

// A client that never gets a reply asks with the same token for good.
func TestAllRefreshRepliesLost(t *testing.T) {
	t.Parallel()
	for version, settings := range tokenVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			on := pair(t, settings...)
			token := on[0].newSession("ann@example.com").RefreshToken
			for round := range rounds(60, 2000) {
				if r, err := on[round%2].refresh(token); err != nil || r.Status != http.StatusOK {
					t.Fatalf("round %d: %d %s %v", round, r.Status, r.Text, err)
				}
			}
		})
	}
}

// Refreshes that wait for a lock somebody holds must leave connections to everybody else.
func TestWaitingRefreshesLeaveRoom(t *testing.T) {
	t.Parallel()
	on := pair(t, "GOTRUE_DB_MAX_POOL_SIZE=3")
	ann, bob := on[0].newSession("ann@example.com"), on[0].newSession("bob@example.com")
	lock, err := on[0].DB.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback(context.WithoutCancel(t.Context()))
	if _, err := lock.Exec(t.Context(), "select from auth.users where id = $1 for update", ann.UserID); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan []response)
	go func() {
		waiting <- race(t, on, 200, func(s *server, _ int) (response, error) { return s.refresh(ann.RefreshToken) })
	}()
	on[0].eventually("both servers wait for the lock", func() bool {
		return on[0].scan(`select count(distinct pid) > 1 from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`) == "true"
	})
	for _, s := range on {
		began := time.Now()
		if r := s.do("GET", "/user", nil, bearer(bob.AccessToken)...); r.Status != http.StatusOK {
			t.Errorf("GET /user: %d %s", r.Status, r.Text)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("GET /user took %v", took)
		}
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := outcomes(<-waiting); got["200"] != 200 {
		t.Errorf("got %v", got)
	}
}

// eventually asks until the answer is yes, for 20 s.
func (s *server) eventually(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(late) {
			s.t.Fatalf("not after 20 s: %s", what)
		}
	}
}

// challenge is the S256 code challenge of a verifier (RFC 7636 section 4.2).
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// verifier is a code verifier for PKCE flows.
const verifier = "a-code-verifier-of-at-least-forty-three-characters"

// authCode begins a PKCE flow for a user and follows the link of its mail.
func (s *server) authCode(email string) string {
	s.t.Helper()
	if r := s.do("POST", "/otp", map[string]string{
		"email": email, "code_challenge": challenge(verifier), "code_challenge_method": "s256",
	}); r.Status != http.StatusOK {
		s.t.Fatalf("POST /otp: %d %s", r.Status, r.Text)
	}
	link := s.do("GET", "/verify?type=magiclink&token="+s.newLink(email), nil)
	target, err := url.Parse(link.Header.Get("Location"))
	if err != nil || target.Query().Get("code") == "" {
		s.t.Fatalf("GET /verify: %d %s", link.Status, link.Header.Get("Location"))
	}
	return target.Query().Get("code")
}

func TestParallelCodeExchanges(t *testing.T) {
	t.Parallel()
	on := pair(t)
	on[0].newUser("ann@example.com")
	for range rounds(2, 50) {
		code := on[0].authCode("ann@example.com")
		answers := race(t, on, 100, func(s *server, _ int) (response, error) {
			return s.try("POST", "/token?grant_type=pkce", map[string]string{"auth_code": code, "code_verifier": verifier})
		})
		wantOneSuccess(t, answers, "404 flow_state_not_found")
	}
	if got := on[0].scan("select count(*) from auth.sessions"); got != fmt.Sprint(rounds(2, 50)) {
		t.Errorf("%s sessions", got)
	}
}

// plant gives a user a one-time code of a kind, as a mail would, and returns what the link says.
func (s *server) plant(email, column, otp string) string {
	s.t.Helper()
	sent := strings.TrimSuffix(column, "_token") + "_sent_at"
	return s.scan(`with u as (
			update auth.users set `+column+` = postern_internal.otp_hash(email, $2), `+sent+` = now()
			where email = $1 returning id, email, `+column+` as hash
		)
		select postern_internal.store_one_time_token(u.id, '`+column+`', u.hash, u.email) from u`, email, otp)
}

func TestParallelVerifications(t *testing.T) {
	t.Parallel()
	on := pair(t)
	on[0].newUser("ann@example.com")
	sessions := 0
	for round := range rounds(2, 50) {
		otp := fmt.Sprintf("%06d", round)
		for name, body := range map[string]map[string]string{
			"hash": {"type": "magiclink", "token_hash": ""},
			"code": {"type": "email", "token": otp, "email": "ann@example.com"},
		} {
			hash := on[0].plant("ann@example.com", "recovery_token", otp)
			if name == "hash" {
				body["token_hash"] = hash
			}
			answers := race(t, on, 100, func(s *server, _ int) (response, error) { return s.try("POST", "/verify", body) })
			wantOneSuccess(t, answers, "403 otp_expired")
			sessions++
		}
		link := "/verify?type=magiclink&token=" + on[0].plant("ann@example.com", "recovery_token", otp)
		opened := 0
		for _, a := range race(t, on, 100, func(s *server, _ int) (response, error) { return s.try("GET", link, nil) }) {
			switch to := a.Header.Get("Location"); {
			case a.Status != http.StatusSeeOther:
				t.Errorf("GET /verify: %d %s", a.Status, a.Text)
			case strings.Contains(to, "access_token="):
				opened++
			case !strings.Contains(to, "error_code=otp_expired"):
				t.Errorf("GET /verify leads to %s", to)
			}
		}
		if opened != 1 {
			t.Errorf("%d links opened a session", opened)
		}
		sessions++
	}
	if got := on[0].scan("select count(*) from auth.sessions"); got != fmt.Sprint(sessions) {
		t.Errorf("%s sessions, want %d", got, sessions)
	}
}

// One address signs up 50 times at once: one user. What the others get depends on the limit of mails.
func TestParallelSignUps(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"limited":     {"GOTRUE_SMTP_MAX_FREQUENCY=60s"},
		"unlimited":   {"GOTRUE_SMTP_MAX_FREQUENCY=1ns"},
		"autoconfirm": {"GOTRUE_MAILER_AUTOCONFIRM=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := pair(t, append(settings, "GOTRUE_API_MAX_REQUEST_DURATION=60s")...)
			for round := range rounds(2, 50) {
				email := fmt.Sprintf("new%d@example.com", round)
				path, body := "/otp", map[string]any{"email": email, "data": map[string]string{"n": "1"}}
				n := 50
				if round == 0 { // costs a hash each
					path, body["password"], n = "/signup", password, rounds(8, 50)
				}
				answers := race(t, on, n, func(s *server, _ int) (response, error) { return s.try("POST", path, body) })
				noServerErrors(t, answers)
				for outcome := range outcomes(answers) {
					if !slices.Contains([]string{"200", "429 over_email_send_rate_limit", "422 user_already_exists"}, outcome) {
						t.Errorf("answered %s", outcome)
					}
				}
				if got := on[0].scan(`select count(distinct u.id) || ' ' || count(distinct i.id)
					from auth.users as u left join auth.identities as i on i.user_id = u.id where u.email = $1`, email); got != "1 1" {
					t.Errorf("users and identities: %s", got)
				}
			}
		})
	}
}
