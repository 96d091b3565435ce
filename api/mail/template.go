package mail

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:embed templates/*.html
var builtinFiles embed.FS

// fetchTimeout bounds the loading of one template.
const fetchTimeout = 10 * time.Second

// text is how one kind of mail reads: subject and body, both with the escaping of HTML.
type text struct {
	subject, body *template.Template
}

// library holds the texts of one kind: the built-in one, and the operator's as it was last loaded.
type library struct {
	builtin text
	subject *template.Template // the operator's, or the built-in one
	url     string             // of the operator's body; empty: there is none

	mu      sync.Mutex // held while loading, so that a template is loaded once
	loaded  text       // the operator's; the zero value until it could be loaded
	loadDue time.Time  // when to load (again)
}

// newLibrary parses the built-in text of a kind and the operator's subject. A subject that cannot be
// parsed is logged, and the built-in one is used.
func newLibrary(name string, k kind, s *Settings, siteURL string, log *slog.Logger) (*library, error) {
	body, err := template.ParseFS(builtinFiles, "templates/layout.html", "templates/"+name+".html")
	if err != nil {
		return nil, fmt.Errorf("built-in mail %s: %w", name, err)
	}
	builtinSubject, err := template.New("subject").Parse(k.subject)
	if err != nil {
		return nil, fmt.Errorf("built-in subject of mail %s: %w", name, err)
	}
	l := &library{builtin: text{builtinSubject, body}, subject: builtinSubject}
	subject, url := k.custom(s)
	if subject != "" {
		parsed, err := template.New("subject").Parse(subject)
		if err != nil {
			log.Warn("the subject of a mail is no valid template, the built-in one is used", "mail", name, "error", err)
		} else {
			l.subject = parsed
		}
	}
	switch {
	case url == "":
	case strings.HasPrefix(url, "http"):
		l.url = url
	default:
		l.url = strings.TrimSuffix(siteURL, "/") + "/" + strings.TrimPrefix(url, "/")
	}
	return l, nil
}

// text returns the text to use now. It loads the operator's template when that is due; on failure
// the previous version stays in use, and without one the built-in subject and body.
func (l *library) text(ctx context.Context, m *Mailer) text {
	if l.url == "" {
		return text{l.subject, l.builtin.body}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().After(l.loadDue) {
		body, err := m.fetch(ctx, l.url)
		if err == nil {
			l.loaded = text{l.subject, body}
			l.loadDue = time.Now().Add(m.settings.TemplateMaxAge)
		} else {
			m.log.Warn("a mail template could not be loaded", "url", l.url, "error", err)
			l.loadDue = time.Now().Add(m.settings.TemplateRetryInterval)
		}
	}
	if l.loaded.body == nil {
		return l.builtin
	}
	return l.loaded
}

// fetch loads and parses the template at url: status 200, at most TemplateMaxSize bytes of it.
func (m *Mailer) fetch(ctx context.Context, url string) (*template.Template, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := m.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, m.settings.TemplateMaxSize))
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, errors.New("empty body")
	}
	return template.New("body").Parse(string(body))
}

// render fills subject and body in.
func (t text) render(vars map[string]any) (subject, body string, err error) {
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
