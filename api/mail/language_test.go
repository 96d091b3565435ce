package mail_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/mail"
)

// Every kind reads well in every language: marked as such, with its link, and said otherwise than in English.
func TestBuiltinLanguages(t *testing.T) {
	t.Parallel()
	m := mailer(t, mail.Settings{})
	for _, kind := range mail.Kinds() {
		english := render(t, m, kind, payload)
		seen := map[string]string{english.Subject: "en"}
		for language, word := range map[string]string{"de": " Sie ", "fr": " votre ", "es": " su "} {
			got := render(t, m, kind, wishing(language))
			if got.Language != language || !strings.Contains(got.HTML, `<html lang="`+language+`">`) {
				t.Errorf("%s in %s: language %q\n%s", kind, language, got.Language, got.HTML)
			}
			if other, isSame := seen[got.Subject]; isSame {
				t.Errorf("%s: the subject %q is the same in %s and %s", kind, got.Subject, other, language)
			}
			seen[got.Subject] = language
			if strings.Count(got.HTML, "<p>") < 2 || strings.Count(got.HTML, "href=") != strings.Count(english.HTML, "href=") ||
				strings.Count(got.HTML, "123456") != strings.Count(english.HTML, "123456") ||
				strings.Count(got.HTML, "https://app.example.com") != strings.Count(english.HTML, "https://app.example.com") {
				t.Errorf("%s in %s lacks something that the English mail has\n%s", kind, language, got.HTML)
			}
			text := strings.ToLower(strings.Join(strings.Fields(got.Subject+" "+got.Text), " "))
			if !strings.Contains(text, strings.ToLower(word)) && !strings.Contains(text, "ihr") && !strings.Contains(text, "vous") && !strings.Contains(text, "cuenta") {
				t.Errorf("%s in %s does not read like it:\n%s", kind, language, got.Text)
			}
			if empty := render(t, m, kind, `{"languages": ["`+language+`"]}`); strings.Contains(empty.HTML, "no value") {
				t.Errorf("%s in %s without variables:\n%s", kind, language, empty.HTML)
			}
		}
	}
}

// wishing is the usual payload of a reader with some languages.
func wishing(languages ...string) string {
	return fmt.Sprintf(`{"languages": ["%s"], %s`, strings.Join(languages, `", "`), strings.TrimPrefix(payload, "{"))
}

func TestChoiceOfLanguage(t *testing.T) {
	t.Parallel()
	m := mailer(t, mail.Settings{})
	few := mailer(t, mail.Settings{Languages: []string{"fr", " de-AT"}, DefaultLanguage: "es"})
	dutch := mailer(t, mail.Settings{DefaultLanguage: "nl"})
	british := mailer(t, mail.Settings{DefaultLanguage: "en-GB"})
	for _, c := range []struct {
		m      *mail.Mailer
		want   string
		wishes []string
	}{
		{m, "en", nil},
		{m, "en", []string{""}},
		{m, "en", []string{"*"}},
		{m, "de", []string{"de"}},
		{m, "de", []string{"de-AT"}},
		{m, "de", []string{"de_CH.UTF-8"}},
		{m, "de", []string{"DE-de"}},
		{m, "de", []string{"gsw"}},
		{m, "fr", []string{"fr-CA,fr;q=0.8,en;q=0.5"}},
		{m, "es", []string{"en;q=0.1, es-419"}},
		{m, "en", []string{"it"}},
		{m, "es", []string{"it, es;q=0.5"}},
		{m, "fr", []string{"no language at all", "-", "fr"}},
		{m, "de", []string{"it", "de"}},       // what is not offered is passed over
		{m, "fr", []string{"fr", "de"}},       // the first wish counts
		{m, "en", []string{"en-US,en", "de"}}, // English may be a wish as well
		{m, "en", []string{strings.Repeat("a-", 500), "\x00", "zz-ZZ-zz", "de-\xff"}},
		{few, "es", nil},
		{few, "es", []string{"en"}}, // not offered
		{few, "fr", []string{"fr"}},
		{few, "de", []string{"de"}}, // by way of de-AT
		{dutch, "en", []string{"nl"}},
		{dutch, "de", []string{"de"}},
		{british, "en", []string{"it"}},
	} {
		var languages []string
		for _, w := range c.wishes {
			languages = append(languages, strings.Trim(fmt.Sprintf("%q", strings.ToValidUTF8(strings.ReplaceAll(w, "\x00", ""), "")), `"`))
		}
		request := payload
		if languages != nil {
			request = wishing(languages...)
		}
		if got := render(t, c.m, "invite", request).Language; got != c.want {
			t.Errorf("%q: %s, want %s", c.wishes, got, c.want)
		}
	}
}

// folder writes files into a folder of templates.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFolderOfTexts(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "page %s in {{ .Language }}", r.URL.Path)
	}))
	defer site.Close()
	s := mail.Settings{
		TemplatesDir: folder(t, map[string]string{
			"de/confirmation.html": `<p lang="{{ .Language }}">{{ .Email }}</p>`, "de/confirmation.subject": "  Hallo {{ .Data.nick }}\n",
			"it/confirmation.html": "ciao", "pt-BR/confirmation.html": "oi", "pt-BR/confirmation.subject": "Olá",
			"de/recovery.subject": "Passwort weg?", "de-AT/invite.html": "servus", "de/invite.html": "hallo",
			".git/x": "", "notes/readme.txt": "", "de/unknown.html": "", "ja/invite.subject": "x",
		}),
		TemplateMagicLink: site.URL + "/{lang}/link.html", SubjectMagicLink: "Link in {{ .Language }}",
		TemplateEmailChange: "/change.html", SubjectReauthentication: "Code {{ .Token }}",
		Languages: []string{"de", "de-AT", "fr", "it", "pt-BR", "en"}, TemplateMaxSize: 1000, TemplateMaxAge: time.Hour,
	}
	var log bytes.Buffer
	m, err := mail.New(s, site.URL, "https://auth.example.com", http.DefaultClient, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ kind, wish, language, subject, html string }{ // html "": built in
		{"confirmation", "de-CH", "de", "Hallo &lt;b&gt;Jo&lt;/b&gt;", `<p lang="de">jo@example.com</p>`},
		{"confirmation", "pt", "pt-BR", "Olá", "oi"},
		{"confirmation", "it", "it", "Confirm your email address", "ciao"},
		{"confirmation", "fr", "en", "Confirm your email address", ""}, // own texts keep the built-in ones out
		{"recovery", "de", "de", "Passwort weg?", ""},
		{"recovery", "fr", "fr", "Réinitialisez votre mot de passe", ""},
		{"invite", "de-AT", "de-AT", "Sie wurden eingeladen", "servus"},
		{"invite", "de-CH", "de", "Sie wurden eingeladen", "hallo"},
		{"magic_link", "fr-CA", "fr", "Link in fr", "page /fr/link.html in fr"},
		{"magic_link", "pt-BR", "pt-BR", "Link in pt-BR", "page /pt-BR/link.html in pt-BR"},
		{"magic_link", "es", "en", "Link in en", "page /en/link.html in en"},
		{"email_change", "de", "en", "Confirm your new email address", "page /change.html in en"},
		{"reauthentication", "de", "en", "Code 123456", ""}, // a subject for all languages is in one
		{"phone_changed_notification", "es", "en", "Your phone number was changed", ""},
	} {
		got := render(t, m, c.kind, wishing(c.wish))
		if c.html == "" {
			c.html = got.HTML
			if !strings.Contains(c.html, `<html lang="`+c.language+`">`) {
				t.Errorf("%s for %s is not the built-in one in %s: %s", c.kind, c.wish, c.language, c.html)
			}
		}
		if d := cmp.Diff([]string{c.language, c.subject, c.html}, []string{got.Language, got.Subject, got.HTML}); d != "" {
			t.Errorf("%s for %s: %s", c.kind, c.wish, d)
		}
	}
	for _, want := range []string{"readme.txt", "unknown.html", "mail=invite language=ja", "mail=confirmation language=it"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not mention %s:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), ".git") || strings.Count(log.String(), "level=WARN") != 4 {
		t.Errorf("too much in the log:\n%s", log.String())
	}
}

// A file that is changed counts when the old one is too old; one that breaks does not replace what works.
func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"en/invite.html": "one", "en/invite.subject": "first"})
	m := mailer(t, mail.Settings{TemplatesDir: dir}) // of age 0: always due
	want := func(subject, html string) {
		t.Helper()
		if got := render(t, m, "invite", payload); got.Subject != subject || got.HTML != html {
			t.Errorf("%q %q, want %q %q", got.Subject, got.HTML, subject, html)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want("first", "one")
	write("en/invite.html", "two {{ .Email }}")
	write("en/invite.subject", "second")
	want("second", "two jo@example.com")
	write("en/invite.html", "three {{ .Email")
	want("second", "two jo@example.com")
	if err := os.Remove(filepath.Join(dir, "en/invite.html")); err != nil {
		t.Fatal(err)
	}
	want("second", "two jo@example.com")
}

func TestBadLanguageSettings(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]mail.Settings{
		`POSTERN_MAILER_DEFAULT_LANGUAGE is "no_such_thing_1"`: {DefaultLanguage: "no_such_thing_1"},
		`POSTERN_MAILER_LANGUAGES holds "?"`:                   {Languages: []string{"en", "?"}},
		`POSTERN_MAILER_TEMPLATES_DIR: open`:                   {TemplatesDir: filepath.Join(t.TempDir(), "missing")},
		`de/invite.html: template: own:1`:                      {TemplatesDir: folder(t, map[string]string{"de/invite.html": "{{ .Email"}), TemplateMaxSize: 100},
		`de/invite.subject: it is empty`:                       {TemplatesDir: folder(t, map[string]string{"de/invite.subject": ""}), TemplateMaxSize: 100},
	} {
		_, err := mail.New(s, "https://app.example.com", "https://auth.example.com", http.DefaultClient, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
