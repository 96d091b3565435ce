package api_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Limits hold exactly on two servers, for requests that succeed, that SQL refuses, and that never get to SQL.
func TestLimitsAcrossServers(t *testing.T) {
	t.Parallel()
	on := pair(t, "GOTRUE_RATE_LIMIT_OTP=0.001", "GOTRUE_RATE_LIMIT_TOKEN_REFRESH=0.001")
	for i, c := range []struct {
		path    string
		body    any
		outcome string
	}{
		{"/recover", m{"email": "nobody@example.com"}, "200"},
		{"/recover", "no JSON", "400 bad_json"},
		{"/otp", m{"email": "nobody@example.com", "create_user": false}, "422 otp_disabled"},
		{"/token?grant_type=password", m{"email": "nobody@example.com", "password": "x"}, "400 invalid_credentials"},
		{"/token?grant_type=refresh_token", m{"refresh_token": "abcdefghijkl"}, "400 refresh_token_not_found"},
	} {
		client := fmt.Sprint("203.0.113.", i)
		answers := race(t, on, 80, func(s *server, _ int) (response, error) {
			return s.try("POST", c.path, c.body, "X-Forwarded-For", client)
		})
		got := outcomes(answers)
		if !maps.Equal(got, map[string]int{c.outcome: 30, "429 over_request_rate_limit": 50}) {
			t.Errorf("%s %v: %v", c.path, c.body, got)
		}
		for _, a := range answers {
			if wait, err := strconv.Atoi(a.Header.Get("Retry-After")); a.Status == 429 && (err != nil || wait < 1 || a.Body["retry_after"] != nil || a.Body["limit"] != nil) {
				t.Errorf("Retry-After %q, %s", a.Header.Get("Retry-After"), a.Text)
			}
		}
		if n := on[0].scan("select count(*) from postern.list_limits($1) where remaining = 0", client); n != "1" {
			t.Errorf("%s: %s limits are listed", client, n)
		}
	}
	if listed, there := on[0].scan("select count(*) from postern.list_limits()"), on[0].scan("select count(*) from postern.limits where full_at > clock_timestamp()"); listed != there || there == "0" {
		t.Errorf("%s limits are listed of %s", listed, there)
	}
	if r := on[0].do("POST", "/recover", m{"email": "nobody@example.com"}, "X-Forwarded-For", "203.0.113.0, 203.0.113.77"); r.Status != 200 {
		t.Errorf("another client behind a spoofed address: %d", r.Status)
	}
	for range 30 {
		on[1].do("POST", "/recover", m{"email": "x@example.com"}, "X-Forwarded-For", "2001:db8::1")
	}
	if r := on[0].do("POST", "/recover", m{"email": "x@example.com"}, "X-Forwarded-For", "2001:db8::ffff"); r.Status != 429 {
		t.Errorf("a neighbour in the /64: %d", r.Status)
	}
	if n := on[0].scan("select postern.reset_limit('2001:db8::ffff')"); n != "1" {
		t.Errorf("%s limits were reset", n)
	}
	if r := on[1].do("POST", "/recover", m{"email": "x@example.com"}, "X-Forwarded-For", "2001:db8::2"); r.Status != 200 {
		t.Errorf("after the reset: %d", r.Status)
	}
}

func TestPasswordLimit(t *testing.T) {
	t.Parallel()
	on := pair(t, "POSTERN_LIMIT_PASSWORD_FAILURES=5/1h")
	on[0].newUser("ann@example.com")
	try := func(s *server, email, password string) (response, error) {
		return s.try("POST", "/token?grant_type=password", m{"email": email, "password": password})
	}
	for range 2 {
		for range 4 {
			_, _ = try(on[0], "ann@example.com", "wrong")
		}
		if r, _ := try(on[1], "ann@example.com", password); r.Status != http.StatusOK {
			t.Fatalf("the right one: %d %s", r.Status, r.Text)
		}
	}
	for _, email := range []string{"ann@example.com", "nobody@example.com"} {
		got := outcomes(race(t, on, 12, func(s *server, _ int) (response, error) { return try(s, email, "wrong") }))
		if !maps.Equal(got, map[string]int{"400 invalid_credentials": 5, "429 over_request_rate_limit": 7}) {
			t.Errorf("%s: %v", email, got)
		}
		if r, _ := try(on[0], email, password); r.Status != 429 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s, afterwards: %d %v", email, r.Status, r.Header)
		}
	}
	on[0].exec("select postern.reset_limit('ann@example.com', 'passwords')")
	if r, _ := try(on[1], "ann@example.com", password); r.Status != http.StatusOK {
		t.Errorf("after the reset: %d", r.Status)
	}
}

func TestWrongCodes(t *testing.T) {
	t.Parallel()
	on := pair(t, "POSTERN_OTP_MAX_ATTEMPTS=5")
	on[0].newUser("ann@example.com")
	verify := func(s *server, code string) (response, error) {
		return s.try("POST", "/verify", m{"type": "email", "email": "ann@example.com", "token": code})
	}
	for wrong, want := range map[int]int{4: 200, 5: 403} {
		on[0].plant("ann@example.com", "recovery_token", fmt.Sprint("12345", wrong))
		hash := on[0].scan("select recovery_token from auth.users")
		race(t, on, wrong, func(s *server, i int) (response, error) { return verify(s, fmt.Sprint("00000", i)) })
		if r, _ := verify(on[1], fmt.Sprint("12345", wrong)); r.Status != want {
			t.Errorf("after %d wrong ones: %d %s", wrong, r.Status, r.Text)
		}
		if left := on[0].scan("select count(*) from auth.users where recovery_token = $1", hash); left != "0" {
			t.Errorf("after %d wrong ones the token is still there", wrong)
		}
	}
}

// Whoever knows an address can make the hash of each code, and must not be able to guess with links instead, where
// guesses are not counted; what Supabase Auth mailed stays good.
func TestLinksAreNoGuesses(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_SMTP_HOST=127.0.0.1", "GOTRUE_SMTP_PORT=1") // nobody takes the mails, so that they stay
	s.newUser("ann@example.com")
	open := func(link string) response {
		return s.do("POST", "/verify", m{"type": "magiclink", "token_hash": link})
	}
	mailed := func() (link, code, hash string) {
		s.do("POST", "/otp", m{"email": "ann@example.com"})
		const mail = " from postern.outbox order by id desc limit 1"
		code = s.scan("select payload ->> 'token'" + mail)
		return s.scan("select payload ->> 'token_hash'" + mail), code, s.scan("select postern_internal.otp_hash('ann@example.com', $1)", code)
	}
	first, _, _ := mailed()
	link, code, hash := mailed()
	if stored := s.scan("select string_agg(token_hash, ' ') from auth.one_time_tokens"); stored != hash || link == hash || len(link) != len(hash) {
		t.Fatalf("the code %s is stored as %s, the link says %s", code, stored, link)
	}
	for name, wrong := range map[string]string{
		"the hash of the code": hash, "the link of an earlier mail": first, "of the other flow": "pkce_" + link,
		"another secret": link[:32] + "000000000000000000000000", "no secret": link[:32], "upper case": strings.ToUpper(link),
	} {
		if r := open(wrong); r.Status != 403 {
			t.Errorf("%s: %d %s", name, r.Status, r.Text)
		}
	}
	s.need(open(link), "access_token")
	if r := open(link); r.Status != 403 {
		t.Errorf("the link once more: %d %s", r.Status, r.Text)
	}
	_, code, _ = mailed()
	s.need(s.do("POST", "/verify", m{"type": "email", "email": "ann@example.com", "token": code}), "access_token")
	s.plant("ann@example.com", "recovery_token", "123456")
	s.exec("delete from postern.link_secrets")
	s.need(open(s.scan("select recovery_token from auth.users")), "access_token")
}

// The code of GET /reauthenticate is void after as many wrong guesses as any other, by two servers or one.
func TestWrongNonces(t *testing.T) {
	t.Parallel()
	on := pair(t, "POSTERN_OTP_MAX_ATTEMPTS=5", "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION=true")
	ann := on[0].newSession("ann@example.com")
	on[0].exec("update auth.sessions set created_at = now() - interval '2 days'")
	change := func(s *server, nonce, password string) (response, error) {
		return s.try("PUT", "/user", m{"password": password, "nonce": nonce}, bearer(ann.AccessToken)...)
	}
	for wrong, want := range map[int]int{4: 200, 5: 422} {
		on[0].plant("ann@example.com", "reauthentication_token", "123456")
		race(t, on, wrong, func(s *server, i int) (response, error) { return change(s, fmt.Sprint("00000", i), "never-this-one-9") })
		if r, _ := change(on[1], "123456", fmt.Sprint("another-password-", wrong)); r.Status != want {
			t.Errorf("after %d wrong ones: %d %s", wrong, r.Status, r.Text)
		}
	}
}

func TestMailQuota(t *testing.T) {
	t.Parallel()
	on := pair(t, "GOTRUE_RATE_LIMIT_EMAIL_SENT=37")
	got := outcomes(race(t, on, 60, func(s *server, i int) (response, error) {
		return s.try("POST", "/otp", m{"email": fmt.Sprint("user", i, "@example.com")})
	}))
	if !maps.Equal(got, map[string]int{"200": 37, "429 over_email_send_rate_limit": 23}) {
		t.Errorf("%v", got)
	}
	if users := on[0].scan("select count(*) from auth.users"); users != "37" {
		t.Errorf("%s users", users)
	}
	on[0].exec("select postern.reset_limit('everybody', 'mail_sent')")
	if r := on[0].do("POST", "/otp", m{"email": "late@example.com"}); r.Status != 200 {
		t.Errorf("after the reset: %d", r.Status)
	}
}

// Limits cost no statement but for requests that fail.
func TestStatementsWithLimits(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	hash := s.plant("ann@example.com", "recovery_token", "123456")
	for _, c := range []struct {
		path string
		body any
		want int64
	}{
		{"/token?grant_type=password", m{"email": "ann@example.com", "password": password}, 2},
		{"/token?grant_type=password", m{"email": "ann@example.com", "password": "wrong"}, 2},
		{"/token?grant_type=refresh_token", m{"refresh_token": ann.RefreshToken}, 1},
		{"/verify", m{"type": "recovery", "token_hash": hash}, 1},
		{"/verify", m{"type": "email", "email": "ann@example.com", "token": "000000"}, 1},
		{"/magiclink", m{"email": "ann@example.com"}, 1},
		{"/signup", m{"email": "new@example.com", "password": password}, 1},
		{"/verify", m{"type": "recovery", "token_hash": "x"}, 2},
	} {
		s.statements.Store(0)
		r := s.do("POST", c.path, c.body)
		if n := s.statements.Load(); n != c.want {
			t.Errorf("%s %v (%d): %d statements, want %d", c.path, c.body, r.Status, n, c.want)
		}
	}
}

// Who hangs up before a refusal is charged for it as well, although its call was rolled back.
func TestHangingUpIsCharged(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_RATE_LIMIT_VERIFY=0.001")
	s.newUser("ann@example.com")
	link := s.plant("ann@example.com", "recovery_token", "123456")
	s.exec("update auth.users set banned_until = 'infinity'")
	tx, err := s.DB.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select from auth.users for update"); err != nil {
		t.Fatal(err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/verify?type=magiclink&token="+link, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := client.Do(req)
		done <- err
	}()
	s.eventually("a call that waits", func() bool {
		return s.scan("select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") == "1"
	})
	hangUp()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("it was answered: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually("the charge", func() bool {
		return s.scan("select count(*) from postern.limits where name = 'verify' and full_at > clock_timestamp()") == "1"
	})
}
