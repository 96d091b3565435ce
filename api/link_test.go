package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const wantsForm = "application/x-www-form-urlencoded"

// form sends a form to POST /verify, as a page with a button does.
func (s *server) form(values string) response {
	s.t.Helper()
	return s.do("POST", "/verify", values, "Content-Type", wantsForm)
}

// location returns where a 303 leads.
func (r response) location(t testing.TB) string {
	t.Helper()
	if r.Status != http.StatusSeeOther || r.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("%d %v %s", r.Status, r.Header, r.Text)
	}
	return r.Header.Get("Location")
}

// What looks at a link before a person does leaves it usable.
func TestLinkIsNotUsedUpByMachines(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	link := "/verify?type=magiclink&token=" + s.plant("ann@example.com", "recovery_token", "123456")
	for _, path := range []string{link, strings.Replace(link, "?", "/?", 1), "/verify", "/verify?type=magiclink&token=wrong"} {
		if r := s.do("HEAD", path, nil); r.Status != 200 || r.Text != "" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("HEAD %s: %d %v", path, r.Status, r.Header)
		}
	}
	for _, header := range [][]string{
		{"Sec-Purpose", "prefetch"}, {"Sec-Purpose", "prefetch;prerender"}, {"Sec-Purpose", "prefetch;anonymous-client-ip"},
		{"Purpose", "prefetch"}, {"X-Moz", "prefetch"}, {"X-Purpose", "preview"}, {"Purpose", " Prefetch "},
	} {
		r := s.do("GET", link, nil, header...)
		if r.Status != http.StatusForbidden || r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Location") != "" {
			t.Errorf("%v: %d %v", header, r.Status, r.Header)
		}
	}
	if n := s.scan("select count(*) from auth.one_time_tokens"); n != "1" {
		t.Fatalf("%s tokens are left", n)
	}
	if to := s.do("GET", link, nil, "Sec-Purpose", "navigate").location(t); !strings.Contains(to, "#access_token=") {
		t.Errorf("the click leads to %s", to)
	}
}

// HEAD is refused everywhere else, as in the reference.
func TestHead(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for path, want := range map[string]int{
		"/verify": 200, "/verify/": 200, "/health": 405, "/settings": 405, "/authorize?provider=github": 405, "/callback?state=x": 405, "/token": 405, "/nowhere": 404, "/reauthenticate": 405,
	} {
		if r := s.do("HEAD", path, nil); r.Status != want || r.Text != "" {
			t.Errorf("HEAD %s: %d, want %d", path, r.Status, want)
		}
	}
}

func TestVerifyHidesItsURL(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	s.plant("ann@example.com", "recovery_token", "123456")
	r := s.do("POST", "/verify", m{"type": "email", "token": "123456", "email": "ann@example.com"})
	if r.Status != 200 || r.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%d %v", r.Status, r.Header)
	}
}

// Without the setting, forms are what the reference takes them for: no JSON.
func TestFormsAreOffByDefault(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.newUser("ann@example.com")
	hash := s.plant("ann@example.com", "recovery_token", "123456")
	s.play([]scenario{
		{name: "a form", path: "POST /verify", body: "type=recovery&token=" + hash, header: []string{"Content-Type", wantsForm}, status: 400, code: "bad_json"},
		{name: "JSON of curl", path: "POST /verify", body: `{"type":"recovery","token_hash":"` + hash + `"}`, header: []string{"Content-Type", wantsForm}, status: 200, text: "access_token"},
	})
}

const (
	linkPages  = "POSTERN_MAILER_LINK_PAGE=true"
	otherPages = "POSTERN_MAILER_OTHER_DEVICE_PAGE=true"
)

// The page shows itself to anybody, the same for every token, and redeems nothing.
func TestLinkPage(t *testing.T) {
	t.Parallel()
	s := setup(t, linkPages)
	s.newUser("ann@example.com")
	hash := s.plant("ann@example.com", "recovery_token", "123456")
	const path = "/verify?type=recovery&redirect_to=https://app.example.com/new&token="
	r := s.do("GET", path+hash, nil, "Accept-Language", "de")
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	policy := r.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
	for _, want := range []string{`lang="de"`, "Neues Passwort setzen", "<strong>app.example.com</strong>", `value="` + hash + `"`, `value="https://app.example.com/new"`} {
		if r.Status != 200 || !strings.Contains(r.Text, want) {
			t.Errorf("no %s: %d %s", want, r.Status, r.Text)
		}
	}
	if other := s.do("GET", path+"wrong", nil, "Accept-Language", "de"); strings.ReplaceAll(other.Text, "wrong", hash) != r.Text {
		t.Errorf("a wrong token has another page: %s", other.Text)
	}
	statements := s.statements.Load()
	s.do("GET", path+hash, nil)
	if asked := s.statements.Load() - statements; asked != 0 {
		t.Errorf("the page costs %d statements", asked)
	}
	for path, want := range map[string]string{
		"/verify?token=x":                "Verify requires a verification type",
		"/verify?type=signup":            "Verify requires a token or a token hash",
		"/verify?type=signup&token=%00x": "Verify requires a token or a token hash",
	} {
		if r := s.do("GET", path, nil); r.Status != 400 || !strings.Contains(r.Text, want) {
			t.Errorf("%s: %d %s", path, r.Status, r.Text)
		}
	}
	if r := s.do("GET", path+hash, nil, "Sec-Purpose", "prefetch"); r.Status != http.StatusForbidden {
		t.Errorf("prefetch: %d", r.Status)
	}
	if r := s.do("GET", "/verify?type=signup&token=x&redirect_to=https://evil.example.com", nil, "Referer", "https://app.example.com/from"); !strings.Contains(r.Text, `value="https://app.example.com/from"`) {
		t.Errorf("the Referer is no target: %s", r.Text)
	}
}

// The form does what the link does without the page.
func TestLinkForm(t *testing.T) {
	t.Parallel()
	s := setup(t, linkPages)
	s.newUser("ann@example.com")
	const form = "type=magiclink&redirect_to=https%3A%2F%2Fapp.example.com%2Fin&token="
	hash := s.plant("ann@example.com", "recovery_token", "123456")
	if to := s.form("type=signup&token=" + hash).location(t); !strings.HasPrefix(to, "https://app.example.com#error=access_denied&error_code=otp_expired") {
		t.Errorf("a wrong type leads to %s", to)
	}
	if to := s.form(form + hash).location(t); !strings.HasPrefix(to, "https://app.example.com/in#access_token=ey") || !strings.HasSuffix(to, "&type=magiclink") {
		t.Errorf("the button leads to %s", to)
	}
	if to := s.form(form + hash).location(t); !strings.HasPrefix(to, "https://app.example.com/in#error=access_denied&error_code=otp_expired") {
		t.Errorf("pressed twice, it leads to %s", to)
	}
	hash = s.plant("ann@example.com", "recovery_token", "123456")
	s.exec("update auth.users set recovery_sent_at = now() - interval '25 hours'")
	if to := s.form(form + hash).location(t); !strings.Contains(to, "error_code=otp_expired") {
		t.Errorf("too late, it leads to %s", to)
	}
	hash = s.plant("ann@example.com", "recovery_token", "123456")
	if to := s.form("type=recovery&redirect_to=https%3A%2F%2Fevil.example.com&token=" + hash).location(t); !strings.HasPrefix(to, "https://app.example.com#access_token=") {
		t.Errorf("with a forbidden target, it leads to %s", to)
	}
	hash = s.plant("ann@example.com", "recovery_token", "123456")
	asForm := []string{"Content-Type", wantsForm + "; charset=UTF-8"}
	s.play([]scenario{
		{name: "no type", path: "POST /verify", body: "token=x", header: asForm, status: 400, code: "validation_failed", text: "Verify requires a verification type"},
		{name: "no token", path: "POST /verify", body: "type=x", header: asForm, status: 400, code: "validation_failed", text: "Verify requires a token or a token hash"},
		{name: "nothing", path: "POST /verify", body: "", header: asForm, status: 400, code: "validation_failed"},
		{name: "too much", path: "POST /verify", body: "type=" + strings.Repeat("x", 1<<20), header: asForm, status: 413, code: "request_entity_too_large"},
		{name: "JSON of curl", path: "POST /verify", body: `{"type":"recovery","token_hash":"` + hash + `"}`, header: asForm, status: 200, text: "access_token"},
	})
}

// A PKCE link gives its code after the button, and a half done change of address its message.
func TestLinkFormPKCE(t *testing.T) {
	t.Parallel()
	s := setup(t, linkPages)
	ann := s.newSession("ann@example.com")
	s.do("POST", "/otp", m{"email": "ann@example.com", "code_challenge": challenge(verifier), "code_challenge_method": "s256"})
	to := s.form("type=magiclink&token=" + s.newLink("ann@example.com")).location(t)
	code, isCode := strings.CutPrefix(to, "https://app.example.com?code=")
	if r := s.do("POST", "/token?grant_type=pkce", m{"auth_code": code, "code_verifier": verifier}); !isCode || r.Status != 200 {
		t.Errorf("%s: %d %s", to, r.Status, r.Text)
	}
	s.do("PUT", "/user", m{"email": "new@example.com"}, bearer(ann.AccessToken)...)
	to = s.form("type=email_change&token=" + s.newLink("new@example.com")).location(t)
	if !strings.HasPrefix(to, "https://app.example.com#message=Confirmation+link+accepted.") {
		t.Errorf("half done, it leads to %s", to)
	}
}

// The form finds its way back through a gateway that puts /auth/v1 in front, whatever the path was.
func TestLinkFormBehindPrefix(t *testing.T) {
	t.Parallel()
	s := setup(t, linkPages)
	s.newUser("ann@example.com")
	upstream, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	gateway := httptest.NewServer(http.StripPrefix("/auth/v1", httputil.NewSingleHostReverseProxy(upstream)))
	t.Cleanup(gateway.Close)
	behind := *s
	behind.URL = gateway.URL
	for _, path := range []string{"/auth/v1/verify", "/auth/v1/verify/"} {
		link := path + "?type=magiclink&token=" + s.plant("ann@example.com", "recovery_token", "123456")
		r := behind.do("GET", link, nil)
		form := regexp.MustCompile(`<form method="post" action="([^"]*)">`).FindStringSubmatch(r.Text)
		if form == nil {
			t.Fatalf("%s: %d %s", path, r.Status, r.Text)
		}
		page, err := url.Parse(gateway.URL + link)
		if err != nil {
			t.Fatal(err)
		}
		action, err := page.Parse(form[1])
		if err != nil {
			t.Fatal(err)
		}
		values := url.Values{}
		for _, field := range regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`).FindAllStringSubmatch(r.Text, -1) {
			values.Set(field[1], field[2])
		}
		r = behind.do("POST", strings.TrimPrefix(action.String(), gateway.URL), values.Encode(), "Content-Type", wantsForm)
		if to := r.location(t); action.RawQuery != "" || !strings.Contains(to, "#access_token=") {
			t.Errorf("%s leads to %s and %s", path, action, to)
		}
	}
}
