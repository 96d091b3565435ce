package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

// Whatever somebody holds of a locked account, and however they try to come in, sees a ban or nothing; what was sent before
// the lock and while it held is void for good.
func TestLockedUsersComeInByNoWay(t *testing.T) {
	t.Parallel()
	const email, number = "victim@example.com", "15550009999"
	s := setup(t, append(append(visitors(t, hijacking), twilioSettings...), "GOTRUE_MAILER_AUTOCONFIRM=true")...)
	id := s.claim(s.arrive("github", "victim").Token, "sub").(string)
	s.exec("select postern.update_user($1, phone => $2, phone_confirm => true, password_hash => $3)", id, number, testHash)
	pending := s.scan("select postern.create_user('pending@example.com')::text")
	ann := s.signIn(email)
	code := s.authCode(email)
	link := s.plant(email, "recovery_token", "123123")
	linking := s.linkingTo(ann, "gitlab", "")
	s.exec("select postern.lock_user($1, 'stolen phone')", id)
	s.exec("select postern.lock_user($1, 'stolen phone')", pending)

	const by = "POST /token?grant_type="
	s.play([]scenario{
		{name: "session", path: "GET /user", header: bearer(ann.AccessToken), status: 403, code: "session_not_found"},
		{name: "refresh token", path: by + "refresh_token", body: m{"refresh_token": ann.RefreshToken}, status: 400, code: "refresh_token_not_found"},
		{name: "password", path: by + "password", body: m{"email": email, "password": password}, status: 400, code: "user_banned", text: "User is banned"},
		{name: "password and number", path: by + "password", body: m{"phone": number, "password": password}, status: 400, code: "user_banned"},
		{name: "wrong password", path: by + "password", body: m{"email": email, "password": "x"}, status: 400, code: "invalid_credentials"},
		{name: "code of a flow", path: by + "pkce", body: m{"auth_code": code, "code_verifier": verifier}, status: 404, code: "flow_state_not_found"},
		{name: "link from before", path: "POST /verify", body: m{"type": "recovery", "token_hash": link}, status: 403, code: "otp_expired"},
		{name: "test code", path: "POST /verify", body: m{"type": "sms", "phone": number, "token": "123456"}, status: 403, code: "user_banned"},
		{name: "sign-up of a locked account", path: "POST /signup", body: m{"email": "pending@example.com", "password": password}, status: 403, code: "user_banned"},
		{name: "recovery is asked for", path: "POST /recover", body: m{"email": email}, status: 200, text: "{}"},
	})
	link = s.newLink(email)
	s.play([]scenario{
		{name: "link from now", path: "POST /verify", body: m{"type": "recovery", "token_hash": link}, status: 403, code: "user_banned"},
	})
	if o := s.arrive("github", "victim"); o.Error != "user_banned" {
		t.Errorf("a provider ends in %+v", o)
	}
	if o := s.comeAs("attacker", linking); o.Token != "" || o.Code != "" {
		t.Errorf("a flow that links ends in %+v", o)
	}
	if r := s.do("PUT", "/admin/users/"+id, m{"ban_duration": "none"}, s.asAdmin()...); r.Status != http.StatusOK {
		t.Errorf("lifting the ban: %d %s", r.Status, r.Text)
	}
	s.play([]scenario{
		{name: "with the ban lifted", path: by + "password", body: m{"email": email, "password": password}, status: 400, code: "user_banned",
			query: "select count(*) from auth.sessions", want: "0"},
	})
	s.exec("select postern.unlock_user($1)", id)
	s.play([]scenario{
		{name: "unlocked, link", path: "POST /verify", body: m{"type": "recovery", "token_hash": link}, status: 403, code: "otp_expired"},
		{name: "unlocked, password", path: by + "password", body: m{"email": email, "password": password}, status: 200, text: `"access_token"`},
	})
}

// Once lock_user has committed there is no session, whatever sign-ins and refreshes were on their way.
func TestLockBesideSignIns(t *testing.T) {
	t.Parallel()
	on := pair(t, "GOTRUE_MAILER_AUTOCONFIRM=true")
	s := on[0]
	for round := range rounds(4, 100) {
		email := fmt.Sprintf("ann%d@example.com", round)
		ann := s.newSession(email)
		second := s.signIn(email)
		answers := race(t, on, 40, func(s *server, i int) (response, error) {
			if i == 10+round%20 { // the moment differs
				return sqlEnd(s.DB, "select postern.lock_user($1::text, 'stolen phone')", ann.UserID)
			}
			return useAccount(s, i, email, ann, second)
		})
		noServerErrors(t, answers)
		if n := s.scan("select count(*) from auth.sessions where user_id = $1", ann.UserID); n != "0" {
			t.Errorf("round %d: %s sessions", round, n)
		}
	}
}

// A password that has to be changed: the refusal brings a link, which leads to a new password, and that one signs in.
func TestPasswordChangeByMail(t *testing.T) {
	t.Parallel()
	s, sink := elsewhereSetup(t)
	ann := s.newSession("ann@example.com")
	const by = "POST /token?grant_type="
	signIn := m{"email": "ann@example.com", "password": password}
	s.exec("select postern.require_password_change('ann@example.com')")
	before := s.statements.Load()
	s.play([]scenario{
		{name: "password", path: by + "password", body: signIn, status: 400, code: "password_change_required", text: "A new password is required. A link to set it has been sent to your email"},
		{name: "wrong password", path: by + "password", body: m{"email": "ann@example.com", "password": "x"}, status: 400, code: "invalid_credentials"},
	})
	if n := s.statements.Load() - before; n != 8 { // each is played for both versions of the API
		t.Errorf("%d statements for four sign-ins, want 8", n)
	}
	s.play([]scenario{
		{name: "refresh", path: by + "refresh_token", body: m{"refresh_token": ann.RefreshToken}, status: 200, text: "access_token"},
		{name: "link in the meantime", path: "POST /verify", body: m{"type": "magiclink", "token_hash": s.plant("ann@example.com", "recovery_token", "123456")}, status: 200, text: "access_token"},
		{name: "password again", path: by + "password", body: signIn, status: 400, code: "password_change_required"},
	})
	for range 3 { // only the newest link lives
		sink.Take(t, "ann@example.com")
	}
	mail := s.take(sink, "ann@example.com")
	session := s.outcome(s.open(mail.link, chromeAndroid))
	if session.Token == "" {
		t.Fatalf("the link leads to %+v", session)
	}
	const renewed = "a-better-horse-10"
	s.play([]scenario{
		{name: "the old password", path: "PUT /user", body: m{"password": password}, header: bearer(session.Token), status: 422, code: "same_password"},
		{name: "still demanded", path: by + "password", body: signIn, status: 400, code: "password_change_required"},
		{name: "a new password", path: "PUT /user", body: m{"password": renewed}, header: bearer(session.Token), status: 200, text: "ann@example.com"},
		{name: "signs in", path: by + "password", body: m{"email": "ann@example.com", "password": renewed}, status: 200, text: "access_token",
			query: "select count(*) from postern.password_demands", want: "0"},
	})
}

// The same with a number: a code by text message.
func TestPasswordChangeByPhone(t *testing.T) {
	t.Parallel()
	s := setupTexts(t)
	const number = "15550000001"
	s.exec("select postern.create_user(phone => $1, phone_confirm => true, password_hash => $2)", number, testHash)
	s.exec("select postern.require_password_change('+' || $1)", number)
	r := s.do("POST", "/token?grant_type=password", m{"phone": number, "password": password})
	if r.Status != http.StatusBadRequest || r.Body["error_code"] != "password_change_required" || !strings.Contains(r.Text, "sent to your phone") {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	r = s.do("POST", "/verify", m{"type": "sms", "phone": number, "token": s.code(number)})
	if r.Status != http.StatusOK {
		t.Fatalf("%d %s", r.Status, r.Text)
	}
	s.play([]scenario{
		{name: "a new password", path: "PUT /user", body: m{"password": "a-better-horse-10"}, header: bearer(r.session().AccessToken), status: 200},
		{name: "signs in", path: "POST /token?grant_type=password", body: m{"phone": number, "password": "a-better-horse-10"}, status: 200, text: "access_token"},
	})
}

// A hook over HTTP gets the mail of the refusal, in the call that is refused.
func TestPasswordChangeThroughTheHook(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	s := setupOn(t, apitest.Database(t), stand.settings("SEND_EMAIL")...)
	s.newUser("ann@example.com")
	s.exec("select postern.require_password_change('ann@example.com')")
	r := s.do("POST", "/token?grant_type=password", m{"email": "ann@example.com", "password": password})
	calls := stand.take()
	if r.Status != http.StatusBadRequest || r.Body["error_code"] != "password_change_required" || len(calls) != 1 || at(calls[0].payload, "email_data.email_action_type") != "recovery" {
		t.Fatalf("%d %s, calls %v", r.Status, r.Text, calls)
	}
	r = s.do("POST", "/verify", m{"type": "recovery", "token_hash": at(calls[0].payload, "email_data.token_hash").(string)})
	if r.Status != http.StatusOK {
		t.Errorf("the link of the mail: %d %s", r.Status, r.Text)
	}
}
