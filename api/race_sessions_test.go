package api_test

import (
	"fmt"
	"testing"
)

// One session is ended by many at once: by the user from elsewhere, by itself, by an administrator. It ends once.
func TestParallelEndsOfOneSession(t *testing.T) {
	t.Parallel()
	on := pair(t)
	for round := range rounds(3, 50) {
		email := fmt.Sprintf("ann%d@example.com", round)
		ann := on[0].newSession(email)
		ended := on[0].signIn(email)
		answers := race(t, on, 12, func(s *server, i int) (response, error) {
			if i%3 == 0 {
				return s.try("DELETE", "/admin/users/"+ann.UserID+"/sessions/"+ended.sessionID(), nil, s.asAdmin()...)
			}
			return s.try("DELETE", "/user/sessions/"+ended.sessionID(), nil, bearer(ann.AccessToken)...)
		})
		wantOneSuccess(t, answers, "404 session_not_found")
		if got := on[0].scan(`select (select count(*) from postern.session_ends where session_id = $1) || ' '
			|| (select count(*) from postern.events where type = 'session.ended' and session_id = $1)`, ended.sessionID()); got != "1 1" {
			t.Errorf("round %d: recorded %s times", round, got)
		}
	}
}

// Two sessions end all others, again and again: that is the wish of either, and no 5xx.
func TestParallelEndsOfAllOthers(t *testing.T) {
	t.Parallel()
	on := pair(t)
	for round := range rounds(3, 50) {
		email := fmt.Sprintf("ann%d@example.com", round)
		sessions := []session{on[0].newSession(email)}
		for range 5 {
			sessions = append(sessions, on[0].signIn(email))
		}
		answers := race(t, on, 12, func(s *server, i int) (response, error) {
			return s.try("DELETE", "/user/sessions", nil, bearer(sessions[i%len(sessions)].AccessToken)...)
		})
		noServerErrors(t, answers)
		ended := 0
		for _, a := range answers {
			n, _ := a.Body["ended"].(float64)
			ended += int(n)
		}
		left := on[0].scan("select count(*) from auth.sessions where user_id = $1", sessions[0].UserID)
		if fmt.Sprint(len(sessions)-ended) != left {
			t.Errorf("round %d: %d ended, %s of %d are left", round, ended, left, len(sessions))
		}
	}
}

// An account is deleted by its user from several devices at once: one of them succeeds, and it is recorded once.
func TestParallelDeletionsOfTheOwnAccount(t *testing.T) {
	t.Parallel()
	for mode, otherwise := range map[string]string{"hard": "403 user_not_found", "soft": "403 session_not_found"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			on := pair(t, "POSTERN_USER_DELETION="+mode)
			for round := range rounds(3, 50) {
				email := fmt.Sprintf("ann%d@example.com", round)
				ann := on[0].newSession(email)
				second := on[0].signIn(email)
				answers := race(t, on, 12, func(s *server, i int) (response, error) {
					return s.try("DELETE", "/user", nil, bearer([]session{ann, second}[i/2%2].AccessToken)...)
				})
				wantOneSuccess(t, answers, otherwise)
				if got := on[0].scan(`select (select count(*) from postern.events where type = 'user.deleted' and user_id = $1) || ' '
					|| (select count(*) from auth.audit_log_entries where payload ->> 'action' = 'user_deleted' and payload ->> 'actor_id' = $1::text)`,
					ann.UserID); got != "1 1" {
					t.Errorf("round %d: recorded %s times", round, got)
				}
			}
		})
	}
}

// A code for a deletion works once, and for one of the things that codes are for.
func TestParallelDeletionsWithOneCode(t *testing.T) {
	t.Parallel()
	on := pair(t, "POSTERN_USER_DELETION=soft", "POSTERN_USER_DELETION_PROOF_WITHIN=0s", "GOTRUE_SMTP_HOST=127.0.0.1", "GOTRUE_SMTP_PORT=1")
	for round := range rounds(3, 50) {
		email := fmt.Sprintf("ann%d@example.com", round)
		ann := on[0].newSession(email)
		on[0].do("GET", "/reauthenticate", nil, bearer(ann.AccessToken)...)
		code := on[0].scan("select payload ->> 'token' from postern.outbox where template = 'reauthentication' and user_id = $1", ann.UserID)
		answers := race(t, on, 8, func(s *server, _ int) (response, error) {
			return s.try("DELETE", "/user", m{"nonce": code}, bearer(ann.AccessToken)...)
		})
		wantOneSuccess(t, answers, "403 session_not_found")
	}
}

// Everybody is signed out by several administrators while people sign out, are deleted and refresh: no deadlock reaches anybody.
func TestSignOutOfEverybodyBesideOtherEnds(t *testing.T) {
	t.Parallel()
	on := pair(t)
	for round := range rounds(2, 50) {
		var people []session
		for i := range 8 {
			email := fmt.Sprintf("p%d-%d@example.com", round, i)
			people = append(people, on[0].newSession(email), on[0].signIn(email))
		}
		answers := race(t, on, 32, func(s *server, i int) (response, error) {
			who := people[i%len(people)]
			switch i % 8 {
			case 0:
				return sqlEnd(s.DB, "select postern.sign_out_all(older_than => '0')")
			case 1:
				return sqlEnd(s.DB, "select postern.revoke_tokens_before(clock_timestamp())")
			case 2:
				return sqlEnd(s.DB, "select postern.sign_out($1::text)", who.UserID)
			case 3:
				return s.try("DELETE", "/user/sessions?scope=global", nil, bearer(who.AccessToken)...)
			case 4:
				return s.try("DELETE", "/admin/users/"+people[4].UserID, nil, s.asAdmin()...)
			}
			return s.refresh(who.RefreshToken)
		})
		noServerErrors(t, answers)
	}
	if twice := on[0].scan(`select count(*) from (
		select session_id from postern.events where type = 'session.ended' group by 1 having count(*) > 1) as t`); twice != "0" {
		t.Errorf("%s sessions ended twice", twice)
	}
}
