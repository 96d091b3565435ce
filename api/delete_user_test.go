package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// leftOf is what a deletion leaves of a user: row, sessions, why they ended, audit entry and event.
const leftOf = `select concat_ws(' | ', (select count(*) || ' users' from auth.users),
	(select string_agg(reason || ' ' || actor, ',') from postern.session_ends),
	(select string_agg(payload ->> 'actor_username' || ' ' || (payload -> 'traits' ->> 'user_email') || ' ' || (payload ->> 'log_type'), ',')
		from auth.audit_log_entries where payload ->> 'action' = 'user_deleted'),
	(select string_agg(data::text || ' ' || actor, ',') from postern.events where type = 'user.deleted'))`

// A switched-off deletion is what it is at the reference: a method that /user does not have.
func TestUserDeletionIsOff(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	for _, path := range []string{"/user", "/user/"} {
		r := s.do("DELETE", path, nil, bearer(ann.AccessToken)...)
		if r.Status != http.StatusMethodNotAllowed || r.Text != "" || r.Header.Get("Allow") != "GET, PUT" {
			t.Errorf("%s: %d %q %s", path, r.Status, r.Text, r.Header.Get("Allow"))
		}
	}
	if n := s.scan("select count(*) from auth.users"); n != "1" {
		t.Errorf("%s users left", n)
	}
}

func TestUserDeletion(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"hard": `1 users | user_deleted user | ann@example.com ann@example.com team | {"soft": false} user`,
		"soft": `2 users | user_deleted user | ann@example.com ann@example.com team | {"soft": true} user`,
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := setup(t, "POSTERN_USER_DELETION="+mode)
			ann, bob := s.newSession("ann@example.com"), s.newSession("bob@example.com")
			s.exec(`insert into postern.outbox (kind, template, recipient, user_id, payload, next_attempt_at)
				values ('mail', 'recovery', 'ann@example.com', $1, '{"token": "1"}', now() + interval '1 hour')`, ann.UserID)
			s.play([]scenario{
				{"no token", "DELETE /user", nil, nil, 401, "no_authorization", "", "", ""},
				{"bad body", "DELETE /user", "{", bearer(ann.AccessToken), 400, "bad_json", "", "", ""},
				{"NUL", "DELETE /user", `{"nonce":"\u0000"}`, bearer(ann.AccessToken), 400, "validation_failed", "", "", ""},
				{"just signed in", "DELETE /user/", nil, bearer(ann.AccessToken), 200, "", "{}", leftOf, want},
				{"again", "DELETE /user", nil, bearer(ann.AccessToken), 403, map[string]string{"hard": "user_not_found", "soft": "session_not_found"}[mode], "", leftOf, want},
				{"the session", "GET /user", nil, bearer(ann.AccessToken), 403, map[string]string{"hard": "user_not_found", "soft": "session_not_found"}[mode], "", "", ""},
				{"the password", "POST /token?grant_type=password", m{"email": "ann@example.com", "password": password}, nil, 400, "invalid_credentials", "",
					"select string_agg(state || payload::text, ',') from postern.outbox", "dropped{}"},
				{"others stay", "GET /user", nil, bearer(bob.AccessToken), 200, "", "bob@example.com", "", ""},
			})
			// the address is free
			s.newSession("ann@example.com")
		})
	}
}

// Without a proof of the last minutes an account stays.
func TestUserDeletionNeedsProof(t *testing.T) {
	t.Parallel()
	s := setup(t, "POSTERN_USER_DELETION=hard", "POSTERN_USER_DELETION_PROOF_WITHIN=5m",
		"GOTRUE_SMTP_HOST=127.0.0.1", "GOTRUE_SMTP_PORT=1") // nobody takes the mails, so that they stay
	ann := s.newSession("ann@example.com")
	asAnn := bearer(ann.AccessToken)
	age := func(of session, by string) {
		s.exec("update auth.mfa_amr_claims set created_at = now() - $2::interval, updated_at = now() - $2::interval where session_id = $1", of.sessionID(), by)
	}
	age(ann, "5 minutes 1 second")
	const all = "select count(*) from auth.users"
	s.play([]scenario{
		{"too long ago", "DELETE /user", nil, asAnn, 400, "reauthentication_needed", "requires a recent sign-in or reauthentication", all, "1"},
		{"null", "DELETE /user", "null", asAnn, 400, "reauthentication_needed", "", all, "1"},
		{"nobody asked for a code", "DELETE /user", m{"nonce": "123456"}, asAnn, 422, "reauthentication_not_valid", "Nonce has expired", all, "1"},
		{"a code", "GET /reauthenticate", nil, asAnn, 200, "", "", "", ""},
		{"a wrong code", "DELETE /user", m{"nonce": "x"}, asAnn, 422, "reauthentication_not_valid", "", all, "1"},
	})
	// a refresh is no proof
	refreshed, err := s.refresh(ann.RefreshToken)
	if err != nil || refreshed.Status != http.StatusOK {
		t.Fatalf("refreshing: %v %s", err, refreshed.Text)
	}
	s.play([]scenario{{"after a refresh", "DELETE /user", nil, bearer(refreshed.session().AccessToken), 400, "reauthentication_needed", "", all, "1"}})
	code := s.scan("select payload ->> 'token' from postern.outbox where template = 'reauthentication'")
	s.play([]scenario{{"the code", "DELETE /user", m{"nonce": code}, asAnn, 200, "", "{}", all, "0"}})

	// what opened the session decides, not what others did
	bob := s.newSession("bob@example.com")
	age(bob, "1 hour")
	second := s.signIn("bob@example.com")
	s.play([]scenario{
		{"the old session", "DELETE /user", nil, bearer(bob.AccessToken), 400, "reauthentication_needed", "", all, "1"},
		{"no session", "DELETE /user", nil, bearer(s.token(jwt.MapClaims{"sub": bob.UserID, "aud": "authenticated", "role": "authenticated"})), 400, "reauthentication_needed", "", all, "1"},
		{"banned", "GET /user", nil, bearer(second.AccessToken), 200, "", "", "select (postern.ban_user('bob@example.com', '1 hour') is null)::text", "false"},
		{"banned", "DELETE /user", nil, bearer(second.AccessToken), 403, "user_banned", "", all, "1"},
		{"free again", "GET /health", nil, nil, 200, "", "", "select (postern.unban_user('bob@example.com') is null)::text", "false"},
		{"the new session", "DELETE /user", nil, bearer(second.AccessToken), 200, "", "{}", all, "0"},
	})
}

// A zero means that a sign-in is never enough. Anonymous users have nothing but their session.
func TestUserDeletionByCodeOnly(t *testing.T) {
	t.Parallel()
	s := setup(t, "POSTERN_USER_DELETION=soft", "POSTERN_USER_DELETION_PROOF_WITHIN=0s", "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true")
	ann := s.newSession("ann@example.com")
	anonymous := s.do("POST", "/signup", m{}).session()
	const deleted = "select count(*) from auth.users where deleted_at is not null"
	s.play([]scenario{
		{"just signed in", "DELETE /user", nil, bearer(ann.AccessToken), 400, "reauthentication_needed", "", deleted, "0"},
		{"anonymous", "DELETE /user", nil, bearer(anonymous.AccessToken), 200, "", "{}", deleted, "1"},
	})
}

// Who has a second factor shows it, however fresh the password is; a fresh second factor is a proof of its own.
func TestUserDeletionTakesTheSecondFactor(t *testing.T) {
	t.Parallel()
	s := setup(t, "POSTERN_USER_DELETION=hard", "GOTRUE_SMTP_HOST=127.0.0.1", "GOTRUE_SMTP_PORT=1")
	ann := s.newSession("ann@example.com")
	const left = "select count(*) from auth.users"
	s.exec(`insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, created_at, updated_at)
		values (gen_random_uuid(), $1, 'watch', 'totp', 'verified', 'SECRET', now(), now())`, ann.UserID)
	s.play([]scenario{{"aal1", "DELETE /user", nil, bearer(ann.AccessToken), 401, "insufficient_aal", "AAL2 session is required to delete the account", left, "1"}})
	s.do("GET", "/reauthenticate", nil, bearer(ann.AccessToken)...)
	code := s.scan("select payload ->> 'token' from postern.outbox where template = 'reauthentication'")
	s.play([]scenario{{"aal1 and a code", "DELETE /user", m{"nonce": code}, bearer(ann.AccessToken), 401, "insufficient_aal", "", left, "1"}})
	s.exec("update auth.mfa_amr_claims set updated_at = now() - interval '1 hour' where session_id = $1", ann.sessionID())
	s.exec(`insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
		values (gen_random_uuid(), $1, now(), now(), 'totp')`, ann.sessionID())
	s.play([]scenario{{"aal2", "DELETE /user", nil, bearer(ann.AccessToken), 200, "", "{}", left, "0"}})
}

// A table of the application that holds on to the user keeps the account: the client learns that, the log learns which.
func TestUserDeletionIsHeld(t *testing.T) {
	t.Parallel()
	hook := []string{"GOTRUE_HOOK_SEND_EMAIL_ENABLED=true", "GOTRUE_HOOK_SEND_EMAIL_URI=http://127.0.0.1:1/",
		"GOTRUE_HOOK_SEND_EMAIL_SECRETS=v1,whsec_aGVsbG8td29ybGQtaGVsbG8td29ybGQtMTIzNA=="}
	for name, c := range map[string]struct {
		end      string
		settings []string
	}{
		"at once":                             {"", nil},
		"restrict":                            {"on delete restrict", nil},
		"at the commit":                       {"deferrable initially deferred", nil},
		"at the commit of a call with a hook": {"deferrable initially deferred", hook},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, append(c.settings, "POSTERN_USER_DELETION=hard")...)
			ann := s.newSession("ann@example.com")
			s.exec("create table public.secret_invoices (payer uuid references auth.users " + c.end + ")")
			s.exec("insert into public.secret_invoices values ($1)", ann.UserID)
			for _, version := range []string{"", "2024-01-01"} {
				r := s.do("DELETE", "/user", nil, append(bearer(ann.AccessToken), "X-Supabase-Api-Version", version)...)
				if r.Status != http.StatusConflict || r.Header.Get("X-Sb-Error-Code") != "user_not_deletable" ||
					strings.Contains(fmt.Sprint(r.Text, r.Header), "invoices") {
					t.Errorf("%d %s %v", r.Status, r.Text, r.Header)
				}
			}
			if log := s.logged.String(); !strings.Contains(log, "table=secret_invoices") || !strings.Contains(log, ann.UserID) {
				t.Errorf("logged: %s", log)
			}
			if got := s.scan(leftOf); got != "1 users" {
				t.Errorf("left: %s", got)
			}
			s.play([]scenario{{"the session", "GET /user", nil, bearer(ann.AccessToken), 200, "", "", "", ""}})
		})
	}
}

func TestAdditionsCanBeFound(t *testing.T) {
	t.Parallel()
	on := func(settings ...string) m {
		r := setup(t, settings...).do("GET", "/.well-known/postern", nil)
		if r.Status != http.StatusOK || r.Body["name"] != "Postern" || r.Body["version"] == "" || r.Header.Get("Cache-Control") == "" {
			t.Errorf("%d %s", r.Status, r.Text)
		}
		additions, _ := r.Body["additions"].(m)
		return additions
	}
	if a := on(); a["sessions"] != true || a["admin_sessions"] != true || a["exact_look_up"] != true || a["user_deletion"] != false || a["provider_tokens"] != false {
		t.Errorf("by default: %v", a)
	}
	if a := on("POSTERN_USER_DELETION=hard", "POSTERN_PROVIDER_TOKENS=github", "GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT=true",
		"GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY_ID=a", "GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPTION_KEY=NmVLa3hDdEtCbkhEbFZtcE5uQjRjTWlHdU1Wd1RQcGs",
		"GOTRUE_SECURITY_DB_ENCRYPTION_DECRYPTION_KEYS=a:NmVLa3hDdEtCbkhEbFZtcE5uQjRjTWlHdU1Wd1RQcGs"); a["user_deletion"] != true || a["provider_tokens"] != true {
		t.Errorf("switched on: %v", a)
	}
}

// Where Twilio makes the codes, it says whether one is right; a right one is used up by the deletion.
func TestUserDeletionWithTwilioVerify(t *testing.T) {
	t.Parallel()
	s := setupTexts(t, append(twilioVerifySettings, "POSTERN_USER_DELETION=hard", "POSTERN_USER_DELETION_PROOF_WITHIN=0s")...)
	s.do("POST", "/signup", m{"phone": "15551230000", "password": password})
	kim := s.do("POST", "/verify", m{"type": "sms", "phone": "15551230000", "token": s.peek("15551230000")}).session()
	as := bearer(kim.AccessToken)
	s.play([]scenario{
		{name: "no code", path: "DELETE /user", header: as, status: 400, code: "reauthentication_needed"},
		{name: "none requested", path: "DELETE /user", body: m{"nonce": "000000"}, header: as, status: 422, code: "reauthentication_not_valid"},
		{name: "request", path: "GET /reauthenticate", header: as, status: 200},
		{name: "wrong", path: "DELETE /user", body: m{"nonce": "000000"}, header: as, status: 403, code: "otp_expired", query: "select count(*) from auth.users", want: "1"},
	})
	s.play([]scenario{
		{name: "right", path: "DELETE /user", body: m{"nonce": s.peek("15551230000")}, header: as, status: 200, query: "select count(*) from auth.users", want: "0"},
	})
}

// A reload switches deletion on and off like the method of any route.
func TestUserDeletionFollowsAReload(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	remove := func() int { return s.do("DELETE", "/user", nil, bearer(ann.AccessToken)...).Status }
	on := func() any { return s.do("GET", "/.well-known/postern", nil).Body["additions"].(m)["user_deletion"] }
	if got := remove(); got != http.StatusMethodNotAllowed || on() != false {
		t.Errorf("off: %d, told %v", got, on())
	}
	s.reload("POSTERN_USER_DELETION=soft")
	if on() != true {
		t.Error("on: not told")
	}
	s.reload()
	if got := remove(); got != http.StatusMethodNotAllowed || on() != false {
		t.Errorf("off again: %d, told %v", got, on())
	}
	s.reload("POSTERN_USER_DELETION=hard")
	if got := remove(); got != http.StatusOK || s.scan("select count(*) from auth.users") != "0" {
		t.Errorf("on again: %d", got)
	}
}
