package api_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
)

// User-Agents as browsers send them.
const (
	firefoxLinux   = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	firefoxNewer   = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
	firefoxAndroid = "Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
	chromeLinux    = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"
	edgeWindows    = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0"
	safariIPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	appAndroid     = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP2A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/138.0.0.0 Mobile Safari/537.36"
	chromeAndroid  = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36"
)

// pkce is a body with an address and a challenge.
func pkce(email string) m {
	return m{"email": email, "code_challenge": challenge(verifier), "code_challenge_method": "s256"}
}

// mailed is what a mail holds.
type mailed struct{ link, code string }

var (
	linkForm = regexp.MustCompile(`http\S+/verify\?\S+`)
	codeForm = regexp.MustCompile(`\b\d{6}\b`)
)

// take waits for a mail and returns its link, without the server, and its code.
func (s *server) take(sink *apitest.SMTPSink, email string) mailed {
	s.t.Helper()
	mail := sink.Take(s.t, email)
	return mailed{strings.TrimPrefix(linkForm.FindString(mail.Text), s.URL), codeForm.FindString(mail.Text)}
}

func elsewhereSetup(t *testing.T, settings ...string) (*server, *apitest.SMTPSink) {
	t.Helper()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	return setup(t, append(smtpSettings(sink.Host, sink.Port), settings...)...), sink
}

// open follows a link in a browser.
func (s *server) open(link, agent string) response {
	s.t.Helper()
	return s.do("GET", link, nil, "User-Agent", agent)
}

// exchange takes the code out of a redirect and signs in with it.
func (s *server) exchange(r response) int {
	s.t.Helper()
	to, err := url.Parse(r.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		s.t.Errorf("no code: %d %s %s", r.Status, r.Header.Get("Location"), r.Text)
		return 0
	}
	return s.do("POST", "/token?grant_type=pkce", m{"auth_code": to.Query().Get("code"), "code_verifier": verifier}).Status
}

// Which browsers count as another one. Where in doubt the link works as always.
func TestOtherDevice(t *testing.T) {
	t.Parallel()
	s := setup(t, otherPages)
	s.newUser("ann@example.com")
	for _, c := range []struct{ began, opened, place string }{
		{firefoxLinux, firefoxLinux, ""},
		{firefoxLinux, firefoxNewer, ""},
		{firefoxLinux, firefoxAndroid, "Firefox on Linux"},
		{firefoxLinux, chromeLinux, "Firefox on Linux"},
		{edgeWindows, safariIPhone, "Edge on Windows"},
		{safariIPhone, edgeWindows, "Safari on iOS"},
		{appAndroid, chromeAndroid, ""},       // the app opened its link in the system's browser
		{appAndroid, firefoxAndroid, ""},      // whichever that is
		{appAndroid, edgeWindows, "Android"},  // but not on another machine
		{"node", safariIPhone, ""},            // a server asked for somebody
		{"okhttp/4.12.0", chromeAndroid, ""},  // a native application
		{firefoxLinux, "curl/8.5.0", ""},      // not a browser
		{firefoxLinux, "Mozilla/5.0 (x)", ""}, // nor known
	} {
		s.do("POST", "/otp", pkce("ann@example.com"), "User-Agent", c.began)
		link := "/verify?type=magiclink&token=" + s.newLink("ann@example.com")
		r := s.open(link, c.opened)
		if c.place == "" {
			if s.exchange(r) != 200 {
				t.Errorf("%s, opened with %s, does not work", c.began, c.opened)
			}
			continue
		}
		if r.Status != 200 || r.Header.Get("Location") != "" || !strings.Contains(r.Text, "<strong>"+c.place+"</strong>") || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s, opened with %s: %d %s", c.began, c.opened, r.Status, r.Text)
		}
	}
}

// Every kind of mail, opened elsewhere first: the address is confirmed, and where the user began link and code work.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	s, sink := elsewhereSetup(t, otherPages)
	for _, c := range []struct {
		name, path string
		isKnown    bool
	}{
		{name: "sign-up", path: "/signup"},
		{name: "first sign-in", path: "/otp"},
		{name: "sign-in", path: "/otp", isKnown: true},
		{name: "old sign-in", path: "/magiclink", isKnown: true},
		{name: "recovery", path: "/recover", isKnown: true},
	} {
		for _, way := range []string{"link", "code", "button"} {
			email := strings.ReplaceAll(c.name, " ", "-") + "-" + way + "@example.com"
			if c.isKnown {
				s.newUser(email)
			}
			body := pkce(email)
			if c.path == "/signup" {
				body["password"] = password
			}
			if r := s.do("POST", c.path, body, "User-Agent", firefoxLinux); r.Status != 200 {
				t.Fatalf("%s: %d %s", c.path, r.Status, r.Text)
			}
			s.redeem(c.name+" by "+way, way, email, s.take(sink, email))
			if n := s.scan("select count(*) from auth.audit_log_entries where payload ->> 'action' = 'user_signedup' and payload ->> 'actor_username' = $1", email); n != "1" {
				t.Errorf("%s by %s: signed up %s times", c.name, way, n)
			}
		}
	}
	if n := s.scan("select count(*) from postern.flow_devices as d join auth.flow_state as f on f.id = d.flow_id"); n != s.scan("select count(*) from postern.flow_devices") {
		t.Error("devices of flows that are gone are left")
	}
}

// redeem opens a mail on a telephone, twice, and then goes on in one of three ways.
func (s *server) redeem(name, way, email string, mail mailed) {
	s.t.Helper()
	for range 2 {
		r := s.open(mail.link, safariIPhone)
		if r.Status != 200 || !strings.Contains(r.Text, "Your email address is confirmed") {
			s.t.Errorf("%s, elsewhere: %d %s", name, r.Status, r.Text)
		}
		if got := s.scan("select (email_confirmed_at is not null)::text || (select count(*) from auth.sessions where user_id = u.id) from auth.users as u where email = $1", email); got != "true0" {
			s.t.Errorf("%s, elsewhere: confirmed and sessions %s", name, got)
		}
	}
	query := mail.link[strings.Index(mail.link, "?")+1:]
	switch way {
	case "link":
		if s.exchange(s.open(mail.link, firefoxNewer)) != 200 {
			s.t.Errorf("%s: the link does not work where it began", name)
		}
	case "code":
		if r := s.do("POST", "/verify", m{"type": "email", "email": email, "token": mail.code}); r.Status != 200 {
			s.t.Errorf("%s: %d %s", name, r.Status, r.Text)
		}
	case "button":
		if s.exchange(s.do("POST", "/verify", query+"&here=1", "Content-Type", wantsForm, "User-Agent", safariIPhone)) != 200 {
			s.t.Errorf("%s: the button does not work", name)
		}
	}
	for _, agent := range []string{firefoxLinux, safariIPhone} {
		if to := s.open(mail.link, agent).location(s.t); !strings.Contains(to, "error_code=otp_expired") {
			s.t.Errorf("%s: used, the link leads to %s", name, to)
		}
	}
}

// An unconfirmed user who asks for a new password is confirmed elsewhere, too, and keeps the link.
func TestRecoveryElsewhereConfirms(t *testing.T) {
	t.Parallel()
	s, sink := elsewhereSetup(t, otherPages)
	s.do("POST", "/signup", m{"email": "ann@example.com", "password": password})
	sink.Take(t, "ann@example.com")
	s.do("POST", "/recover", pkce("ann@example.com"), "User-Agent", firefoxLinux)
	s.redeem("recovery", "link", "ann@example.com", s.take(sink, "ann@example.com"))
}

// A change of address is finished wherever its links are opened.
func TestEmailChangeElsewhere(t *testing.T) {
	t.Parallel()
	s, sink := elsewhereSetup(t, otherPages)
	ann := s.newSession("ann@example.com")
	s.do("PUT", "/user", pkce("new@example.com"), append(bearer(ann.AccessToken), "User-Agent", firefoxLinux)...)
	if to := s.open(s.take(sink, "ann@example.com").link, safariIPhone).location(t); !strings.Contains(to, "message=Confirmation+link+accepted.") {
		t.Errorf("the first of two leads to %s", to)
	}
	mail := s.take(sink, "new@example.com")
	r := s.open(mail.link, safariIPhone)
	if r.Status != 200 || !strings.Contains(r.Text, "Your new email address is confirmed") || strings.Contains(r.Text, "<button") {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	if email := s.scan("select email from auth.users"); email != "new@example.com" {
		t.Errorf("the address is %s", email)
	}
	if to := s.open(mail.link, firefoxLinux).location(t); !strings.Contains(to, "error_code=otp_expired") {
		t.Errorf("used, the link leads to %s", to)
	}
}

// Without the setting nothing is remembered, and the code is handed out as in the reference.
func TestOtherDeviceIsOffByDefault(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	s.do("POST", "/otp", pkce("ann@example.com"), "User-Agent", firefoxLinux)
	if s.exchange(s.open("/verify?type=magiclink&token="+s.newLink("ann@example.com"), safariIPhone)) != 200 {
		t.Error("the link does not work")
	}
	if n := s.scan("select count(*) from postern.flow_devices"); n != "0" {
		t.Errorf("%s devices are remembered", n)
	}
}

// With both pages, the button comes first. A link of the implicit flow works everywhere, as it does without pages.
func TestBothPages(t *testing.T) {
	t.Parallel()
	s := setup(t, linkPages, otherPages)
	s.newUser("ann@example.com")
	s.do("POST", "/recover", pkce("ann@example.com"), "User-Agent", firefoxLinux)
	query := "type=recovery&token=" + s.newLink("ann@example.com")
	if r := s.open("/verify?"+query, safariIPhone); !strings.Contains(r.Text, "Set a new password") {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	r := s.do("POST", "/verify", query, "Content-Type", wantsForm, "User-Agent", safariIPhone, "Accept-Language", "es-MX")
	if r.Status != 200 || !strings.Contains(r.Text, "Su correo electrónico está confirmado") || !strings.Contains(r.Text, "Firefox en Linux") {
		t.Errorf("%d %s", r.Status, r.Text)
	}
	s.do("POST", "/recover", m{"email": "ann@example.com"}, "User-Agent", firefoxLinux)
	query = "type=recovery&token=" + s.newLink("ann@example.com")
	if to := s.do("POST", "/verify", query, "Content-Type", wantsForm, "User-Agent", safariIPhone).location(t); !strings.Contains(to, "#access_token=") {
		t.Errorf("an implicit link leads to %s", to)
	}
}
