package api_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// What ends accounts and sessions runs beside everything that uses them: nobody sees a 5xx, whatever the order.
func TestEndsBesideUse(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *server, ann session) (response, error){
		"delete in SQL": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "delete from auth.users where id = $1", ann.UserID)
		},
		"postern.delete_user": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "select postern.delete_user(u.id::text) from auth.users as u where u.id = $1", ann.UserID)
		},
		"postern.delete_user, soft": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "select postern.delete_user(u.id::text, true) from auth.users as u where u.id = $1", ann.UserID)
		},
		"postern.anonymise_user": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "select postern.anonymise_user($1::text)", ann.UserID)
		},
		"postern.merge_users": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "select postern.merge_users(postern.ensure_user('lee@example.com')::text, $1::text)", ann.UserID)
		},
		"postern.ban_user": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "select postern.ban_user($1::text)", ann.UserID)
		},
		"postern.sign_out": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "select postern.sign_out($1::text)", ann.UserID)
		},
		"delete sessions in SQL": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "delete from auth.sessions where user_id = $1", ann.UserID)
		},
		"DELETE /admin/users": func(s *server, ann session) (response, error) {
			return s.try("DELETE", "/admin/users/"+ann.UserID, nil, s.asAdmin()...)
		},
		"POST /logout": func(s *server, ann session) (response, error) {
			return s.try("POST", "/logout", nil, bearer(ann.AccessToken)...)
		},
		"POST /logout?scope=others": func(s *server, ann session) (response, error) {
			return s.try("POST", "/logout?scope=others", nil, bearer(ann.AccessToken)...)
		},
		"DELETE /user": func(s *server, ann session) (response, error) {
			return s.try("DELETE", "/user", nil, bearer(ann.AccessToken)...)
		},
		"DELETE /user/sessions": func(s *server, ann session) (response, error) {
			return s.try("DELETE", "/user/sessions", nil, bearer(ann.AccessToken)...)
		},
		"POST /admin/users/{id}/logout": func(s *server, ann session) (response, error) {
			return s.try("POST", "/admin/users/"+ann.UserID+"/logout", nil, s.asAdmin()...)
		},
		"postern.sign_out_all": func(s *server, _ session) (response, error) {
			return sqlEnd(s.DB, "select postern.sign_out_all(everybody => true)")
		},
		"postern.revoke_tokens_before": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "select postern.revoke_tokens_before(clock_timestamp(), $1::text)", ann.UserID)
		},
		"PUT /user": func(s *server, ann session) (response, error) {
			return s.try("PUT", "/user", map[string]string{"password": password + "-new"}, bearer(ann.AccessToken)...)
		},
		"postern.set_password_hash": func(s *server, ann session) (response, error) {
			return sqlEnd(s.DB, "select postern.set_password_hash($1::text, '"+testHash+"')", ann.UserID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := pair(t, "GOTRUE_MAILER_AUTOCONFIRM=true", "POSTERN_USER_DELETION=hard")
			for round := range rounds(2, 50) {
				email := fmt.Sprintf("ann%d@example.com", round)
				ann := on[0].newSession(email)
				second := on[0].signIn(email)
				answers := race(t, on, 40, func(s *server, i int) (response, error) {
					if i == 20+round%20 { // the moment differs
						return end(s, ann)
					}
					return useAccount(s, i, email, ann, second)
				})
				noServerErrors(t, answers)
			}
		})
	}
}

// sqlEnd runs a statement and answers as the API would.
func sqlEnd(db *pgxpool.Pool, query string, args ...any) (response, error) {
	_, err := db.Exec(context.Background(), query, args...)
	return response{Status: http.StatusOK}, err
}

// useAccount is one request of many kinds, by number.
func useAccount(s *server, i int, email string, ann, second session) (response, error) {
	switch i / 2 % 8 {
	case 0:
		return s.try("POST", "/token?grant_type=password", map[string]string{"email": email, "password": password})
	case 1:
		return s.refresh(ann.RefreshToken)
	case 2:
		return s.refresh(second.RefreshToken)
	case 3:
		return s.try("GET", "/user", nil, bearer(ann.AccessToken)...)
	case 4:
		return s.try("POST", "/otp", map[string]string{"email": email})
	case 5:
		return s.try("POST", "/recover", map[string]string{"email": email})
	case 6:
		return s.try("PUT", "/user", map[string]any{"data": map[string]int{"n": i}}, bearer(second.AccessToken)...)
	}
	return s.try("POST", "/logout?scope=others", nil, bearer(second.AccessToken)...)
}

// The first sign-in of somebody imported renews the hash. Those that come at the same moment compared with the old one:
// all are let in, and nobody is told that the password is wrong.
func TestParallelFirstSignIns(t *testing.T) {
	t.Parallel()
	on := pair(t)
	for round := range rounds(3, 50) {
		email := fmt.Sprintf("import%d@example.com", round)
		on[0].newUser(email)
		on[0].exec("update auth.users set encrypted_password = $1 where email = $2", ssha(password), email)
		answers := race(t, on, 12, func(s *server, _ int) (response, error) {
			return s.try("POST", "/token?grant_type=password", m{"email": email, "password": password})
		})
		if got := outcomes(answers); got["200"] != 12 {
			t.Errorf("round %d: %v", round, got)
		}
		if n := on[0].scan("select count(*) from postern.limits where name = 'passwords'"); n != "0" {
			t.Errorf("round %d: counted as wrong passwords", round)
		}
	}
}

// ssha is a salted SHA-1 hash as LDAP servers export it.
func ssha(text string) string {
	salt := []byte("salt1234")
	sum := sha1.Sum(append([]byte(text), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}
