package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

const notAuthorized = `cannot be used as it is not authorized`

// An address that is not on the list gets no mail, and what would have sent it does not happen.
func TestAuthorizedAddresses(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_EXTERNAL_EMAIL_AUTHORIZED_ADDRESSES=Ann@Example.com, bob@example.com",
		"GOTRUE_MAILER_NOTIFICATIONS_PASSWORD_CHANGED_ENABLED=true")
	s.newUser("eve@example.com")
	eve, ann := s.newSession("eve2@example.com"), s.newSession("ann@example.com")
	rows := `select count(*) || ' ' || (select count(*) from auth.one_time_tokens) || ' ' || (select count(*) from postern.outbox)
		|| ' ' || (select count(*) from auth.flow_state) || ' ' || (select count(*) from auth.audit_log_entries) from auth.users`
	before := s.scan(rows)
	const code = "email_address_not_authorized"
	s.play([]scenario{
		{name: "sign-up", path: "POST /signup", body: m{"email": "new@example.com", "password": password}, status: 400, code: code, text: notAuthorized, query: rows, want: before},
		{name: "code", path: "POST /otp", body: m{"email": "eve@example.com"}, status: 400, code: code, text: notAuthorized, query: rows, want: before},
		{name: "code for somebody new", path: "POST /otp", body: m{"email": "new@example.com", "code_challenge": strings.Repeat("a", 43), "code_challenge_method": "s256"}, status: 400, code: code, text: notAuthorized, query: rows, want: before},
		{name: "magic link", path: "POST /magiclink", body: m{"email": "Eve@example.com"}, status: 400, code: code, text: "eve@example.com", query: rows, want: before},
		{name: "recovery", path: "POST /recover", body: m{"email": "eve@example.com"}, status: 400, code: code, text: notAuthorized, query: rows, want: before},
		{name: "recovery of nobody", path: "POST /recover", body: m{"email": "nobody@example.com"}, status: 200, text: "{}", query: rows, want: before},
		{name: "invitation", path: "POST /invite", body: m{"email": "new@example.com"}, header: s.asAdmin(), status: 400, code: code, text: notAuthorized, query: rows, want: before},
		{name: "reauthentication", path: "GET /reauthenticate", header: bearer(eve.AccessToken), status: 400, code: code, text: notAuthorized, query: rows, want: before},
		{name: "change to it", path: "PUT /user", body: m{"email": "new@example.com"}, header: bearer(ann.AccessToken), status: 400, code: code, text: "new@example.com", query: rows, want: before},
		{name: "change from it", path: "PUT /user", body: m{"email": "bob@example.com"}, header: bearer(eve.AccessToken), status: 400, code: code, text: "eve2@example.com", query: rows, want: before},
		{name: "change is not half done", path: "GET /user", header: bearer(eve.AccessToken), status: 200, query: "select count(*) from auth.users where coalesce(email_change, '') <> ''", want: "0"},
		{name: "allowed", path: "POST /magiclink", body: m{"email": "ANN@example.com"}, status: 200, query: "select recipient from postern.outbox", want: "ann@example.com"},
		{name: "allowed with a label", path: "POST /otp", body: m{"email": "bob+x+y@example.com"}, status: 200, query: "select recipient from postern.outbox order by id desc limit 1", want: "bob+x+y@example.com"},
		{name: "no link by mail, no check", path: "POST /admin/generate_link", body: m{"type": "magiclink", "email": "eve@example.com"}, header: s.asAdmin(), status: 200},
		{name: "a change goes on without its notification", path: "PUT /user", body: m{"password": password + "2"}, header: bearer(eve.AccessToken), status: 200,
			query: "select count(*) from postern.outbox where template like '%notification'", want: "0"},
	})
	single := setup(t, "GOTRUE_EXTERNAL_EMAIL_AUTHORIZED_ADDRESSES=bob@example.com", "GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED=false")
	carl := single.newSession("carl@example.com")
	single.play([]scenario{{name: "single change from it", path: "PUT /user", body: m{"email": "bob@example.com"}, header: bearer(carl.AccessToken),
		status: 200, query: "select string_agg(recipient, ' ') from postern.outbox", want: "bob@example.com"}})
}

// With extended validation a bad address is refused before anything happens; the others are not looked up here, because
// they are large providers'.
func TestExtendedValidation(t *testing.T) {
	t.Parallel()
	s := setup(t, "GOTRUE_MAILER_EMAIL_VALIDATION_EXTENDED=true")
	ann := s.newSession("annabel@gmail.com")
	as := bearer(ann.AccessToken)
	const code, bad, text = "email_address_invalid", "x@host.test", `Email address \"x@host.test\" is invalid`
	rows := "select count(*) || ' ' || (select count(*) from postern.outbox) from auth.users"
	s.play([]scenario{
		{name: "sign-up", path: "POST /signup", body: m{"email": bad, "password": password}, status: 400, code: code, text: text, query: rows, want: "1 0"},
		{name: "code", path: "POST /otp", body: m{"email": bad}, status: 400, code: code, text: text, query: rows, want: "1 0"},
		{name: "magic link", path: "POST /magiclink", body: m{"email": bad}, status: 400, code: code, text: text},
		{name: "recovery", path: "POST /recover", body: m{"email": bad}, status: 400, code: code, text: text},
		{name: "resend", path: "POST /resend", body: m{"email": bad, "type": "signup"}, status: 400, code: code, text: text},
		{name: "invitation", path: "POST /invite", body: m{"email": bad}, header: s.asAdmin(), status: 400, code: code, text: text},
		{name: "change", path: "PUT /user", body: m{"email": bad}, header: as, status: 400, code: code, text: text},
		{name: "no mail, no check", path: "POST /admin/users", body: m{"email": bad}, header: s.asAdmin(), status: 200, query: rows, want: "2 0"},
		{name: "shape first", path: "POST /signup", body: m{"email": "x", "password": password}, status: 400, code: "validation_failed"},
		{name: "good", path: "POST /signup", body: m{"email": "annabel@outlook.com", "password": password}, status: 200, query: rows, want: "3 1"},
		{name: "other change", path: "PUT /user", body: m{"data": m{"a": 1}}, header: as, status: 200},
	})
	auto := setup(t, "GOTRUE_MAILER_EMAIL_VALIDATION_EXTENDED=true", "GOTRUE_MAILER_AUTOCONFIRM=true")
	auto.play([]scenario{{name: "no mail, no check", path: "POST /signup", body: m{"email": bad, "password": password}, status: 200}})
}

// The mail is in the language of the user's metadata, else in that of the request; an administrator's says nothing.
func TestLanguageOfMails(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	s := setup(t, "GOTRUE_SMTP_HOST="+sink.Host, "GOTRUE_SMTP_PORT="+strconv.Itoa(sink.Port), "GOTRUE_SMTP_ADMIN_EMAIL=noreply@example.com")
	want := func(to, subject string) {
		t.Helper()
		if got := sink.Take(t, to); got.Subject != subject {
			t.Errorf("%s got %q, want %q", to, got.Subject, subject)
		}
	}
	french := []string{"Accept-Language", "fr-CA,fr;q=0.9,en;q=0.8"}
	s.do("POST", "/signup", m{"email": "a@example.com", "password": password}, french...)
	want("a@example.com", "Confirmez votre adresse e-mail")
	s.do("POST", "/signup", m{"email": "b@example.com", "password": password, "data": m{"locale": "de-AT"}}, french...)
	want("b@example.com", "Bestätigen Sie Ihre E-Mail-Adresse")
	s.do("POST", "/otp", m{"email": "c@example.com", "data": m{"lang": 1, "language": "es"}}, french...)
	want("c@example.com", "Confirme su dirección de correo electrónico")
	s.do("POST", "/resend", m{"email": "b@example.com", "type": "signup"})
	want("b@example.com", "Bestätigen Sie Ihre E-Mail-Adresse")
	s.do("POST", "/signup", m{"email": "d@example.com", "password": password})
	want("d@example.com", "Confirm your email address")
	s.do("POST", "/invite", m{"email": "e@example.com"}, append(s.asAdmin(), french...)...)
	want("e@example.com", "You've been invited")
	s.do("POST", "/invite", m{"email": "f@example.com", "data": m{"lang": "fr"}}, s.asAdmin()...)
	want("f@example.com", "Vous avez reçu une invitation")
	s.exec("select postern.invite_user('g@example.com', '{\"locale\": \"de_DE.UTF-8\"}')")
	want("g@example.com", "Sie wurden eingeladen")
	for _, header := range []string{strings.Repeat("x", 5000), strings.Repeat("en,", 100) + "de", "de\xff", "fr;q=x", "*"} {
		if r := s.do("POST", "/recover", m{"email": "a@example.com"}, "Accept-Language", header); r.Status != http.StatusOK {
			t.Errorf("Accept-Language %.20q: %d %s", header, r.Status, r.Text)
		}
		want("a@example.com", "Reset your password")
	}
}

// A host of the list takes the place of the external one in links, named by X-Forwarded-Host or by a request target
// that is a whole URL; the header Host does not count.
func TestExternalHosts(t *testing.T) {
	t.Parallel()
	// nobody delivers the mails, so that they stay as they are
	s := setup(t, "GOTRUE_MAILER_EXTERNAL_HOSTS=login.example.org,localhost", "GOTRUE_SMTP_HOST=127.0.0.1", "GOTRUE_SMTP_PORT=1")
	s.newUser("ann@example.com")
	send := func(target string, headers ...string) string {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		body := `{"email": "ann@example.com"}`
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\n%s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			target, strings.Join(headers, "\r\n"), len(body), body)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s %v: %v %v", target, headers, r, err)
		}
		link := s.scan("select payload ->> 'confirmation_url' from postern.outbox order by id desc limit 1")
		base, _, _ := strings.Cut(link, "?")
		return base
	}
	for _, c := range []struct {
		target  string
		headers []string
		want    string
	}{
		{"/magiclink", []string{"Host: login.example.org"}, s.URL + "/verify"},
		{"/magiclink", []string{"Host: x", "X-Forwarded-Host: login.example.org"}, "https://login.example.org/verify"},
		{"/magiclink", []string{"Host: x", "X-Forwarded-Host: Login.Example.org", "X-Forwarded-Proto: http"}, "https://Login.Example.org/verify"},
		{"/magiclink", []string{"Host: x", "X-Forwarded-Host: localhost:3000", "X-Forwarded-Proto: http"}, "http://localhost:3000/verify"},
		{"/magiclink", []string{"Host: x", "X-Forwarded-Host: evil.example.org"}, s.URL + "/verify"},
		{"/magiclink", []string{"Host: x", "X-Forwarded-Host: evil.example.org, login.example.org"}, s.URL + "/verify"},
		{"/magiclink", []string{"Host: x", "X-Forwarded-Host: evil.example.org/@login.example.org"}, s.URL + "/verify"},
		{"/magiclink", []string{"Host: x", "X-Forwarded-Host: a@login.example.org"}, s.URL + "/verify"},
		{"http://login.example.org/magiclink", []string{"Host: x"}, "https://login.example.org/verify"},
		{"http://evil.example.org/magiclink", []string{"Host: login.example.org"}, s.URL + "/verify"},
	} {
		if got := send(c.target, c.headers...); got != c.want {
			t.Errorf("%s %v: the link begins with %s, want %s", c.target, c.headers, got, c.want)
		}
	}
	r := s.do("POST", "/admin/generate_link", m{"type": "recovery", "email": "ann@example.com"}, append(s.asAdmin(), "X-Forwarded-Host", "login.example.org")...)
	if link, _ := r.Body["action_link"].(string); !strings.HasPrefix(link, "https://login.example.org/verify?token=") {
		t.Errorf("generated link %q", link)
	}
}
