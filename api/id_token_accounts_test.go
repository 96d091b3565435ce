package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// googleGrant is the body of a sign-in with Google's token.
func googleGrant(claims m) m { return m{"provider": "google", "id_token": idToken(googleIss, claims)} }

// TestIDTokenAccounts is about whose account it is, and whether it may be signed in to (spec/02 section 6).
func TestIDTokenAccounts(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t, "GOTRUE_EXTERNAL_APPLE_EMAIL_OPTIONAL=true")
	s.newUser("ann@example.com")
	s.newUser("two@example.com")
	s.exec(`insert into auth.identities (id, provider_id, user_id, provider, identity_data)
		select gen_random_uuid(), 'x', id, 'github', '{"email": "two@example.com"}' from auth.users where email = 'ann@example.com'`)
	person := func(sub, query string) string { return strings.ReplaceAll(query, "$", "'"+sub+"'") }
	s.play([]scenario{
		{"a verified address of an account", grantPath, googleGrant(m{"sub": "1", "email": "Ann@Example.com"}), nil, 200, "", okGrant,
			person("1", "select u.email from auth.users as u join auth.identities as i on i.user_id = u.id where provider_id = $"), "ann@example.com"},
		{"an address of two accounts", grantPath, googleGrant(m{"sub": "2", "email": "two@example.com"}), nil, 500, "unexpected_failure", "Multiple accounts with the same email address in the same linking domain detected: default",
			"select count(*) from auth.identities where provider_id = '2'", "0"},
		{"no address", grantPath, googleGrant(m{"sub": "3", "email": nil}), nil, 422, "provider_email_needs_verification", "Unverified email with google. Verify the email with google in order to sign in",
			person("3", "select count(*) || coalesce(max(u.email), ' none') from auth.users as u join auth.identities as i on i.user_id = u.id where provider_id = $"), "1 none"},
		{"no address, which is optional", grantPath, m{"provider": "apple", "id_token": idToken(appleIss, m{"sub": "4", "email": nil})}, nil, 200, "", okGrant,
			person("4", "select coalesce(u.email, 'none') from auth.users as u join auth.identities as i on i.user_id = u.id where provider_id = $"), "none"},
		{"an address nobody verified", grantPath, googleGrant(m{"sub": "5", "email": "new@example.com", "email_verified": false}), nil, 422, "provider_email_needs_verification",
			"Unverified email with google. A confirmation email has been sent to your google email",
			"select distinct recipient from postern.outbox", "new@example.com"},
		{"somebody else's, not verified", grantPath, googleGrant(m{"sub": "6", "email": "ann@example.com", "email_verified": false}), nil, 422, "provider_email_needs_verification", "Verify the email",
			person("6", "select coalesce(u.email, 'none') from auth.users as u join auth.identities as i on i.user_id = u.id where provider_id = $"), "none"},
	})
	s.exec("update auth.users set banned_until = now() + interval '1 day' where email = 'ann@example.com'")
	s.play([]scenario{{"banned", grantPath, googleGrant(m{"sub": "1", "email": "ann@example.com"}), nil, 403, "user_banned", "User is banned", "", ""}})
}

// TestIDTokenSignUpDisabled keeps strangers out, and lets those in who are there.
func TestIDTokenSignUpDisabled(t *testing.T) {
	t.Parallel()
	open, world := setupIssuers(t)
	open.newUser("ann@example.com")
	s := setupTexting(t, open.dsn, world, append([]string{"GOTRUE_DISABLE_SIGNUP=true"}, idTokenSettings...)...)
	s.play([]scenario{
		{"a stranger", grantPath, googleGrant(nil), nil, 422, "signup_disabled", "Signups not allowed for this instance", "select count(*) from auth.users", "1"},
		{"somebody", grantPath, googleGrant(m{"email": "ann@example.com"}), nil, 200, "", okGrant, "select count(*) from auth.users", "1"},
	})
}

// TestIDTokenUnverifiedAllowed is MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS.
func TestIDTokenUnverifiedAllowed(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t, "GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS=true")
	s.play([]scenario{{"not verified", grantPath, googleGrant(m{"email_verified": false}), nil, 200, "", okGrant,
		"select (email_confirmed_at is null) || (select recipient from postern.outbox) from auth.users", "trueida@example.com"}})
}

// TestIDTokenHooks calls the two hooks around a new account for a new account only.
func TestIDTokenHooks(t *testing.T) {
	t.Parallel()
	stand := newHookStand(t)
	s, world := setupIssuers(t, stand.settings("BEFORE_USER_CREATED", "AFTER_USER_CREATED")...)
	stand.answer("BEFORE_USER_CREATED", `{"error": {"http_code": 403, "message": "not you"}}`)
	if r := s.grant(googleGrant(nil)); r.Status != 403 || !strings.Contains(r.Text, "not you") {
		t.Errorf("refused by the hook: %d %s", r.Status, r.Text)
	}
	if got := names(stand.take()); !slices.Equal(got, []string{"BEFORE_USER_CREATED"}) || s.scan("select count(*) from auth.users") != "0" {
		t.Errorf("refused by the hook: %v", got)
	}
	stand.answer("BEFORE_USER_CREATED", "{}")
	first := s.grant(googleGrant(nil))
	calls := stand.take()
	if got := names(calls); first.Status != 200 || !slices.Equal(got, []string{"BEFORE_USER_CREATED", "AFTER_USER_CREATED"}) {
		t.Fatalf("a new account: %d %s, hooks %v", first.Status, first.Text, got)
	}
	if id := first.session().UserID; at(calls[0].payload, "user.id") != id || at(calls[1].payload, "user.id") != id {
		t.Errorf("the hooks were told of somebody else: %v", calls)
	}
	if r := s.grant(googleGrant(nil)); r.Status != 200 || len(stand.take()) != 0 {
		t.Errorf("a known account: %d %s", r.Status, r.Text)
	}
	linked := s.grant(m{"provider": "apple", "id_token": idToken(appleIss, m{"sub": "a", "email": "other@example.com"}), "link_identity": true},
		bearer(first.session().AccessToken)...)
	if linked.Status != 200 || len(stand.take()) != 0 {
		t.Errorf("linking: %d %s", linked.Status, linked.Text)
	}
	if world.asked(googleIss+"/keys") != 1 {
		t.Error("the token was verified anew for each question of the database")
	}
}

// TestIDTokenLinking adds the identity to the caller's account (spec/02 sections 8 and 12). Manual linking is off.
func TestIDTokenLinking(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t)
	ann, bob := s.newSession("ann@example.com"), s.newSession("bob@example.com")
	link := func(claims m) m { body := googleGrant(claims); body["link_identity"] = true; return body }
	claims := func(more jwt.MapClaims) []string {
		all := jwt.MapClaims{"sub": ann.UserID, "aud": "authenticated", "role": "authenticated", "exp": time.Now().Unix() + 60}
		for name, value := range more {
			all[name] = value
		}
		return bearer(s.token(all))
	}
	s.play([]scenario{
		{"a token nobody signed", grantPath, link(nil), bearer("x.y.z"), 403, "bad_jwt", "invalid JWT", "", ""},
		{"an expired one", grantPath, link(nil), claims(jwt.MapClaims{"exp": 1}), 403, "bad_jwt", "expired", "", ""},
		{"the anonymous key", grantPath, link(nil), claims(jwt.MapClaims{"sub": ""}), 403, "bad_jwt", "missing sub claim", "", ""},
		{"somebody who is gone", grantPath, link(nil), claims(jwt.MapClaims{"sub": uuid.NewString()}), 403, "user_not_found", "User from sub claim in JWT does not exist", "", ""},
		{"a session that ended", grantPath, link(nil), claims(jwt.MapClaims{"session_id": uuid.NewString()}), 403, "session_not_found", "Session from session_id claim in JWT does not exist",
			"select count(*) from auth.identities where provider = 'google'", "0"},
		{"linked", grantPath, link(m{"sub": "g-1", "name": "Ida"}), bearer(ann.AccessToken), 200, "", `"providers":["email","google"]`,
			"select concat_ws(' ', email, raw_user_meta_data ->> 'name', (select count(*) from auth.sessions as s where s.user_id = u.id)) from auth.users as u where email = 'ann@example.com'", "ann@example.com 2"},
		{"once more", grantPath, link(m{"sub": "g-1"}), bearer(ann.AccessToken), 422, "identity_already_exists", "Identity is already linked", "", ""},
		{"by somebody else", grantPath, link(m{"sub": "g-1"}), bearer(bob.AccessToken), 422, "identity_already_exists", "Identity is already linked to another user", "", ""},
		{"the identity signs in", grantPath, googleGrant(m{"sub": "g-1"}), nil, 200, "", ann.UserID, "", ""},
		{"an address of somebody else's", grantPath, link(m{"sub": "g-2", "email": "bob@example.com"}), bearer(ann.AccessToken), 200, "", okGrant, "", ""},
		{"the method", grantPath, link(m{"sub": "g-3"}), bearer(bob.AccessToken), 200, "", okGrant,
			"select string_agg(distinct authentication_method, ' ') from auth.mfa_amr_claims", "oauth password"},
	})
	s.exec("update auth.users set banned_until = now() + interval '1 day' where email = 'bob@example.com'")
	s.play([]scenario{{"banned", grantPath, link(m{"sub": "g-4"}), bearer(bob.AccessToken), 403, "user_banned", "User is banned", "", ""}})
}

// TestIDTokenAnonymous makes anonymous accounts permanent (spec/03 section 10).
func TestIDTokenAnonymous(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t, "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true")
	s.newUser("ann@example.com")
	link := func(claims m) m { body := googleGrant(claims); body["link_identity"] = true; return body }
	const state = "select concat_ws(' ', email, is_anonymous, email_confirmed_at is not null) from auth.users where id = '"

	guest := s.do("POST", "/signup", m{}).session()
	r := s.grant(link(nil), bearer(guest.AccessToken)...)
	if r.Status != 200 || r.session().UserID != guest.UserID || at(r.Body, "user.is_anonymous") != false {
		t.Errorf("a verified address: %d %s", r.Status, r.Text)
	}
	if got := s.scan(state + guest.UserID + "'"); got != "ida@example.com f t" {
		t.Errorf("a verified address: %s", got)
	}

	guest = s.do("POST", "/signup", m{}).session()
	s.play([]scenario{
		{"no address", grantPath, link(m{"sub": "2", "email": nil}), bearer(guest.AccessToken), 500, "unexpected_failure", "Error sending confirmation email", state + guest.UserID + "'", "t f"},
		{"an address of somebody else", grantPath, link(m{"sub": "2", "email": "ann@example.com"}), bearer(guest.AccessToken), 400, "email_exists", "A user with this email address has already been registered", state + guest.UserID + "'", "t f"},
	})
	r = s.grant(link(m{"sub": "2", "email": "new@example.com", "email_verified": false}), bearer(guest.AccessToken)...)
	if r.Status != 422 || r.errorCode() != "email_not_confirmed" ||
		!strings.Contains(r.Text, "Unverified email with google. A confirmation email has been sent to your google email") {
		t.Errorf("not verified: %d %s", r.Status, r.Text)
	}
	if got := s.scan(state + guest.UserID + "'"); got != "new@example.com t f" {
		t.Errorf("not verified: %s", got)
	}
}

// TestIDTokenServerError gives errors that nobody knows the form of the grant.
func TestIDTokenServerError(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t)
	s.exec(`create function public.broken() returns trigger language plpgsql as $$ begin raise 'a secret of the database'; end $$;
		create trigger broken before insert on auth.identities for each row execute function public.broken()`)
	r := s.grant(googleGrant(nil))
	if r.Status != 400 || r.Text != oauthError("server_error", "Internal Server Error") || r.Header.Get("X-Sb-Error-Code") != "" {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	if !strings.Contains(s.logged.String(), "a secret of the database") || s.scan("select count(*) from auth.users") != "0" {
		t.Error("the log does not say why, or something is left behind")
	}
}

// TestIDTokenLimit counts good and bad tokens against the limit of the grants.
func TestIDTokenLimit(t *testing.T) {
	t.Parallel()
	s, _ := setupIssuers(t, "GOTRUE_RATE_LIMIT_TOKEN_REFRESH=1")
	var codes []int
	for i := range 40 {
		body := googleGrant(nil)
		if i%2 == 0 {
			body["id_token"] = "x"
		}
		codes = append(codes, s.grant(body).Status)
	}
	if got := slices.Index(codes, http.StatusTooManyRequests); got != 30 {
		t.Errorf("refused at the %dth request: %v", got, codes)
	}
}

// TestRaceIDToken lets 50 first sign-ins with one token meet: one account comes of it.
func TestRaceIDToken(t *testing.T) {
	t.Parallel()
	for range rounds(2, 20) {
		s, world := setupIssuers(t)
		on := [2]*server{s, setupTexting(t, s.dsn, world, idTokenSettings...)}
		body := googleGrant(nil)
		answers := race(t, on, 50, func(s *server, _ int) (response, error) {
			return s.try("POST", "/token?grant_type=id_token", body)
		})
		noServerErrors(t, answers)
		users, signedIn := map[string]bool{}, 0
		for _, a := range answers {
			if a.Status == http.StatusOK {
				users[a.session().UserID] = true
				signedIn++
			} else if a.errorCode() == "" {
				t.Errorf("answered %d %s", a.Status, a.Text)
			}
		}
		if len(users) != 1 || signedIn == 0 || s.scan("select count(*) from auth.users") != "1" || s.scan("select count(*) from auth.identities") != "1" {
			t.Errorf("%d accounts of %d sign-ins: %v", len(users), signedIn, outcomes(answers))
		}
		t.Logf("%v, documents read %d times, keys %d times", outcomes(answers),
			world.asked(googleIss+"/.well-known/openid-configuration"), world.asked(googleIss+"/keys"))
	}
}
