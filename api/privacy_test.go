package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// traces finds what zelda leaves below: her names and addresses, her number, her IP and her browser.
const traces = `zelda|1555777|203\.0\.113\.7`

// anywhere returns the tables of schemas auth and postern with a row that holds a trace in some column.
func (s *server) anywhere() string {
	s.t.Helper()
	s.exec(`create or replace function pg_temp.anywhere() returns text language plpgsql as $$
		declare v_table regclass; v_row text; v_found text := '';
		begin
		  for v_table in select oid from pg_class where relnamespace in ('auth'::regnamespace, 'postern'::regnamespace)
		      and relkind in ('r', 'p') and not relispartition order by oid::regclass::text loop
		    execute format('select r::text from %s as r where r::text ~* $1 limit 1', v_table) into v_row using '` + traces + `';
		    v_found := v_found || case when v_row is null then '' else v_table || ' ' end;
		  end loop;
		  return v_found;
		end $$; create table public.found as select pg_temp.anywhere() as tables`)
	defer s.exec("drop table public.found")
	return s.scan("select tables from public.found")
}

// everything is what somebody can have left behind after using every feature, to come back with.
type everything struct{ link, code, linking, factor string }

// useEverything lets zelda do all that a user can do, and returns her session and what is still open.
func (s *server) useEverything() (session, everything) {
	s.t.Helper()
	const email = "zelda@example.com"
	from := []string{"X-Forwarded-For", "203.0.113.7", "User-Agent", "Zelda's browser"}
	s.post("/signup", m{"email": email, "password": password, "data": m{"full_name": "Zelda Fitz"}}, from...)
	s.do("GET", "/verify?type=signup&token="+s.newLink(email), nil, from...)
	s.do("POST", "/token?grant_type=password", m{"email": email, "password": "wrong"}, from...)
	her := s.post("/token?grant_type=password", m{"email": email, "password": password}, from...).session()
	as := append(bearer(her.AccessToken), from...)
	s.comeAs("zelda", s.linkingTo(her, "github", ""))
	for _, change := range []m{{"data": m{"nick": "zelda"}}, {"phone": "15557771"}, {"email": "zelda2@example.com"}} {
		if r := s.do("PUT", "/user", change, as...); r.Status != http.StatusOK {
			s.t.Fatalf("PUT /user: %d %s", r.Status, r.Text)
		}
	}
	if r := s.do("GET", "/reauthenticate", nil, as...); r.Status != http.StatusOK {
		s.t.Fatalf("GET /reauthenticate: %d %s", r.Status, r.Text)
	}
	app := s.enrollApp(her, "Zelda's watch")
	challenged := s.need(s.do("POST", "/factors/"+app.ID+"/challenge", "{}", as...), "id")
	s.do("POST", "/factors/"+app.ID+"/verify", m{"challenge_id": challenged, "code": "000000"}, as...)
	s.do("PUT", "/admin/users/"+her.UserID, m{"app_metadata": m{"note": "zelda"}}, s.asAdmin()...)
	s.post("/admin/generate_link", m{"type": "magiclink", "email": email}, s.asAdmin()...)
	code := s.authCode(email)
	s.post("/recover", m{"email": email, "redirect_to": "https://app.example.com/zelda"}, from...)
	return her, everything{link: s.newLink(email), code: code, linking: s.linkingTo(her, "gitlab", ""), factor: app.ID}
}

// privacySettings switch on what leaves traces.
func privacySettings(t *testing.T) []string {
	return append(visitors(t, map[string]visitor{"zelda": {7, "zelda3@example.com", true}}),
		"GOTRUE_MAILER_NOTIFICATIONS_IDENTITY_LINKED_ENABLED=true", "POSTERN_MAILER_OTHER_DEVICE_PAGE=true",
		"POSTERN_LIMIT_PASSWORD_FAILURES=100", "POSTERN_LIMIT_MESSAGES_PER_ADDRESS=100")
}

// Whoever used everything and is anonymised has left nothing in the database, and does not come back to the account.
func TestAnonymisedUserIsGone(t *testing.T) {
	t.Parallel()
	s := setup(t, privacySettings(t)...)
	her, open := s.useEverything()
	const touched = "auth.audit_log_entries auth.identities auth.mfa_challenges auth.mfa_factors auth.one_time_tokens auth.sessions auth.users postern.limits postern.outbox "
	if got := s.anywhere(); got != touched {
		t.Fatalf("she left something in %s", got)
	}
	if got := s.scan("select postern.export_user($1) #>> '{auth,users,0,raw_user_meta_data,nick}'", her.UserID); got != "zelda" {
		t.Errorf("exported: %s", got)
	}
	s.exec("select postern.anonymise_user('zelda@example.com')")
	if got := s.anywhere(); got != "" {
		t.Errorf("something of her is left in %s", got)
	}
	s.play([]scenario{
		{"access token", "GET /user", nil, bearer(her.AccessToken), 403, "session_not_found", "", "", ""},
		{"refresh token", "POST /token?grant_type=refresh_token", m{"refresh_token": her.RefreshToken}, nil, 400, "refresh_token_not_found", "", "", ""},
		{"password", "POST /token?grant_type=password", m{"email": "zelda@example.com", "password": password}, nil, 400, "invalid_credentials", "", "", ""},
		{"number", "POST /token?grant_type=password", m{"phone": "15557771", "password": password}, nil, 400, "invalid_credentials", "", "", ""},
		{"code of a link", "POST /token?grant_type=pkce", m{"auth_code": open.code, "code_verifier": verifier}, nil, 404, "flow_state_not_found", "", "", ""},
		{"factor", "POST /factors/" + open.factor + "/challenge", "{}", bearer(her.AccessToken), 403, "session_not_found", "", "", ""},
		{"no mail", "POST /recover", m{"email": "zelda@example.com"}, nil, 200, "", "{}", "select count(*) from postern.outbox", "0"},
		{"administrators", "GET /admin/users/" + her.UserID, nil, s.asAdmin(), 200, "", `"email": "", "phone": ""`, "", ""},
		{"their list", "GET /admin/users", nil, s.asAdmin(), 200, "", her.UserID, "", ""},
	})
	if o := s.outcome(s.do("GET", "/verify?type=recovery&token="+open.link, nil)); o.Error != "otp_expired" {
		t.Errorf("a link: %+v", o)
	}
	if o := s.comeAs("zelda", open.linking); o.Token != "" || o.Error == "" {
		t.Errorf("a flow that had begun: %+v", o)
	}
	if o := s.arrive("github", "zelda"); o.Token == "" || s.claim(o.Token, "sub") == her.UserID {
		t.Errorf("GitHub leads to %+v", o)
	}
	if got := s.scan("select count(*) from auth.sessions where user_id = $1", her.UserID); got != "0" {
		t.Errorf("%s sessions", got)
	}
}

// An account that an administrator deleted softly over HTTP comes back with its address, and lets its owner in by mail.
func TestRestoredUserSignsIn(t *testing.T) {
	t.Parallel()
	s := setup(t, privacySettings(t)...)
	her, _ := s.useEverything()
	path := "/admin/users/" + her.UserID
	s.play([]scenario{
		{"delete softly", "DELETE " + path, m{"should_soft_delete": true}, s.asAdmin(), 200, "", "{}", "", ""},
		{"nobody", "POST /otp", m{"email": "zelda@example.com", "create_user": false}, nil, 422, "otp_disabled", "", "", ""},
	})
	s.exec(`select postern.restore_user('zelda@example.com', phone => '+1 5557771', identities => '{"github": "7"}')`)
	s.play([]scenario{
		{"as it was", "GET " + path, nil, s.asAdmin(), 200, "", `"providers": ["email", "github", "phone"]`, "", ""},
		{"old session", "GET /user", nil, bearer(her.AccessToken), 403, "session_not_found", "", "", ""},
		{"old password", "POST /token?grant_type=password", m{"email": "zelda@example.com", "password": password}, nil, 400, "invalid_credentials", "", "", ""},
		{"a link", "POST /otp", m{"email": "zelda@example.com", "create_user": false}, nil, 200, "", "{}", "", ""},
	})
	if o := s.outcome(s.do("GET", "/verify?type=magiclink&token="+s.newLink("zelda@example.com"), nil)); o.Token == "" || s.claim(o.Token, "sub") != her.UserID {
		t.Errorf("the link leads to %+v", o)
	}
	if o := s.arrive("github", "zelda"); o.Token == "" || s.claim(o.Token, "sub") != her.UserID {
		t.Errorf("GitHub leads to %+v", o)
	}
}

// Two administrators merge the same two users at once, each the other way round: one does it, the other finds a user gone.
func TestCrosswiseMerges(t *testing.T) {
	t.Parallel()
	on := pair(t, "GOTRUE_MAILER_AUTOCONFIRM=true")
	for round := range rounds(3, 50) {
		ids := [2]string{on[0].newUser(fmt.Sprintf("ann%d@example.com", round)), on[0].newUser(fmt.Sprintf("bob%d@example.com", round))}
		answers := race(t, on, 8, func(s *server, i int) (response, error) {
			if _, err := sqlEnd(s.DB, "select postern.merge_users($1, $2)", ids[i%2], ids[1-i%2]); err != nil {
				if !strings.Contains(err.Error(), "(SQLSTATE PT404)") {
					return response{}, err
				}
				return response{Status: http.StatusNotFound}, nil
			}
			return response{Status: http.StatusOK}, nil
		})
		wantOneSuccess(t, answers, "404")
		if n := on[0].scan("select count(*) from auth.users where id::text = any ($1)", ids[:]); n != "1" {
			t.Errorf("round %d: %s users are left", round, n)
		}
	}
}

// Whoever signs in while the account is removed by a merge ends without a session of it; what moves leads to the kept one.
func TestMergeBesideSignIns(t *testing.T) {
	t.Parallel()
	on := pair(t, append(visitors(t, map[string]visitor{"bob": {8, "bob@example.com", true}}), "GOTRUE_MAILER_AUTOCONFIRM=true")...)
	s := on[0]
	kept := s.newUser("ann@example.com")
	for round := range rounds(3, 50) {
		s.exec("delete from auth.users where id <> $1", kept)
		s.exec("delete from auth.identities where provider = 'github'")
		bob := s.newSession("bob@example.com")
		s.arrive("github", "bob")
		visits := make([][2]string, 20)
		for i := range visits {
			visits[i] = s.visit("bob", "github")
		}
		answers := race(t, on, 20, func(s *server, i int) (response, error) {
			switch {
			case i == 10+round%10:
				return sqlEnd(s.DB, "select postern.merge_users($1, $2)", kept, bob.UserID)
			case i%2 == 0:
				return s.try("POST", "/token?grant_type=password", m{"email": "bob@example.com", "password": password})
			case i%4 == 1:
				return s.refresh(bob.RefreshToken)
			}
			_, state, _ := strings.Cut(visits[i][1], "state=")
			state, _, _ = strings.Cut(state, "&")
			return s.try("GET", "/callback?code=bob&state="+state, nil)
		})
		noServerErrors(t, answers)
		if n := s.scan("select count(*) from auth.users where id = $1", bob.UserID); n != "0" {
			t.Fatalf("round %d: bob is there", round)
		}
		if n := s.scan(`select (select count(*) from auth.identities where provider = 'github' and user_id = $1) || ' '
			|| (select count(*) from auth.sessions where user_id <> $1) || ' ' || (select count(*) from auth.refresh_tokens where user_id <> $1::text)`, kept); n != "1 0 0" {
			t.Errorf("round %d: identity, sessions, tokens: %s", round, n)
		}
	}
}

// Requests for an address that were on their way do not bring it back to the account that was anonymised: they are for a
// stranger then.
func TestAnonymiseBesideRequests(t *testing.T) {
	t.Parallel()
	on := pair(t, "GOTRUE_EXTERNAL_PHONE_ENABLED=true", "GOTRUE_SMS_PROVIDER=twilio", "GOTRUE_SMS_TWILIO_ACCOUNT_SID=AC1", "GOTRUE_SMS_TWILIO_AUTH_TOKEN=token",
		"GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID=MG1", "GOTRUE_SMS_MAX_FREQUENCY=1ns")
	s := on[0]
	for round := range rounds(3, 50) {
		email, phone := fmt.Sprintf("zelda%d@example.com", round), fmt.Sprintf("1555777%04d", round)
		id := s.scan("select postern.create_user($1, phone => $2)::text", email, phone)
		requests := []struct {
			path string
			body m
		}{
			{"/signup", m{"email": email, "password": password}}, {"/signup", m{"phone": phone, "password": password}},
			{"/otp", m{"email": email}}, {"/otp", m{"phone": phone}}, {"/recover", m{"email": email}},
			{"/resend", m{"type": "signup", "email": email}}, {"/resend", m{"type": "sms", "phone": phone}},
			{"/token?grant_type=password", m{"email": email, "password": password}},
		}
		answers := race(t, on, 40, func(s *server, i int) (response, error) {
			if i == 10+round%20 {
				return sqlEnd(s.DB, "select postern.anonymise_user($1)", id)
			}
			r := requests[i/2%len(requests)]
			return s.try("POST", r.path, r.body)
		})
		noServerErrors(t, answers)
		if got := s.scan(`select concat_ws(' ', u.email, u.phone, (select count(*) from auth.identities where user_id = u.id),
			(select count(*) from auth.one_time_tokens where user_id = u.id), (select count(*) from postern.outbox where user_id = u.id))
			from auth.users as u where u.id::text = $1`, id); got != "0 0 0" {
			t.Errorf("round %d: the account has %s", round, got)
		}
	}
}
