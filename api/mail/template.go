package mail

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// builtinFiles are layout.html, and for each language its kinds and phrases that several kinds share.
//
//go:embed templates
var builtinFiles embed.FS

const (
	bodySuffix    = ".html"
	subjectSuffix = ".subject"
	placeholder   = "{lang}" // in the setting of a template
)

// text is how one kind of mail reads: subject and body, both with the escaping of HTML.
type text struct {
	tag           language.Tag // of the body
	subject, body *template.Template
}

// edition is one kind in one language.
type edition struct {
	tag       language.Tag
	builtin   text
	subject   *template.Template // of the setting; nil: none
	subjectAt string             // source of the operator's subject; empty: none
	bodyAt    string             // source of the operator's body; empty: the built-in one is used
}

// library holds the editions of one kind.
type library struct {
	choice   choice
	editions map[language.Tag]edition
}

// sources are where the operator's texts of an edition are.
func (e edition) sources() []string {
	var list []string
	for _, source := range []string{e.subjectAt, e.bodyAt} {
		if source != "" {
			list = append(list, source)
		}
	}
	return list
}

// text returns the text to use now: the operator's as it was last loaded, and without one the built-in
// subject and body (spec/06 section 7.1).
func (e edition) text(ctx context.Context, c *cache) text {
	t := e.builtin
	if e.bodyAt != "" {
		body := c.get(ctx, e.bodyAt)
		if body == nil {
			return t
		}
		t.body, t.tag = body, e.tag
	}
	if e.subject != nil {
		t.subject = e.subject
	}
	if e.subjectAt != "" {
		if subject := c.get(ctx, e.subjectAt); subject != nil {
			t.subject = subject
		}
	}
	return t
}

// render fills subject and body in.
func (t text) render(vars map[string]any) (subject, body string, err error) {
	vars["Language"] = t.tag.String()
	var b strings.Builder
	if err := t.subject.Execute(&b, vars); err != nil {
		return "", "", err
	}
	subject = b.String()
	b.Reset()
	if err := t.body.Execute(&b, vars); err != nil {
		return "", "", err
	}
	return subject, b.String(), nil
}

// shelf is what libraries are made from: the built-in texts, the operator's folder and settings.
type shelf struct {
	settings  *Settings
	siteURL   string
	fallback  language.Tag                       // POSTERN_MAILER_DEFAULT_LANGUAGE
	offered   []language.Tag                     // POSTERN_MAILER_LANGUAGES
	builtin   []language.Tag                     // languages of the built-in texts
	files     map[language.Tag]map[string]string // of the folder: language, name of the file, its path
	kindNames map[string]kind
	log       *slog.Logger
}

// newShelf reads the settings about languages. Errors: a text that is no language, a folder that cannot
// be read.
func newShelf(s *Settings, siteURL string, log *slog.Logger) (*shelf, error) {
	b := &shelf{settings: s, siteURL: siteURL, kindNames: kinds(), log: log}
	var err error
	if b.fallback, err = language.Parse(defaultLanguage(s)); err != nil {
		return nil, fmt.Errorf("POSTERN_MAILER_DEFAULT_LANGUAGE is %q: not a language tag such as en or pt-BR", s.DefaultLanguage)
	}
	for _, name := range s.Languages {
		tag, err := language.Parse(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("POSTERN_MAILER_LANGUAGES holds %q: not a language tag such as en or pt-BR", name)
		}
		b.offered = append(b.offered, tag)
	}
	folders, err := fs.ReadDir(builtinFiles, "templates")
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		if folder.IsDir() {
			b.builtin = append(b.builtin, language.Make(folder.Name()))
		}
	}
	if b.files, err = b.readDir(s.TemplatesDir); err != nil {
		return nil, fmt.Errorf("POSTERN_MAILER_TEMPLATES_DIR: %w", err)
	}
	return b, nil
}

func defaultLanguage(s *Settings) string {
	if s.DefaultLanguage == "" {
		return "en"
	}
	return s.DefaultLanguage
}

// readDir lists the operator's folder. Dot files are passed over, other files without a meaning are logged.
func (b *shelf) readDir(dir string) (map[language.Tag]map[string]string, error) {
	files := map[language.Tag]map[string]string{}
	if dir == "" {
		return files, nil
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		return nil, err
	}
	if _, err := os.ReadDir(dir); err != nil {
		return nil, err
	}
	for _, path := range paths {
		folder, name := filepath.Base(filepath.Dir(path)), filepath.Base(path)
		if strings.HasPrefix(folder, ".") || strings.HasPrefix(name, ".") {
			continue
		}
		tag, err := language.Parse(folder)
		suffix := filepath.Ext(name)
		_, isKind := b.kindNames[strings.TrimSuffix(name, suffix)]
		if err != nil || !isKind || suffix != bodySuffix && suffix != subjectSuffix {
			b.log.Warn("POSTERN_MAILER_TEMPLATES_DIR holds a file that is not LANGUAGE/KIND.html or LANGUAGE/KIND.subject", "file", path)
			continue
		}
		if files[tag] == nil {
			files[tag] = map[string]string{}
		}
		files[tag][name] = path
	}
	return files, nil
}

// library puts the editions of a kind together. The languages are those that the operator has a body in
// and the default one; where there is no such body, those of the built-in texts.
func (b *shelf) library(name string, k kind) (*library, error) {
	subjectText, setting := k.custom(b.settings)
	subject := b.parseSubject(name, subjectText)
	bodies := b.bodies(name, setting)
	tags := []language.Tag{b.fallback}
	if bodies[b.fallback] == "" {
		tags[0] = b.related(b.fallback)
	}
	for tag := range bodies {
		tags = append(tags, tag)
	}
	for _, tag := range b.builtin {
		// A subject for all languages is a subject for one: the default.
		if len(bodies) == 0 && (subject == nil || b.files[tag][name+subjectSuffix] != "") {
			tags = append(tags, tag)
		}
	}
	l := &library{editions: map[language.Tag]edition{}}
	var offered []language.Tag
	for i, tag := range tags {
		if _, ok := l.editions[tag]; ok || i > 0 && !b.isOffered(tag) {
			continue
		}
		builtin, err := b.builtinText(name, tag)
		if err != nil {
			return nil, err
		}
		l.editions[tag] = edition{tag, builtin, subject, b.files[tag][name+subjectSuffix], bodies[tag]}
		offered = append(offered, tag)
	}
	slices.SortFunc(offered[1:], func(a, b language.Tag) int { return strings.Compare(a.String(), b.String()) })
	l.choice = newChoice(offered)
	b.warn(name, l)
	return l, nil
}

// warn logs what an operator has probably forgotten.
func (b *shelf) warn(name string, l *library) {
	for tag, files := range b.files {
		e, ok := l.editions[tag]
		switch {
		case !ok && files[name+subjectSuffix]+files[name+bodySuffix] != "":
			b.log.Warn("a mail text is not used: its language is not offered, or it is a subject without a body",
				"mail", name, "language", tag)
		case ok && e.bodyAt != "" && e.subjectAt == "" && e.subject == nil && base(e.builtin.tag) != base(tag):
			b.log.Warn("a mail text has no subject in its language", "mail", name, "language", tag)
		}
	}
}

func base(tag language.Tag) language.Base {
	b, _ := tag.Base()
	return b
}

// isOffered tells whether POSTERN_MAILER_LANGUAGES allows a language: it names it, or a regional form of it.
func (b *shelf) isOffered(tag language.Tag) bool {
	for _, offered := range b.offered {
		for ; offered != language.Und; offered = offered.Parent() {
			if offered == tag {
				return true
			}
		}
	}
	return len(b.offered) == 0
}

// related returns the language of the built-in texts that suits a language best, English where none does.
func (b *shelf) related(tag language.Tag) language.Tag {
	return newChoice(append([]language.Tag{language.English}, b.builtin...)).pick([]string{tag.String()})
}

// bodies returns the sources of the operator's bodies of a kind by language. A file wins over a URL.
func (b *shelf) bodies(name, setting string) map[language.Tag]string {
	bodies := map[language.Tag]string{}
	url := setting
	if setting != "" && !strings.HasPrefix(setting, "http") {
		url = strings.TrimSuffix(b.siteURL, "/") + "/" + strings.TrimPrefix(setting, "/")
	}
	switch {
	case setting == "":
	case !strings.Contains(url, placeholder):
		bodies[b.fallback] = url
	default:
		languages := b.offered
		if len(languages) == 0 {
			languages = b.builtin
		}
		for _, tag := range append(slices.Clone(languages), b.fallback) {
			bodies[tag] = strings.ReplaceAll(url, placeholder, tag.String())
		}
	}
	for tag, files := range b.files {
		if path := files[name+bodySuffix]; path != "" {
			bodies[tag] = path
		}
	}
	return bodies
}

// parseSubject parses the subject of a setting. One that cannot be parsed is logged, and not used.
func (b *shelf) parseSubject(name, subject string) *template.Template {
	if subject == "" {
		return nil
	}
	parsed, err := template.New("subject").Parse(subject)
	if err != nil {
		b.log.Warn("the subject of a mail is no valid template, the built-in one is used", "mail", name, "error", err)
		return nil
	}
	return parsed
}

// builtinText parses the built-in text of a kind in a language: in a related one, else in English, where
// there is none. Layout and phrases know the texts of the kind as templates title, content and so on.
func (b *shelf) builtinText(name string, tag language.Tag) (text, error) {
	related := b.related(tag)
	folder := "templates/" + related.String() + "/"
	parse := func() (*template.Template, error) {
		return template.ParseFS(builtinFiles, "templates/layout.html", folder+"phrases.html", folder+name+bodySuffix)
	}
	body, err1 := parse()
	subjects, err2 := parse() // a set of its own: the parts are escaped for the place where they stand
	if err := errors.Join(err1, err2); err != nil {
		return text{}, fmt.Errorf("built-in mail %s: %w", name, err)
	}
	return text{related, subjects.Lookup("subject"), body.Lookup("layout.html")}, nil
}
