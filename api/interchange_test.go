package api_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

// livesSettings switch on every way in.
var livesSettings = append(append(everyProvider(), twilioSettings...),
	"GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED=true", "GOTRUE_SECURITY_MANUAL_LINKING_ENABLED=true",
	"GOTRUE_MFA_PHONE_ENROLL_ENABLED=true", "GOTRUE_MFA_PHONE_VERIFY_ENABLED=true", "GOTRUE_MFA_PHONE_MAX_FREQUENCY=1ns",
	"GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED=true", "GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL=0")

// byHost leads Twilio's requests to one transport, those to providers to another.
type byHost struct{ twilio, others http.RoundTripper }

func (b byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Host, "twilio.com") {
		return b.twilio.RoundTrip(r)
	}
	return b.others.RoundTrip(r)
}

// lives is a server at which many people do what people do, and their names: those of another one have another number.
type lives struct {
	*texting
	stage  *providerStage
	number string
	tokens []string // refresh tokens that can be used now
}

// lived is a database that two servers worked on, one with refresh tokens of format 1, one with format 2; its sessions
// believe to be in Tokyo. The first has made the optional indexes.
func lived(t *testing.T) (*server, []string) {
	t.Helper()
	dsn := apitest.Database(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	settings := append(livesSettings, smtpSettings(sink.Host, sink.Port)...)
	first := setupTexting(t, dsn, nil, settings...)
	first.exec("do $$ begin execute format('alter database %I set timezone = ''Asia/Tokyo''', current_database()); end $$")
	first.exec("create index idx_users_created_at_desc on auth.users (created_at desc)")
	var tokens []string
	for number, version := range map[string]string{"1": "1", "2": "2"} {
		sms := &twilio{codes: map[string][]string{}}
		stage := recorded(t, "github")
		s := setupTexting(t, dsn, byHost{sms, stage}, append(settings, "GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION="+version)...)
		l := &lives{&texting{s, sms}, stage, number, nil}
		l.byMail()
		l.byPhone()
		l.byProvider()
		l.withFactors()
		l.anonymously()
		l.changing()
		l.administered()
		tokens = append(tokens, l.tokens...)
	}
	return first, tokens
}

// must sends a request that has to succeed.
func (l *lives) must(method, path string, body any, headers ...string) response {
	l.t.Helper()
	r := l.do(method, path, body, headers...)
	if r.Status >= 400 {
		l.t.Fatalf("%s %s %v: %d %s", method, path, body, r.Status, r.Text)
	}
	return r
}

// in remembers the refresh token of a session that a request opened.
func (l *lives) in(r response) session {
	l.t.Helper()
	opened := r.session()
	if opened.RefreshToken == "" {
		l.t.Fatalf("no session: %d %s", r.Status, r.Text)
	}
	l.tokens = append(l.tokens, opened.RefreshToken)
	return opened
}

func (l *lives) mail(name string) string { return name + l.number + "@example.com" }

func (l *lives) verify(kind, email string) response {
	l.t.Helper()
	return l.must("POST", "/verify", m{"type": kind, "token_hash": l.newLink(email)})
}

// byMail signs people up, in and out by mail and password, and leaves links of all kinds unopened.
func (l *lives) byMail() {
	l.must("POST", "/signup", m{"email": "Waits" + l.number + "@Example.com", "password": password})
	l.must("POST", "/signup", changed(pkce(l.mail("waits-pkce")), m{"password": password}))
	l.must("POST", "/signup", m{"email": l.mail("sue"), "password": password, "data": m{"full_name": "Sue"}})
	l.in(l.verify("signup", l.mail("sue")))
	l.must("POST", "/magiclink", m{"email": l.mail("sue")})
	l.in(l.verify("magiclink", l.mail("sue")))
	l.must("POST", "/recover", m{"email": l.mail("sue")})
	sue := l.in(l.verify("recovery", l.mail("sue")))
	l.must("PUT", "/user", m{"password": password + "-2"}, bearer(sue.AccessToken)...)
	sue = l.in(l.must("POST", "/token?grant_type=password", m{"email": l.mail("sue"), "password": password + "-2"}))
	l.tokens = l.tokens[len(l.tokens)-1:] // the change ended the others
	for range 3 {
		l.tokens = l.tokens[:len(l.tokens)-1]
		sue = l.in(l.must("POST", "/token?grant_type=refresh_token", m{"refresh_token": sue.RefreshToken}))
	}
	l.must("POST", "/otp", pkce(l.mail("sue")))
	l.must("GET", "/verify?type=magiclink&token="+l.newLink(l.mail("sue")), nil) // its code is not exchanged
	l.must("POST", "/magiclink", m{"email": l.mail("sue")})
	l.must("GET", "/reauthenticate", nil, bearer(sue.AccessToken)...)
	l.do("POST", "/token?grant_type=password", m{"email": l.mail("sue"), "password": "wrong"})
	l.newUser(l.mail("rob"))
	l.must("POST", "/recover", pkce(l.mail("rob")))
	l.must("POST", "/logout?scope=others", nil, bearer(l.signIn(l.mail("rob")).AccessToken)...)
	l.must("POST", "/logout", nil, bearer(l.signIn(l.mail("rob")).AccessToken)...)
}

// byPhone signs people up and in by text messages.
func (l *lives) byPhone() {
	for _, phone := range []string{"1555000100", "1555000200"} {
		l.must("POST", "/signup", m{"phone": "+" + phone + l.number, "password": password})
	}
	l.in(l.must("POST", "/verify", m{"type": "sms", "phone": "1555000200" + l.number, "token": l.code("1555000200" + l.number)}))
	l.must("POST", "/otp", m{"phone": "1555000300" + l.number})
	l.in(l.must("POST", "/verify", m{"type": "sms", "phone": "1555000300" + l.number, "token": l.code("1555000300" + l.number)}))
	l.must("POST", "/otp", m{"phone": "1555000300" + l.number})
}

// byProvider has somebody come by GitHub, and others on their way.
func (l *lives) byProvider() {
	for _, query := range []string{fromGitHub, fromGitHub + withPKCE} {
		l.start(l.stage, query)
		l.must("GET", "/callback?code=c&state="+l.start(l.stage, query), nil)
	}
	back := l.must("GET", "/callback?code=c&state="+l.start(l.stage, fromGitHub), nil)
	_, fragment, _ := strings.Cut(back.Header.Get("Location"), "#")
	values, _ := url.ParseQuery(fragment)
	token := values.Get("access_token")
	l.tokens = append(l.tokens, values.Get("refresh_token"))
	l.must("GET", "/user/identities/authorize?provider=github", nil, bearer(token)...)
}

// withFactors enrols second factors, verifies one, and leaves challenges open.
func (l *lives) withFactors() {
	ann := l.newSession(l.mail("ann"))
	app := l.enrollApp(ann, "")
	ann = l.upgrade(ann, app, 0)
	l.tokens = append(l.tokens, ann.RefreshToken)
	l.enrollApp(ann, "tablet")
	r := l.must("POST", "/factors", m{"factor_type": "phone", "friendly_name": "phone", "phone": "+1555000400" + l.number}, bearer(ann.AccessToken)...)
	l.challengeFor(ann, factor{ID: l.need(r, "id")})
	l.challengeFor(ann, app)
}

// anonymously comes a user who gives an address later, and one who does not.
func (l *lives) anonymously() {
	l.in(l.must("POST", "/signup", m{}))
	guest := l.in(l.must("POST", "/signup", m{"data": m{"cart": 1}}))
	l.must("PUT", "/user", m{"email": l.mail("Guest")}, bearer(guest.AccessToken)...)
	l.in(l.verify("email_change", l.mail("guest")))
}

// changing are users in the middle of a change of address or number.
func (l *lives) changing() {
	for name, phone := range map[string]string{"cat": "+1555000500", "dora": "+1555000510"} {
		user := l.newSession(l.mail(name))
		l.must("PUT", "/user", m{"email": l.mail("New-" + name)}, bearer(user.AccessToken)...)
		l.must("PUT", "/user", m{"phone": phone + l.number}, bearer(user.AccessToken)...)
	}
	l.verify("email_change", l.mail("dora")) // the first of two confirmations
}

// administered is what administrators do: over HTTP, and in SQL.
func (l *lives) administered() {
	as := l.asAdmin()
	l.must("POST", "/invite", m{"email": l.mail("Invited")}, as...)
	l.must("POST", "/invite", m{"email": l.mail("came")}, as...)
	l.in(l.verify("invite", l.mail("came")))
	for name, phone := range map[string]string{"hard": "+1555000600", "soft": "+1555000700", "kept": "+1555000800"} {
		id := l.need(l.must("POST", "/admin/users", m{"email": l.mail(name), "phone": phone + l.number, "password": password,
			"email_confirm": true, "phone_confirm": true, "app_metadata": m{"plan": "gold"}}, as...), "id")
		l.enrollApp(l.signIn(l.mail(name)), "watch")
		if name == "kept" {
			l.must("PUT", "/admin/users/"+id, m{"email": l.mail("Kept-2"), "ban_duration": "1h", "user_metadata": m{"a": nil}}, as...)
		} else {
			l.must("DELETE", "/admin/users/"+id, m{"should_soft_delete": name == "soft"}, as...)
		}
	}
	l.must("POST", "/admin/users", m{"email": l.mail("imported"), "password_hash": testHash}, as...)
	for _, link := range [][2]string{
		{"signup", "signed"}, {"invite", "asked"}, {"magiclink", "came"}, {"recovery", "imported"}, {"email_change_current", "came"}, {"email_change_new", "came"},
	} {
		l.must("POST", "/admin/generate_link", m{"type": link[0], "email": l.mail(link[1]), "password": password, "new_email": l.mail("Came-2")}, as...)
	}
	l.must("POST", "/admin/custom-providers", oauth2Provider(m{"identifier": "custom:acme" + l.number}), as...)
	for _, call := range []string{
		"postern.create_user('Bysql" + l.number + "@example.com', phone => '+1555000900" + l.number + "')", "postern.ensure_user('Ensured" + l.number + "@example.com')",
		"postern.invite_user('Invited-sql" + l.number + "@example.com')", "postern.set_email('" + l.mail("ensured") + "', 'Ensured-2" + l.number + "@example.com')",
	} {
		l.exec("select " + call)
	}
}

// What this server leaves in the database is what Supabase Auth can read and go on with: every rule of spec/05 sections 7
// and 9. Each is asked for what breaks it, which is nothing; and then, in a transaction, after something that does.
func TestInterchange(t *testing.T) {
	t.Parallel()
	s, tokens := lived(t)
	for _, table := range []string{
		"users", "identities", "sessions", "refresh_tokens", "one_time_tokens", "mfa_factors", "mfa_challenges", "mfa_amr_claims", "flow_state",
		"audit_log_entries", "custom_oauth_providers",
	} {
		if n := s.scan("select count(*) from auth." + table); n == "0" {
			t.Errorf("nothing was left in %s", table)
		}
	}
	if got := s.scan("select string_agg(distinct token_type::text, ' ') from auth.one_time_tokens"); strings.Count(got, " ") != 5 {
		t.Errorf("open tokens of these types only: %s", got)
	}
	for _, rule := range append(interchangeRules(), nullRules()...) {
		if got := s.scan("select coalesce(string_agg(t::text, ' | '), '') from (select * from (" + rule.query + ") as q limit 5) as t"); got != "" {
			t.Errorf("%s: %s", rule.text, got)
		}
		tx, err := s.DB.Begin(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(context.Background(), rule.breaking); err != nil {
			t.Errorf("%s: %s: %v", rule.text, rule.breaking, err)
		}
		var broken bool
		if err := tx.QueryRow(context.Background(), "select exists ("+rule.query+")").Scan(&broken); err != nil || !broken {
			t.Errorf("%s: not noticed after %s (%v)", rule.text, rule.breaking, err)
		}
		_ = tx.Rollback(context.Background())
	}
	s.checkRefreshTokens(tokens)
}
