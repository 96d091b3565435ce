package api_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pquerna/otp/totp"

	"github.com/postern-auth/postern/api/apitest"
)

// verifyOn answers a challenge on one of the servers.
func verifyOn(s *server, as session, f factor, challenge, code string) (response, error) {
	return s.try("POST", "/factors/"+f.ID+"/verify", m{"challenge_id": challenge, "code": code}, bearer(as.AccessToken)...)
}

// One code of an authenticator app lifts a session to aal2 once, whether it answers one challenge or many (DESIGN
// section 9, rows 3 and 12).
func TestParallelCodesOfAnApp(t *testing.T) {
	t.Parallel()
	const n = 50
	on := pair(t)
	for round := range rounds(2, 50) {
		ann := on[0].newSession(fmt.Sprintf("ann%d@example.com", round))
		app := on[0].enrollApp(ann, "app")
		challenge, code := on[0].challengeFor(ann, app), app.code(t, 0)
		answers := race(t, on, n, func(s *server, _ int) (response, error) { return verifyOn(s, ann, app, challenge, code) })
		wantOneSuccess(t, answers, "422 mfa_ip_address_mismatch")

		challenges := make([]string, n)
		for i := range challenges {
			challenges[i] = on[0].challengeFor(ann, app)
		}
		code = app.code(t, 1)
		answers = race(t, on, n, func(s *server, i int) (response, error) { return verifyOn(s, ann, app, challenges[i], code) })
		wantOneSuccess(t, answers, "422 mfa_verification_failed")
		if got := on[0].scan("select string_agg(aal::text, ' ') from auth.sessions where user_id = $1::uuid", ann.UserID); got != "aal2" {
			t.Errorf("sessions: %s", got)
		}
	}
}

// Sessions that answer at the same time with codes of their own: whoever comes first ends the others.
func TestParallelUpgradesOfSessions(t *testing.T) {
	t.Parallel()
	on := pair(t)
	ann := on[0].newSession("ann@example.com")
	app := on[0].enrollApp(ann, "app")
	sessions, challenges := make([]session, 3), make([]string, 3)
	for i := range sessions {
		sessions[i] = on[0].signIn("ann@example.com")
		challenges[i] = on[0].challengeFor(sessions[i], app)
	}
	answers := race(t, on, 3, func(s *server, i int) (response, error) {
		return verifyOn(s, sessions[i], app, challenges[i], app.code(t, i%2))
	})
	wantOneSuccess(t, answers, "403 session_not_found")
	if got := on[0].scan("select string_agg(aal::text, ' ') from auth.sessions"); got != "aal2" {
		t.Errorf("sessions: %s", got)
	}
}

// However many guesses come at once, no more than POSTERN_MFA_MAX_GUESSES of them are told right from wrong.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	on := pair(t)
	ann := on[0].newSession("ann@example.com")
	app := on[0].enrollApp(ann, "app")
	challenge := on[0].challengeFor(ann, app)
	answers := race(t, on, 60, func(s *server, _ int) (response, error) { return verifyOn(s, ann, app, challenge, "x") })
	got := outcomes(answers)
	if got["422 mfa_verification_failed"] != 5 || got["422 mfa_challenge_expired"]+got["422 mfa_factor_not_found"] != 55 || got["422 mfa_challenge_expired"] == 0 {
		t.Errorf("got %v", got)
	}
	if r, _ := verifyOn(on[0], ann, app, challenge, app.code(t, 0)); r.Status != 422 {
		t.Errorf("the right code afterwards: %d %s", r.Status, r.Text)
	}
}

// Challenges and enrolments at the same time wait for each other: no deadlock, no unique violation.
func TestParallelChallengesAndEnrollments(t *testing.T) {
	t.Parallel()
	on := pair(t)
	ann := on[0].newSession("ann@example.com")
	app := on[0].enrollApp(ann, "app")
	answers := race(t, on, 60, func(s *server, _ int) (response, error) {
		return s.try("POST", "/factors/"+app.ID+"/challenge", m{}, bearer(ann.AccessToken)...)
	})
	if got := outcomes(answers); got["200"] != 60 {
		t.Errorf("challenges: %v", got)
	}
	answers = race(t, on, 30, func(s *server, _ int) (response, error) {
		return s.try("POST", "/factors", m{"factor_type": "totp", "friendly_name": "new"}, bearer(ann.AccessToken)...)
	})
	wantOneSuccess(t, answers, "422 mfa_factor_name_conflict")
	answers = race(t, on, 30, func(s *server, i int) (response, error) {
		return s.try("POST", "/factors", m{"factor_type": "totp", "friendly_name": fmt.Sprint(i)}, bearer(ann.AccessToken)...)
	})
	if got := outcomes(answers); got["200"] != 8 || got["422 too_many_enrolled_mfa_factors"] != 22 {
		t.Errorf("enrolments: %v", got)
	}
}

// Codes of apps count by the clock of the database, one step early or late, and never after a later one.
func TestClockOfCodes(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	dsn := apitest.Database(t)
	super, err := pgxpool.New(t.Context(), apitest.AdminURL(t, dsn))
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close()
	if _, err := super.Exec(context.Background(), `do $$ begin
		execute format('alter database %I set postern.clock = ''2026-01-01 12:00:00Z''', current_database()); end $$`); err != nil {
		t.Fatal(err)
	}
	s := setupOn(t, dsn)
	ann := s.newSession("ann@example.com")
	app := s.enrollApp(ann, "app")
	for _, c := range []struct {
		steps, status int
	}{{-2, 422}, {2, 422}, {0, 200}, {0, 422}, {-1, 422}, {1, 200}, {1, 422}} {
		code, err := totp.GenerateCode(app.Secret, noon.Add(time.Duration(c.steps)*30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if r, _ := verifyOn(s, ann, app, s.challengeFor(ann, app), code); r.Status != c.status {
			t.Errorf("%d steps off: %d %s", c.steps, r.Status, r.Text)
		}
	}
}

// Of two identities one stays, however many requests want to remove either.
func TestParallelUnlinking(t *testing.T) {
	t.Parallel()
	on := pair(t, "GOTRUE_SECURITY_MANUAL_LINKING_ENABLED=true")
	ann := on[0].newSession("ann@example.com")
	on[0].exec(`insert into auth.identities (id, provider_id, user_id, provider, identity_data, created_at, updated_at)
		values ('00000000-0000-4000-8000-0000000000e1', '7', $1::uuid, 'github', '{"sub": "7"}', now(), now())`, ann.UserID)
	ids := []string{"00000000-0000-4000-8000-0000000000e1", on[0].scan("select id::text from auth.identities where provider = 'email'")}
	answers := race(t, on, 20, func(s *server, i int) (response, error) {
		return s.try("DELETE", "/user/identities/"+ids[i%2], nil, bearer(ann.AccessToken)...)
	})
	wantOneSuccess(t, answers, "422 single_identity_not_deletable")
}
