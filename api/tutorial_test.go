package api_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
)

const zeros = "'00000000-0000-0000-0000-000000000000'"

// tutorials are ways in which users are inserted by the SQL of seed files, blog posts and answers, all with the password
// above. lacks is what postern.doctor() finds, a part of each finding.
var tutorials = []struct{ name, sql, lacks string }{
	{"the long form: eight times '' and an identity", `with u as (
		insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
		  created_at, updated_at, confirmation_token, recovery_token, email_change, email_change_token_new, email_change_token_current,
		  phone_change, phone_change_token, reauthentication_token)
		values (` + zeros + `, gen_random_uuid(), 'authenticated', 'authenticated', 'kit@example.com', crypt('` + password + `', gen_salt('bf')), now(),
		  '{"provider": "email", "providers": ["email"]}', '{"full_name": "Kit"}', now(), now(), '', '', '', '', '', '', '', '') returning id, email
		) insert into auth.identities (id, user_id, identity_data, provider, provider_id, last_sign_in_at, created_at, updated_at)
		select gen_random_uuid(), id, format('{"sub": "%s", "email": "%s"}', id, email)::jsonb, 'email', id, now(), now(), now() from u`, ""},
	{"with four times '' and times of mails, no identity", `
		insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, recovery_sent_at, last_sign_in_at,
		  raw_app_meta_data, raw_user_meta_data, created_at, updated_at, confirmation_token, email_change, email_change_token_new, recovery_token)
		values (` + zeros + `, gen_random_uuid(), 'authenticated', 'authenticated', 'kit@example.com', crypt('` + password + `', gen_salt('bf')), now(),
		  now() - interval '1 day', now(), '{"provider": "email", "providers": ["email"]}', '{"role": "admin"}', now(), now(), '', '', '', '')`,
		"no identity"},
	{"without token columns, the id as the identity's", `with u as (
		insert into auth.users (id, instance_id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
		values (gen_random_uuid(), ` + zeros + `, 'authenticated', 'authenticated', 'kit@example.com', crypt('` + password + `', gen_salt('bf')), now(),
		  '{"provider": "email", "providers": ["email"]}', '{"first_name": "Demo"}', now(), now()) returning id
		) insert into auth.identities (id, user_id, identity_data, provider, provider_id, last_sign_in_at, created_at, updated_at)
		select id, id, jsonb_build_object('sub', id, 'email', 'kit@example.com'), 'email', id, now(), now(), now() from u`, "users with NULL"},
	{"without token columns, an identity without times", `with u as (
		insert into auth.users (id, instance_id, aud, role, email, encrypted_password, email_confirmed_at, created_at, updated_at)
		values (gen_random_uuid(), ` + zeros + `, 'authenticated', 'authenticated', 'kit@example.com', crypt('` + password + `', gen_salt('bf', 10)), now(), now(), now()) returning id
		) insert into auth.identities (user_id, identity_data, provider, provider_id)
		select id, jsonb_build_object('sub', id, 'email', 'kit@example.com'), 'email', id from u`, "identity that has NULL, users with NULL"},
	{"with NULL written out, metadata too", `
		insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, is_super_admin,
		  created_at, updated_at, phone, phone_confirmed_at, phone_change, phone_change_token, email_change_token_current, email_change_confirm_status,
		  banned_until, reauthentication_token, is_sso_user, deleted_at)
		values (` + zeros + `, gen_random_uuid(), 'authenticated', 'authenticated', 'kit@example.com', crypt('` + password + `', gen_salt('bf')), now(), null, null, false,
		  null, null, null, null, null, null, null, null, null, null, false, null)`, "no identity, users with NULL"},
	{"metadata that is JSON's null, an empty phone", `
		insert into auth.users (instance_id, id, aud, role, email, phone, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data)
		values (` + zeros + `, gen_random_uuid(), 'authenticated', 'authenticated', 'kit@example.com', '', crypt('` + password + `', gen_salt('bf')), now(), 'null', 'null')`,
		"no identity, users with NULL"},
	{"without role", `insert into auth.users (instance_id, id, aud, email, encrypted_password, email_confirmed_at)
		values (` + zeros + `, gen_random_uuid(), 'authenticated', 'kit@example.com', crypt('` + password + `', gen_salt('bf')), now())`, "no identity, users with NULL"},
	{"without aud and role", `insert into auth.users (instance_id, id, email, encrypted_password, email_confirmed_at)
		values (` + zeros + `, gen_random_uuid(), 'kit@example.com', crypt('` + password + `', gen_salt('bf')), now())`, "no identity, users with NULL"},
	{"without instance_id", `insert into auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, created_at, updated_at)
		values (gen_random_uuid(), 'authenticated', 'authenticated', 'kit@example.com', crypt('` + password + `', gen_salt('bf')), now(), now(), now())`,
		"no identity, users with NULL"},
	{"only id, address and password", `insert into auth.users (id, email, encrypted_password, email_confirmed_at)
		values (gen_random_uuid(), 'kit@example.com', crypt('` + password + `', gen_salt('bf')), now())`, "no identity, users with NULL"},
	{"an address with capital letters", `
		insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at)
		values (` + zeros + `, gen_random_uuid(), 'authenticated', 'authenticated', 'Kit@Example.com', crypt('` + password + `', gen_salt('bf')), now())`,
		"no identity, users with NULL, capital letters"},
	{"the password set later, once more", `
		insert into auth.users (instance_id, id, aud, role, email, email_confirmed_at) values (` + zeros + `, gen_random_uuid(), 'authenticated', 'authenticated', 'kit@example.com', now());
		update auth.users set encrypted_password = crypt('` + password + `', gen_salt('bf')) where email = 'kit@example.com'`, "no identity, users with NULL"},
}

// Whoever was made so signs in, gets links, refreshes and changes the password, before and after postern.doctor() is
// heeded; it names the user and gives statements after which it is silent.
func TestUsersOfTutorials(t *testing.T) {
	t.Parallel()
	for _, c := range tutorials {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
			s := setup(t, smtpSettings(sink.Host, sink.Port)...)
			s.exec("create extension pgcrypto")
			s.exec(c.sql)
			fixes := s.findings(c.lacks)
			s.useAccount("kit@example.com", password, password+"-2")
			for _, fix := range fixes {
				s.exec(fix)
			}
			s.findings("")
			s.useAccount("kit@example.com", password+"-2", password+"-3")
			s.findings("")
		})
	}
}

// An account that is not confirmed, as many tutorials leave it, waits for its confirmation like any other.
func TestUnconfirmedUsersOfTutorials(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	s := setup(t, smtpSettings(sink.Host, sink.Port)...)
	s.exec("create extension pgcrypto")
	s.exec(`insert into auth.users (id, email, encrypted_password) values (gen_random_uuid(), 'kit@example.com', crypt('` + password + `', gen_salt('bf')))`)
	s.play([]scenario{
		{name: "password", path: "POST /token?grant_type=password", body: object{"email": "kit@example.com", "password": password}, status: 400, code: "email_not_confirmed"},
		{name: "link", path: "POST /magiclink", body: object{"email": "kit@example.com"}, status: 200},
	})
	s.play([]scenario{{name: "confirmation", path: "POST /verify", body: object{"type": "signup", "token_hash": s.newLink("kit@example.com")}, status: 200, text: "access_token"}})
	s.useAccount("kit@example.com", password, password+"-2")
}

// findings compares what postern.doctor() finds, by a part of each, with what is wanted, and returns the fixes.
func (s *server) findings(want string) (fixes []string) {
	s.t.Helper()
	rows, err := s.DB.Query(context.Background(), "select what, fix from postern.doctor() where area = 'users'")
	if err != nil {
		s.t.Fatal(err)
	}
	type finding struct{ What, Fix string }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[finding])
	if err != nil {
		s.t.Fatal(err)
	}
	parts := strings.FieldsFunc(want, func(r rune) bool { return r == ',' })
	for _, f := range found {
		fixes = append(fixes, f.Fix)
		isWanted := slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(f.What, strings.TrimSpace(part)) })
		if !isWanted || !strings.Contains(strings.ToLower(f.What), "1 (kit@example.com)") {
			s.t.Errorf("postern.doctor() finds %q, want of kit@example.com: %q", f.What, want)
		}
	}
	if len(found) != len(parts) {
		s.t.Errorf("postern.doctor() finds %q, want of kit@example.com: %q", found, want)
	}
	return fixes
}

// useAccount does what people do with an account: sign in, refresh, look, sign in by mail, recover, change the password.
func (s *server) useAccount(email, password, next string) {
	s.t.Helper()
	must := func(r response) response {
		s.t.Helper()
		if r.Status != 200 {
			s.t.Errorf("%s: %d %s", email, r.Status, r.Text)
		}
		return r
	}
	signedIn := must(s.do("POST", "/token?grant_type=password", object{"email": email, "password": password})).session()
	signedIn = must(s.do("POST", "/token?grant_type=refresh_token", object{"refresh_token": signedIn.RefreshToken})).session()
	if user := must(s.do("GET", "/user", nil, bearer(signedIn.AccessToken)...)); user.Body["role"] != "authenticated" || user.Body["aud"] != "authenticated" {
		s.t.Errorf("%s: %s", email, user.Text)
	}
	must(s.do("POST", "/magiclink", object{"email": email}))
	must(s.do("POST", "/verify", object{"type": "magiclink", "token_hash": s.newLink(email)}))
	must(s.do("POST", "/recover", object{"email": email}))
	recovered := must(s.do("POST", "/verify", object{"type": "recovery", "token_hash": s.newLink(email)})).session()
	must(s.do("PUT", "/user", object{"password": next}, bearer(recovered.AccessToken)...))
	must(s.do("POST", "/token?grant_type=password", object{"email": email, "password": next}))
	must(s.do("GET", "/admin/users/"+recovered.UserID, nil, s.asAdmin()...))
}
