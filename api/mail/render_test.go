package mail_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/mail"
)

const payload = `{"email": "jo@example.com", "new_email": "new@example.com", "sending_to": "new@example.com",
	"token": "123456", "token_hash": "abc", "redirect_to": "https://app.example.com/in?a=1&b=2",
	"confirmation_url": "https://auth.example.com/verify?token=abc&type=signup&redirect_to=https://app.example.com",
	"old_email": "old@example.com", "phone": "15550100", "old_phone": "15550101", "provider": "github",
	"factor_type": "totp", "data": {"nick": "<b>Jo</b>", "age": 30, "roles": ["a", "b"]}}`

func render(t testing.TB, m *mail.Mailer, kind, payload string) mail.Message {
	t.Helper()
	got, err := m.Render(t.Context(), mail.Request{ID: "1", Template: kind, To: "jo@example.com", Payload: []byte(payload)})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestBuiltinTexts(t *testing.T) {
	t.Parallel()
	subjects := map[string]string{
		"invite": "You've been invited", "confirmation": "Confirm your email address",
		"recovery": "Reset your password", "magic_link": "Your sign-in link",
		"email_change":                       "Confirm your new email address",
		"reauthentication":                   "123456 is your verification code",
		"password_changed_notification":      "Your password was changed",
		"email_changed_notification":         "Your email address was changed",
		"phone_changed_notification":         "Your phone number was changed",
		"identity_linked_notification":       "A new sign-in method was linked to your account",
		"identity_unlinked_notification":     "A sign-in method was removed from your account",
		"mfa_factor_enrolled_notification":   "A new verification method was added to your account",
		"mfa_factor_unenrolled_notification": "A verification method was removed from your account",
	}
	links := map[string]bool{"invite": true, "confirmation": true, "recovery": true, "magic_link": true, "email_change": true}
	if len(subjects) != len(mail.Kinds()) {
		t.Fatalf("%d kinds, %d tested", len(mail.Kinds()), len(subjects))
	}
	m := mailer(t, mail.Settings{})
	const link = "https://auth.example.com/verify?token=abc&type=signup&redirect_to=https://app.example.com"
	for kind, subject := range subjects {
		got := render(t, m, kind, payload)
		if got.Subject != subject {
			t.Errorf("%s: subject %q", kind, got.Subject)
		}
		if !strings.Contains(got.HTML, "https://app.example.com") || !strings.Contains(got.HTML, `lang="en"`) {
			t.Errorf("%s: the mail does not say whose it is:\n%s", kind, got.HTML)
		}
		if strings.ContainsAny(got.Text, "{}") || strings.Contains(got.Text, "<p") || len(got.Text) < 100 {
			t.Errorf("%s: text\n%s", kind, got.Text)
		}
		if links[kind] != strings.Contains(got.Text, "<"+link+">") ||
			links[kind] != strings.Contains(got.HTML, `href="`+strings.ReplaceAll(link, "&", "&amp;")+`"`) {
			t.Errorf("%s: wrong link\n%s\n%s", kind, got.Text, got.HTML)
		}
		if empty := render(t, m, kind, `{}`); strings.Contains(empty.HTML, "no value") {
			t.Errorf("%s without variables:\n%s", kind, empty.HTML)
		}
	}
}

func TestOwnSubjectsAndTemplates(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"/all.html": `{{ .SiteURL }}|{{ .Email }}|{{ .NewEmail }}|{{ .SendingTo }}|{{ .Token }}|{{ .TokenHash }}|` +
			`{{ .RedirectTo }}|{{ .Data.nick }}|{{ .Data.age }}|{{ .Data.missing }}|{{ .Missing }}|{{ range .Data.roles }}{{ . }}{{ end }}`,
		"/link.html":   `<a href="{{ .ConfirmationURL }}">Go</a>`,
		"/broken.html": `{{ .Email `,
		"/fails.html":  `{{ .Data.nick.deeper }}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = fmt.Fprint(w, page)
	}))
	defer server.Close()
	settings := mail.Settings{
		SubjectConfirmation: "confirmation for {{ .Email }}{{ .Missing }}", TemplateConfirmation: "/all.html",
		SubjectInvite: "Hi {{ .Data.nick }}\r\nBcc: x", TemplateInvite: server.URL + "/link.html",
		SubjectRecovery: "mine", TemplateRecovery: server.URL + "/absent.html",
		SubjectMagicLink: "mine", TemplateMagicLink: server.URL + "/broken.html",
		SubjectEmailChange: "mine", TemplateEmailChange: server.URL + "/fails.html",
		SubjectReauthentication: "{{ .Token",
		SubjectPasswordChanged:  "only the subject is mine",
		TemplateMaxSize:         1000, TemplateMaxAge: time.Hour, TemplateRetryInterval: time.Hour,
	}
	m, err := mail.New(settings, server.URL+"/", "https://auth.example.com", http.DefaultClient, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ kind, subject, html string }{ // html "": the built-in one
		{"confirmation", "confirmation for jo@example.com",
			server.URL + "/|jo@example.com|new@example.com|new@example.com|123456|abc|" +
				"https://app.example.com/in?a=1&amp;b=2|&lt;b&gt;Jo&lt;/b&gt;|30|||ab"},
		{"invite", "Hi &lt;b&gt;Jo&lt;/b&gt;  Bcc: x",
			`<a href="https://auth.example.com/verify?token=abc&amp;type=signup&amp;redirect_to=https://app.example.com">Go</a>`},
		{"recovery", "Reset your password", ""},
		{"magic_link", "Your sign-in link", ""},
		{"email_change", "Confirm your new email address", ""},
		{"reauthentication", "123456 is your verification code", ""},
		{"password_changed_notification", "only the subject is mine", ""},
	}
	builtin := mailer(t, mail.Settings{})
	for _, c := range cases {
		got := render(t, m, c.kind, payload)
		if c.html == "" {
			own := strings.ReplaceAll(payload, `{"email"`, `{"site_url": "`+server.URL+`/", "email"`)
			c.html = render(t, builtin, c.kind, own).HTML
		}
		if d := cmp.Diff([]string{c.subject, c.html}, []string{got.Subject, got.HTML}); d != "" {
			t.Errorf("%s: %s", c.kind, d)
		}
	}
}

// Numbers, lists and nothing in place of the user metadata must not lose the mail.
func TestHostileMetadata(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<p title="{{ .Data.nick }}">{{ .Data.nick }}</p><a href="{{ .Data.nick }}">x</a>`)
	}))
	defer server.Close()
	m := mailer(t, mail.Settings{TemplateInvite: server.URL, TemplateMaxAge: time.Hour})
	for _, data := range []string{`null`, `[]`, `1`, `"x"`, `{"nick": null}`} {
		got := render(t, m, "invite", `{"data": `+data+`}`)
		if want := `<p title=""></p><a href="">x</a>`; got.HTML != want {
			t.Errorf("data %s: %s", data, got.HTML)
		}
	}
	got := render(t, m, "invite", `{"data": {"nick": "\"><script>alert(1)</script>"}}`)
	if strings.Contains(got.HTML, "<script>") {
		t.Errorf("not escaped: %s", got.HTML)
	}
	got = render(t, m, "invite", `{"data": {"nick": "javascript:alert(1)"}}`)
	if strings.Contains(got.HTML, `href="javascript`) {
		t.Errorf("not filtered: %s", got.HTML)
	}
	for _, request := range []mail.Request{{Template: "unknown", Payload: []byte(`{}`)}, {Template: "invite", Payload: []byte(`[]`)}} {
		if _, err := m.Render(t.Context(), request); !isPermanent(err) {
			t.Errorf("%+v: %v is not permanent", request, err)
		}
	}
}

func TestTemplatesAreCached(t *testing.T) {
	t.Parallel()
	var hits, status atomic.Int64
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = fmt.Fprintf(w, "version %d 56789", hits.Add(1))
	}))
	defer server.Close()
	var log bytes.Buffer
	load := func(age, retry time.Duration) *mail.Mailer {
		hits.Store(0)
		m, err := mail.New(mail.Settings{
			SubjectInvite: "own", TemplateInvite: server.URL,
			TemplateMaxSize: 11, TemplateMaxAge: age, TemplateRetryInterval: retry,
		}, "https://app.example.com", "https://auth.example.com", http.DefaultClient, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	want := func(m *mail.Mailer, subject, html string, wantHits int64) {
		t.Helper()
		got := render(t, m, "invite", payload)
		if got.Subject != subject || (html != "" && got.HTML != html) || hits.Load() != wantHits {
			t.Errorf("%q %q after %d loads", got.Subject, got.HTML, hits.Load())
		}
	}

	m := load(time.Hour, time.Hour)
	want(m, "own", "version 1 5", 1) // the rest is cut off
	want(m, "own", "version 1 5", 1)

	m = load(0, 0) // always due
	want(m, "own", "version 1 5", 1)
	want(m, "own", "version 2 5", 2)
	status.Store(http.StatusInternalServerError)
	want(m, "own", "version 2 5", 3) // the previous version stays
	if !strings.Contains(log.String(), "500") {
		t.Errorf("not logged: %s", log.String())
	}

	m = load(0, time.Hour) // fails from the start: subject and body are built in
	want(m, "You've been invited", "", 1)
	want(m, "You've been invited", "", 1) // no new try before the interval has passed
	m = load(0, 0)
	want(m, "You've been invited", "", 1)
	status.Store(http.StatusOK)
	want(m, "own", "version 2 5", 2)
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, html, want string }{
		{"paragraphs", "<h1>Title</h1>\n<p>One\n two   three</p><p>Four</p>", "Title\n\nOne two three\n\nFour\n"},
		{"link", `<p>Please <a href="https://a.example/?x=1&amp;y=2">sign in</a>.</p>`, "Please sign in <https://a.example/?x=1&y=2>.\n"},
		{"bare link", `<a href="https://a.example">https://a.example</a> <a href="mailto:a@b.c">a@b.c</a>`, "https://a.example a@b.c\n"},
		{"link round a picture", `<a href="https://a.example"><img src="x.png"></a>`, "https://a.example\n"},
		{"picture", `<img alt="Logo" src="x">!`, "Logo!\n"},
		{"list", `<ul><li>one</li><li>two</li></ul>after`, "- one\n- two\n\nafter\n"},
		{"table", `<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>`, "a b\nc\n"},
		{"breaks", "a<br>b<br/>c<div>d</div>e", "a\nb\nc\nd\ne\n"},
		{"left out", `<head><title>t</title><style>p{}</style></head><script>x</script><p style="DISPLAY : none">hid</p><!-- c -->seen`, "seen\n"},
		{"entities", "a&nbsp;b &lt;c&gt; &amp;", "a\u00a0b <c> &\n"},
		{"nothing", "", "\n"},
		{"not HTML", "just <text", "just\n"},
	}
	for _, c := range cases {
		if got := mail.PlainText(c.html); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
