package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

const annID, nobodyID = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-0000000000ff"

// adminStep is a request by an administrator, and what it gets: a status, and parts of the body.
type adminStep struct {
	name, method, path string
	body               any
	status             int
	want               []string
}

// administer runs steps in order.
func administer(t *testing.T, s *server, steps []adminStep) {
	t.Helper()
	for _, step := range steps {
		r := s.do(step.method, step.path, step.body, s.asAdmin()...)
		if r.Status != step.status {
			t.Errorf("%s: got %d %s", step.name, r.Status, r.Text)
		}
		var body bytes.Buffer
		if json.Compact(&body, []byte(r.Text)) != nil {
			body.WriteString(r.Text)
		}
		for _, part := range step.want {
			if part, absent := strings.CutPrefix(part, "!"); strings.Contains(body.String(), part) == absent {
				t.Errorf("%s: want %q in %s (absent: %t)", step.name, part, body.String(), absent)
			}
		}
	}
}

type object = map[string]any

func TestAdminUserLife(t *testing.T) {
	t.Parallel()
	s := setup(t)
	one, gone := "/admin/users/"+annID, "/admin/users/"+nobodyID
	administer(t, s, []adminStep{
		{"create", "POST", "/admin/users", object{"id": annID, "email": "Ann@Example.com", "password": password, "email_confirm": true, "role": " editor "},
			200, []string{`"email":"ann@example.com"`, `"role":"editor"`, `"email_verified":false`, `!"confirmed_at"`}},
		{"get", "GET", one, nil, 200, []string{`"confirmed_at"`, `"identities":[{`}},
		{"get, trailing slash", "GET", one + "/", nil, 200, nil},
		{"taken id", "POST", "/admin/users", object{"id": annID, "email": "x@example.com"}, 500, []string{`"code":"23505"`, `users_pkey`}},
		{"import without metadata", "POST", "/admin/users", object{"email": "imp@example.com", "password_hash": testHash}, 200, []string{`"user_metadata":null`}},
		{"import with metadata", "POST", "/admin/users", object{"email": "imp2@example.com", "password_hash": testHash, "user_metadata": object{"a": nil}}, 200, []string{`"user_metadata":{"a":null}`}},
		{"bad hash", "POST", "/admin/users", object{"email": "x@example.com", "password_hash": "md5"}, 500, []string{"Error creating user"}},
		{"empty password", "POST", "/admin/users", object{"email": "empty@example.com", "password": ""}, 200, nil},
		{"long password", "POST", "/admin/users", object{"email": "x@example.com", "password": strings.Repeat("x", 73)}, 400, []string{"validation_failed"}},
		{"taken before all that", "POST", "/admin/users", object{"email": "ann@example.com", "phone": "x", "id": "x", "ban_duration": "x"}, 422, []string{"email_exists"}},
		{"bad phone", "POST", "/admin/users", object{"email": "x@example.com", "phone": "x", "id": "x"}, 400, []string{"E.164"}},
		{"bad metadata", "POST", "/admin/users", object{"email": "x@example.com", "app_metadata": 1}, 400, []string{"bad_json"}},
		{"no body", "POST", "/admin/users", "", 400, []string{"bad_json"}},
		{"NUL", "POST", "/admin/users", `{"email":"x@example.com","user_metadata":{"a":"\u0000"}}`, 400, []string{"validation_failed"}},
		{"huge number", "POST", "/admin/users", `{"email":"x@example.com","user_metadata":{"a":1e999999}}`, 400, []string{"validation_failed"}},

		{"update", "PUT", one, object{"email": "ann2@example.com", "user_metadata": object{"a": 1}, "app_metadata": object{"provider": nil}},
			200, []string{`"email":"ann2@example.com"`, `"email":"ann@example.com"`, `"a":1`, `!"provider":"email","providers"`}},
		{"add a phone", "PUT", one, object{"phone": "+1 555 000 1111", "phone_confirm": true}, 200, []string{`"phone":"15550001111"`, `"phone_verified":true`, `"phone_confirmed_at"`}},
		{"ban", "PUT", one, object{"ban_duration": "1h"}, 200, []string{`"banned_until"`}},
		{"null changes nothing", "PUT", one, "null", 200, []string{`"banned_until"`, `"role":"editor"`}},
		{"unban", "PUT", one, object{"ban_duration": "none"}, 200, []string{`!"banned_until"`}},
		{"weak", "PUT", one, object{"password": ""}, 422, []string{"weak_password"}},
		{"taken address", "PUT", one, object{"email": "imp@example.com"}, 500, []string{`"code":"23505"`, "users_email_partial_key"}},
		{"bad email", "PUT", one, object{"email": "x"}, 400, []string{"invalid format"}},
		{"bad body", "PUT", one, "{", 400, []string{"bad_json"}},
		{"unknown before bad body", "PUT", gone, "{", 404, []string{"user_not_found"}},
		{"no id", "PUT", "/admin/users/x", "{", 404, []string{"user_id must be an UUID"}},

		{"delete, bad body", "DELETE", one, "{", 400, []string{"bad_json"}},
		{"delete softly", "DELETE", one, object{"should_soft_delete": true}, 200, []string{"{}"}},
		{"get the shell", "GET", one, nil, 200, []string{`"deleted_at"`, `"user_metadata":{}`, `!"identity_data"`, "!example"}},
		{"softly again", "DELETE", one, object{"should_soft_delete": true}, 200, nil},
		{"delete", "DELETE", one, nil, 200, []string{"{}"}},
		{"delete again", "DELETE", one, nil, 404, []string{"user_not_found", "User not found"}},
		{"delete unknown, bad body", "DELETE", gone, "{", 404, []string{"user_not_found"}},
		{"deeper path", "GET", "/admin/users/1/2/3", nil, 404, []string{"user_id must be an UUID"}},
	})
	if got := s.scan(`select string_agg(distinct payload ->> 'actor_username', ',') from auth.audit_log_entries`); got != "service_role" {
		t.Errorf("actors %s", got)
	}
}

// A new password ends every session, a ban none but stops the refresh.
func TestAdminUpdateEndsSessions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	path := "/admin/users/" + ann.UserID
	refresh := func(token string) response {
		return s.do("POST", "/token?grant_type=refresh_token", object{"refresh_token": token})
	}
	administer(t, s, []adminStep{{"ban", "PUT", path, object{"ban_duration": "1h"}, 200, nil}})
	if r := refresh(ann.RefreshToken); r.Status != http.StatusBadRequest || !strings.Contains(r.Text, "user_banned") {
		t.Errorf("refresh while banned: %d %s", r.Status, r.Text)
	}
	administer(t, s, []adminStep{
		{"unban", "PUT", path, object{"ban_duration": "none"}, 200, nil},
		{"password", "PUT", path, object{"password": "fresh-horse-10"}, 200, nil},
	})
	if r := refresh(ann.RefreshToken); r.Status != http.StatusBadRequest || !strings.Contains(r.Text, "refresh_token_not_found") {
		t.Errorf("refresh after a new password: %d %s", r.Status, r.Text)
	}
	if r := s.do("POST", "/token?grant_type=password", object{"email": "ann@example.com", "password": "fresh-horse-10"}); r.Status != http.StatusOK {
		t.Errorf("new password: %d %s", r.Status, r.Text)
	}
}

func TestAdminRoles(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ann := s.newSession("ann@example.com")
	for _, route := range []struct{ method, path string }{
		{"GET", "/admin/users"}, {"POST", "/admin/users"}, {"GET", "/admin/users/" + annID}, {"PUT", "/admin/users/" + annID},
		{"DELETE", "/admin/users/" + annID}, {"GET", "/admin/audit"}, {"POST", "/admin/generate_link"}, {"POST", "/invite"},
		{"GET", "/admin/users/" + annID + "/factors"}, {"PUT", "/admin/users/" + annID + "/factors/" + annID},
		{"DELETE", "/admin/users/" + annID + "/factors/" + annID},
	} {
		for name, test := range map[string]struct {
			headers []string
			status  int
		}{
			"nobody": {nil, http.StatusUnauthorized}, "a user": {bearer(ann.AccessToken), http.StatusForbidden},
			"anon": {bearer(s.token(jwt.MapClaims{"role": "anon"})), http.StatusForbidden},
		} {
			if r := s.do(route.method, route.path, nil, test.headers...); r.Status != test.status {
				t.Errorf("%s %s as %s: %d %s", route.method, route.path, name, r.Status, r.Text)
			}
		}
	}
}

// Deletions beside sign-ins, refreshes and changes of the same users, on two servers: nothing ends in a 5xx.
func TestDeletionsBesideSignIns(t *testing.T) {
	t.Parallel()
	const patient = "GOTRUE_API_MAX_REQUEST_DURATION=1m" // hashing takes its time under the race detector
	s := setup(t, patient)
	other := setupOn(t, s.dsn, patient)
	const users = 8
	var ids, tokens [users]string
	for i := range users {
		one := s.newSession(fmt.Sprintf("user%d@example.com", i))
		ids[i], tokens[i] = one.UserID, one.RefreshToken
	}
	var wait sync.WaitGroup
	call := func(s *server, method, path string, body any) {
		wait.Go(func() {
			r, err := s.try(method, path, body, s.asAdmin()...)
			if err != nil || r.Status >= http.StatusInternalServerError {
				t.Errorf("%s %s: %d %s %v", method, path, r.Status, r.Text, err)
			}
		})
	}
	for i := range users {
		email := fmt.Sprintf("user%d@example.com", i)
		for _, server := range []*server{s, other} {
			call(server, "POST", "/token?grant_type=password", object{"email": email, "password": password})
			call(server, "POST", "/token?grant_type=refresh_token", object{"refresh_token": tokens[i]})
			call(server, "POST", "/magiclink", object{"email": email})
			call(server, "PUT", "/admin/users/"+ids[i], object{"user_metadata": object{"a": 1}, "phone": fmt.Sprintf("1555000%04d", i)})
			call(server, "DELETE", "/admin/users/"+ids[i], object{"should_soft_delete": i%2 == 0})
		}
	}
	wait.Wait()
	if left := s.scan(`select count(*) from auth.users where id = any ($1) and deleted_at is null`, ids[:]); left != "0" {
		t.Errorf("%s users are left", left)
	}
}
