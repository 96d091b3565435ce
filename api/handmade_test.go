package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/postern-auth/postern/api/apitest"
)

// Users that somebody inserted by hand, with NULL wherever the catalog allows it and no identity (DESIGN section 9, row 5).
func TestHandmadeUsers(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	s := setup(t, smtpSettings(sink.Host, sink.Port)...)
	const email, id = "hand@example.com", "22222222-2222-4222-8222-222222222222"
	s.exec(`insert into auth.users (id, instance_id, aud, email, encrypted_password, email_confirmed_at)
		values ($1, '00000000-0000-0000-0000-000000000000', 'authenticated', $2, $3, now())`, id, email, testHash)
	s.exec(`update auth.users set confirmation_token = null, recovery_token = null, email_change_token_new = null, email_change = null,
		raw_app_meta_data = null, raw_user_meta_data = null, phone = null, phone_change = null, phone_change_token = null,
		email_change_token_current = null, email_change_confirm_status = null, reauthentication_token = null, role = null, created_at = null,
		updated_at = null`)
	ann := s.signIn(email)
	var last response
	for _, c := range []struct {
		method, path string
		body         any
		header       []string
	}{
		{"GET", "/user", nil, bearer(ann.AccessToken)},
		{"PUT", "/user", map[string]any{"data": map[string]string{"name": "Hand"}}, bearer(ann.AccessToken)},
		{"PUT", "/user", map[string]any{"email": "hand2@example.com"}, bearer(ann.AccessToken)},
		{"PUT", "/user", map[string]any{"password": password + "-2"}, bearer(ann.AccessToken)},
		{"GET", "/reauthenticate", nil, bearer(ann.AccessToken)},
		{"POST", "/token?grant_type=refresh_token", map[string]string{"refresh_token": ann.RefreshToken}, nil},
		{"POST", "/recover", map[string]string{"email": email}, nil},
		{"POST", "/magiclink", map[string]string{"email": email}, nil},
		{"POST", "/otp", map[string]string{"email": email}, nil},
		{"POST", "/signup", map[string]string{"email": email, "password": password}, nil},
		{"GET", "/admin/users", nil, s.asAdmin()},
		{"GET", "/admin/users/" + id, nil, s.asAdmin()},
		{"PUT", "/admin/users/" + id, map[string]any{"app_metadata": map[string]int{"n": 1}}, s.asAdmin()},
		{"POST", "/admin/generate_link", map[string]string{"type": "magiclink", "email": email}, s.asAdmin()},
	} {
		if last = s.do(c.method, c.path, c.body, c.header...); last.Status != http.StatusOK {
			t.Errorf("%s %s %v: %d %s", c.method, c.path, c.body, last.Status, last.Text)
		}
	}
	if r := s.do("POST", "/verify", map[string]any{"type": "email", "token_hash": last.Body["hashed_token"]}); r.Status != http.StatusOK {
		t.Errorf("POST /verify: %d %s", r.Status, r.Text)
	}
	if r := s.do("DELETE", "/admin/users/"+id, map[string]bool{"should_soft_delete": true}, s.asAdmin()...); r.Status != http.StatusOK {
		t.Errorf("DELETE: %d %s", r.Status, r.Text)
	}
	if r := s.do("GET", "/user", nil, bearer(s.token(jwt.MapClaims{"sub": id, "aud": "authenticated"}))...); r.Status != http.StatusOK {
		t.Errorf("GET /user of a soft-deleted user: %d %s", r.Status, r.Text)
	}
}

// What triggers of an application raise for clients reaches them in PostgreSQL's words (spec/00 section 4), in both API
// versions; what else they do wrong is in the log, with the trigger's name, under the id that the client gets.
func TestTriggerErrors(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.exec(`create function public.refuse() returns trigger language plpgsql as $$ begin
		if new.email like 'p0001@%' then raise exception 'No such guests' using detail = 'd', hint = 'h'; end if;
		if new.email like 'pt409@%' then raise sqlstate 'PT409' using message = 'Come later'; end if;
		if new.email like 'full@%' then insert into public.guests values (null); end if;
		if new.email like 'other@%' then raise sqlstate 'XX123' using message = 'secret'; end if;
		return new; end $$`)
	s.exec("create table public.guests (a int not null); grant select, insert on public.guests to public")
	s.exec("create trigger refuse before insert on auth.users for each row execute function public.refuse()")
	for _, c := range []struct {
		email, version, body string
		status               int
	}{
		{"p0001@example.com", "", `{"code":"P0001","message":"No such guests","detail":"d","hint":"h"}`, 500},
		{"pt409@example.com", "", `{"code":"PT409","message":"Come later"}`, 409},
		{"p0001@example.com", "2024-01-01", `{"code":"P0001","message":"No such guests","detail":"d","hint":"h"}`, 500},
		{"pt409@example.com", "2024-01-01", `{"code":"PT409","message":"Come later"}`, 409},
		{"full@example.com", "", `{"code":"23502","message":"null value in column \"a\" of relation \"guests\" violates not-null constraint","detail":"Failing row contains (null)."}`, 500},
		{"full@example.com", "2024-01-01", `{"code":"unexpected_failure","message":"Database error saving new user"}`, 500},
	} {
		for _, path := range []string{"/signup", "/otp"} {
			r := s.do("POST", path, map[string]string{"email": c.email, "password": password}, "X-Supabase-Api-Version", c.version)
			if r.Status != c.status || r.Text != c.body || r.Header.Get("X-Sb-Error-Code") != "unexpected_failure" {
				t.Errorf("%s %s %s: %d %s %v", path, c.email, c.version, r.Status, r.Text, r.Header)
			}
			if got := r.Header.Get("X-Supabase-Api-Version"); got != c.version {
				t.Errorf("version %q", got)
			}
		}
	}
	r := s.do("POST", "/signup", map[string]string{"email": "other@example.com", "password": password})
	if r.Status != 500 || r.Body["msg"] != "Database error saving new user" || r.Body["error_id"] == nil {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	id, _ := r.Body["error_id"].(string)
	if got := r.Header.Get("X-Error-Id"); got == "" || got != id {
		t.Errorf("X-Error-Id: %q, in the body %q", got, id)
	}
	for _, part := range []string{
		"error_id=" + id, "database.sqlstate=XX123", `database.functions=[public.refuse()]`,
		`database.triggers="[refuse on auth.users]"`, "database.table=guests", "database.column=a",
	} {
		if !strings.Contains(s.logged.String(), part) {
			t.Errorf("%q is missing in the log:\n%s", part, s.logged)
		}
	}
	if strings.Contains(s.logged.String(), "Failing row") {
		t.Error("the log shows the values of a row")
	}
}
