package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// listedSession is an entry of GET /user/sessions and of GET /admin/users/{id}/sessions.
type listedSession struct {
	ID        string   `json:"id"`
	CreatedAt string   `json:"created_at"`
	LastSeen  string   `json:"last_active_at"`
	AAL       string   `json:"aal"`
	Methods   []string `json:"methods"`
	IP        string   `json:"ip"`
	UserAgent string   `json:"user_agent"`
	IsCurrent *bool    `json:"is_current"`
}

// sessionsOf reads a list of sessions.
func (s *server) sessionsOf(path string, header ...string) (list []listedSession) {
	s.t.Helper()
	r := s.do("GET", path, nil, header...)
	if err := json.Unmarshal([]byte(r.Text), &list); r.Status != http.StatusOK || err != nil {
		s.t.Fatalf("GET %s: %d %s", path, r.Status, r.Text)
	}
	return list
}

// sessionID is the session of an access token.
func (c session) sessionID() string {
	claims := jwt.MapClaims{}
	_, _, _ = jwt.NewParser().ParseUnverified(c.AccessToken, claims)
	id, _ := claims["session_id"].(string)
	return id
}

func TestListSessions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann, bob := s.newSession("ann@example.com"), s.newSession("bob@example.com")
	phone := s.do("POST", "/token?grant_type=password", m{"email": "ann@example.com", "password": password},
		"User-Agent", "phone", "X-Forwarded-For", "203.0.113.9").session()
	s.exec("update auth.sessions set created_at = created_at - interval '1 hour', ip = '203.0.113.9' where id = $1", ann.sessionID())

	list := s.sessionsOf("/user/sessions", bearer(ann.AccessToken)...)
	if len(list) != 2 || list[0].ID != phone.sessionID() || list[1].ID != ann.sessionID() {
		t.Fatalf("got %+v, want those of ann, the newest first", list)
	}
	if first := list[0]; first.UserAgent != "phone" || first.AAL != "aal1" || strings.Join(first.Methods, " ") != "password" ||
		first.CreatedAt == "" || first.LastSeen != first.CreatedAt || *first.IsCurrent || !*list[1].IsCurrent || list[1].IP != "203.0.113.9" {
		t.Errorf("got %+v", list)
	}
	s.refresh(phone.RefreshToken)
	if first := s.sessionsOf("/user/sessions", bearer(ann.AccessToken)...)[0]; first.LastSeen <= first.CreatedAt {
		t.Errorf("a refresh is no activity: %+v", first)
	}

	of := "/admin/users/" + ann.UserID + "/sessions"
	if all := s.sessionsOf(of, s.asAdmin()...); len(all) != 2 || all[0].ID != list[0].ID || all[0].IsCurrent != nil {
		t.Errorf("for administrators: %+v", all)
	}
	// what list_sessions() shows, in that order
	if got := s.scan(`select string_agg(session_id::text, ' ') from postern.list_sessions('ann@example.com')`); got != list[0].ID+" "+list[1].ID {
		t.Errorf("in SQL: %s", got)
	}
	before := s.statements.Load()
	s.sessionsOf("/user/sessions", bearer(bob.AccessToken)...)
	if n := s.statements.Load() - before; n != 1 {
		t.Errorf("%d statements", n)
	}
}

// Sessions that are over are none to their user, though their rows are still there.
func TestListSessionsLeavesOutThoseThatAreOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ setting, end string }{
		"timebox":       {"GOTRUE_SESSIONS_TIMEBOX=24h", "update auth.sessions set created_at = now() - interval '25 hours' where id = $1"},
		"idle":          {"GOTRUE_SESSIONS_INACTIVITY_TIMEOUT=1h", "update auth.sessions set created_at = now() - interval '2 hours', refreshed_at = now() - interval '2 hours' where id = $1"},
		"hard end":      {"GOTRUE_SESSIONS_TIMEBOX=24h", "update auth.sessions set not_after = now() - interval '1 hour' where id = $1"},
		"newer sign-in": {"GOTRUE_SESSIONS_SINGLE_PER_USER=true", "update auth.sessions set created_at = now() - interval '1 hour' where id = $1"},
		"stolen token":  {"GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL=0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, c.setting)
			old, now := s.newSession("ann@example.com"), s.signIn("ann@example.com")
			if c.end != "" {
				s.exec(c.end, old.sessionID())
			} else { // a token that was used comes back, twice removed
				next, _ := s.refresh(old.RefreshToken)
				_, _ = s.refresh(next.session().RefreshToken)
				if r, _ := s.refresh(old.RefreshToken); r.Header.Get("X-Sb-Error-Code") != "refresh_token_already_used" {
					t.Fatalf("an old token: %d %s", r.Status, r.Text)
				}
			}
			if list := s.sessionsOf("/user/sessions", bearer(now.AccessToken)...); len(list) != 1 || list[0].ID != now.sessionID() {
				t.Errorf("got %+v", list)
			}
			if all := s.sessionsOf("/admin/users/"+now.UserID+"/sessions", s.asAdmin()...); len(all) != 2 {
				t.Errorf("for administrators: %+v", all)
			}
			// it can still be removed
			if r := s.do("DELETE", "/user/sessions/"+old.sessionID(), nil, bearer(now.AccessToken)...); r.Status != http.StatusOK {
				t.Errorf("removing it: %d %s", r.Status, r.Text)
			}
		})
	}
}

// traceOf is what ending sessions left, oldest first.
const traceOf = `select concat_ws(' | ',
	(select count(*) from auth.sessions), (select string_agg(reason || ' ' || actor, ',' order by ended_at) from postern.session_ends),
	(select string_agg(type || ' ' || actor, ',' order by id) from postern.events where type = 'session.ended'),
	(select string_agg(payload ->> 'action' || ' ' || (payload ->> 'actor_username'), ',' order by created_at) from auth.audit_log_entries where payload ->> 'action' = 'logout'))`

func TestEndSessions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann, second, third := s.newSession("ann@example.com"), s.signIn("ann@example.com"), s.signIn("ann@example.com")
	bob := s.newSession("bob@example.com")
	asAnn, unknown := bearer(ann.AccessToken), "/user/sessions/"+nobodyID
	const none = "4"
	s.play([]scenario{
		{"no token", "GET /user/sessions", nil, nil, 401, "no_authorization", "", "", ""},
		{"no token, one", "DELETE " + unknown, nil, nil, 401, "no_authorization", "", "", ""},
		{"no session like that", "DELETE " + unknown, nil, asAnn, 404, "session_not_found", "Session not found", traceOf, none},
		{"somebody else's", "DELETE /user/sessions/" + bob.sessionID(), nil, asAnn, 404, "session_not_found", "Session not found", traceOf, none},
		{"no id", "DELETE /user/sessions/x", nil, asAnn, 404, "validation_failed", "session_id must be an UUID", traceOf, none},
		{"unknown scope", "DELETE /user/sessions?scope=all", nil, asAnn, 400, "validation_failed", `Unsupported logout scope`, traceOf, none},
		{"one", "DELETE /user/sessions/" + second.sessionID(), nil, asAnn, 200, "", `{"ended":1}`, traceOf,
			"3 | logout user | session.ended user | logout ann@example.com"},
		{"the same again", "DELETE /user/sessions/" + second.sessionID(), nil, asAnn, 404, "session_not_found", "", traceOf,
			"3 | logout user | session.ended user | logout ann@example.com"},
		{"by its own token", "GET /user/sessions", nil, bearer(second.AccessToken), 403, "session_not_found", "", "", ""},
		{"all others", "DELETE /user/sessions", nil, asAnn, 200, "", `{"ended":1}`, traceOf,
			"2 | logout user,logout user | session.ended user,session.ended user | logout ann@example.com,logout ann@example.com"},
		{"others, none", "DELETE /user/sessions?scope=others", nil, asAnn, 200, "", `{"ended":0}`, "select count(*) from auth.sessions", "2"},
		{"an ended one", "DELETE /user/sessions", nil, bearer(third.AccessToken), 403, "session_not_found", "", "", ""},
		{"its own", "DELETE /user/sessions/" + ann.sessionID(), nil, asAnn, 200, "", `{"ended":1}`, "select count(*) from auth.sessions", "1"},
		{"after that", "GET /user/sessions", nil, asAnn, 403, "session_not_found", "", "", ""},
		{"this one", "DELETE /user/sessions?scope=local", nil, bearer(bob.AccessToken), 200, "", `{"ended":1}`, "select count(*) from auth.sessions", "0"},
	})
	first := s.signIn("bob@example.com")
	s.signIn("bob@example.com")
	s.play([]scenario{
		{"everywhere", "DELETE /user/sessions?scope=global", nil, bearer(first.AccessToken), 200, "", `{"ended":2}`, "select count(*) from auth.sessions", "0"},
	})
	// a token without a session has no session of its own: all end
	s.signIn("bob@example.com")
	alone := bearer(s.token(jwt.MapClaims{"sub": bob.UserID, "role": "authenticated", "aud": "authenticated"}))
	if list := s.sessionsOf("/user/sessions", alone...); len(list) != 1 || *list[0].IsCurrent {
		t.Errorf("without a session: %+v", list)
	}
	s.play([]scenario{
		{"no session", "DELETE /user/sessions?scope=local", nil, alone, 200, "", `{"ended":1}`, "select count(*) from auth.sessions", "0"},
		{"banned", "GET /user/sessions", nil, alone, 200, "", "[]", "select (postern.ban_user('bob@example.com', '1 hour') is null)::text", "false"},
		{"banned", "GET /user/sessions", nil, alone, 403, "user_banned", "", "", ""},
		{"banned", "DELETE /user/sessions", nil, alone, 403, "user_banned", "", "", ""},
	})
}

func TestAdminEndsSessions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann, second := s.newSession("ann@example.com"), s.signIn("ann@example.com")
	bob := s.newSession("bob@example.com")
	of, nobody := "/admin/users/"+ann.UserID, "/admin/users/"+nobodyID
	by := s.asAdmin()
	const none = "3"
	s.play([]scenario{
		{"not an administrator", "GET " + of + "/sessions", nil, bearer(ann.AccessToken), 403, "not_admin", "", "", ""},
		{"not an administrator", "POST " + of + "/logout", nil, bearer(ann.AccessToken), 403, "not_admin", "", traceOf, none},
		{"nobody", "GET " + nobody + "/sessions", nil, by, 404, "user_not_found", "User not found", "", ""},
		{"nobody", "DELETE " + nobody + "/sessions", nil, by, 404, "user_not_found", "User not found", "", ""},
		{"nobody", "POST " + nobody + "/logout", nil, by, 404, "user_not_found", "User not found", "", ""},
		{"no id", "GET /admin/users/x/sessions", nil, by, 404, "validation_failed", "user_id must be an UUID", "", ""},
		{"no id", "DELETE " + of + "/sessions/x", nil, by, 404, "validation_failed", "session_id must be an UUID", "", ""},
		{"unknown", "DELETE " + of + "/sessions/" + nobodyID, nil, by, 404, "session_not_found", "The user has no session " + nobodyID, traceOf, none},
		{"of another user", "DELETE " + of + "/sessions/" + bob.sessionID(), nil, by, 404, "session_not_found", "The user has no session", traceOf, none},
		{"one", "DELETE " + of + "/sessions/" + second.sessionID(), nil, by, 200, "", `{"ended":1}`, traceOf,
			"2 | admin service_role | session.ended service_role | logout service_role"},
		{"all", "DELETE " + of + "/sessions", nil, by, 200, "", `{"ended":1}`, "select string_agg(user_id::text, '') from auth.sessions", bob.UserID},
		{"none", "DELETE " + of + "/sessions", nil, by, 200, "", `{"ended":0}`, "", ""},
		{"sign-out", "POST /admin/users/" + bob.UserID + "/logout", nil, by, 204, "", "", "select count(*) from auth.sessions", "0"},
		{"no list", "GET " + of + "/sessions", nil, by, 200, "", "[]", "", ""},
	})
}

// The exact look-up finds whole addresses and numbers, in any case and form, and nothing else.
func TestLookUpUsers(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	s.newUser("annabel@example.com")
	s.exec("select postern.create_user('bob@example.com', phone => '+1 555 0001')")
	s.exec(`insert into auth.users (id, instance_id, aud, role, email, is_sso_user, created_at) values
		(gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated', 'Ann@example.com', true, now() - interval '1 day'),
		(gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'other', 'authenticated', 'cyd@example.com', false, now())`)
	for _, c := range []struct{ query, want, total string }{
		{"?email=annabel@example.com", "annabel@example.com", "1"},
		{"?email=ANNABEL%40example.com&page=9&per_page=1&filter=x&sort=x", "annabel@example.com", "1"},
		{"?email=ann@example.com", "ann@example.com Ann@example.com", "2"},
		{"?email=a%25@example.com", "", "0"},
		{"?email=_nnabel@example.com", "", "0"},
		{"?email=nobody@example.com", "", "0"},
		{"?email=cyd@example.com", "", "0"},
		{"?phone=15550001", "bob@example.com", "1"},
		{"?phone=+15550001", "bob@example.com", "1"},
		{"?phone=%2B1+555+0001", "bob@example.com", "1"},
		{"?phone=1555000", "", "0"},
		{"?phone=15550001&email=bob@example.com", "bob@example.com", "1"},
		{"?phone=15550001&email=ann@example.com", "", "0"},
	} {
		r := s.do("GET", "/admin/users"+c.query, nil, s.asAdmin()...)
		var emails []string
		users, isList := r.Body["users"].([]any)
		for _, u := range users {
			emails = append(emails, u.(m)["email"].(string))
		}
		if got := strings.Join(emails, " "); got != c.want || !isList || r.Header.Get("X-Total-Count") != c.total || r.Body["aud"] != "authenticated" {
			t.Errorf("%s: %d %s", c.query, r.Status, r.Text)
		}
	}
	if r := s.do("GET", "/admin/users?email=cyd@example.com", nil, append(s.asAdmin(), "X-JWT-AUD", "other")...); !strings.Contains(r.Text, "cyd@") {
		t.Errorf("in another audience: %s", r.Text)
	}
	s.play([]scenario{
		{"no address", "GET /admin/users?email=", nil, s.asAdmin(), 400, "validation_failed", "An email address is required", "", ""},
		{"NUL", "GET /admin/users?email=%00", nil, s.asAdmin(), 400, "validation_failed", "", "", ""},
		{"malformed", "GET /admin/users?email=ann", nil, s.asAdmin(), 400, "validation_failed", "invalid format", "", ""},
		{"no number", "GET /admin/users?phone=", nil, s.asAdmin(), 400, "validation_failed", "E.164", "", ""},
		{"malformed", "GET /admin/users?phone=0155", nil, s.asAdmin(), 400, "validation_failed", "E.164", "", ""},
		{"not an administrator", "GET /admin/users?email=ann@example.com", nil, nil, 401, "no_authorization", "", "", ""},
	})
	// in the mode of cursors, too, and beside the filter of the reference, which stays
	byCursor := setupOn(t, s.dsn, "GOTRUE_EXPERIMENTAL_CURSOR_PAGINATION_ENABLED=true")
	if r := byCursor.do("GET", "/admin/users?email=annabel@example.com", nil, s.asAdmin()...); r.Header.Get("X-Total-Count") != "1" || r.Body["pagination"] != nil {
		t.Errorf("with cursors: %s", r.Text)
	}
	if r := s.do("GET", "/admin/users?filter=nn", nil, s.asAdmin()...); r.Header.Get("X-Total-Count") != "3" {
		t.Errorf("filter: %s", r.Text)
	}
}
