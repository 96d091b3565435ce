package mail

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Mailer renders and sends mails. It is safe for concurrent use.
type Mailer struct {
	settings  Settings
	siteURL   string
	host      string // of the external URL: the EHLO name, and the domain of message ids
	from      mail.Address
	headers   map[string][]string
	libraries map[string]*library
	kinds     map[string]kind
	templates *cache
	log       *slog.Logger
	relays    []*relay // in the order of preference
	sources   []string // of the operator's texts
}

// Request asks for one mail.
type Request struct {
	// ID names the mail: the same at every attempt, so that the message id is, and a receiver can
	// drop a second copy.
	ID string
	// Template is the kind of mail, such as "magic_link"; see postern_internal.queue_mail().
	Template string
	// To is the address of the recipient, without a name.
	To string
	// Payload is the JSON object of variables that queue_mail() was given.
	Payload []byte
}

// Message is one mail, ready to be sent. Language is the tag of the language of its text.
type Message struct {
	ID, Type, To, From, Language, Subject, HTML, Text string
}

// PermanentError is a failure that trying again does not mend: the server answered 5xx to the sender,
// the recipient or the message, or there is no such mail or address.
type PermanentError struct{ err error }

func (e *PermanentError) Error() string { return e.err.Error() }
func (e *PermanentError) Unwrap() error { return e.err }

// New prepares a Mailer. siteURL is the base of relative template settings and the default of
// variable SiteURL; the host of externalURL greets the SMTP server; client fetches templates. Mistakes in subjects and extra
// headers are logged, not returned: a server that worked with them must start.
// Errors: what the settings that begin with POSTERN_ say about languages and files is wrong.
func New(s Settings, siteURL, externalURL string, client *http.Client, log *slog.Logger) (*Mailer, error) {
	m := &Mailer{
		settings:  s,
		siteURL:   siteURL,
		host:      hostOf(externalURL),
		libraries: map[string]*library{},
		kinds:     kinds(),
		templates: newCache(&s, client, log),
		log:       log,
	}
	m.from = mail.Address{Name: s.SenderName, Address: s.AdminEmail}
	if _, err := mail.ParseAddress(s.AdminEmail); err != nil {
		m.from.Address = "noreply@" + m.host
		if s.Host != "" {
			log.Warn("GOTRUE_SMTP_ADMIN_EMAIL is not an address", "used_instead", m.from.Address)
		}
	}
	m.headers = extraHeaders(s.Headers, log)
	if err := m.readTexts(); err != nil {
		return nil, err
	}
	m.relays = newRelays(s, m.host)
	if len(m.relays) == 0 && s.FallbackHost != "" {
		log.Warn("POSTERN_SMTP_FALLBACK_HOST is set without GOTRUE_SMTP_HOST: no mail is sent")
	}
	return m, nil
}

// readTexts finds the texts of all kinds, and reads those that are files.
func (m *Mailer) readTexts() error {
	b, err := newShelf(&m.settings, m.siteURL, m.log)
	if err != nil {
		return err
	}
	for _, name := range Kinds() {
		if m.libraries[name], err = b.library(name, m.kinds[name]); err != nil {
			return err
		}
	}
	for _, l := range m.libraries {
		for _, e := range l.editions {
			m.sources = append(m.sources, e.sources()...)
		}
	}
	slices.Sort(m.sources)
	m.sources = slices.Compact(m.sources)
	for _, source := range m.sources {
		if strings.HasPrefix(source, "http") {
			continue
		}
		if err := m.templates.preload(source); err != nil {
			return fmt.Errorf("POSTERN_MAILER_TEMPLATES_DIR: %s: %w", source, err)
		}
	}
	return nil
}

// Refresh begins to load the operator's templates that are new or will soon be too old, if
// GOTRUE_MAILER_TEMPLATE_RELOADING_ENABLED is on. It does not wait; call it every second or so.
func (m *Mailer) Refresh(now time.Time) { m.templates.refresh(now, m.sources) }

// extraHeaders reads GOTRUE_SMTP_HEADERS, without the headers that every mail has from us.
func extraHeaders(setting string, log *slog.Logger) map[string][]string {
	if setting == "" {
		return nil
	}
	headers := map[string][]string{}
	if err := json.Unmarshal([]byte(setting), &headers); err != nil {
		log.Warn("GOTRUE_SMTP_HEADERS is not a JSON object of string lists, it is ignored", "error", err)
		return nil
	}
	for name := range headers {
		switch strings.ToLower(name) {
		case "from", "to", "cc", "bcc", "subject", "date", "message-id", "mime-version",
			"content-type", "content-transfer-encoding":
		default:
			if name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
				continue
			}
		}
		log.Warn("GOTRUE_SMTP_HEADERS names a header that cannot be set", "header", name)
		delete(headers, name)
	}
	return headers
}

// hostOf returns the host name of a URL without its port, "localhost" if it has none.
func hostOf(rawURL string) string {
	if u, err := url.Parse(rawURL); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "localhost"
}

// Deliver renders and sends mails, and returns an error or nil for each, as [Mailer.Send] does. Mails
// whose template has yet to be loaded for the first time go last, so that they hold up no others.
func (m *Mailer) Deliver(ctx context.Context, requests []Request) []error {
	errs := make([]error, len(requests))
	if len(m.relays) == 0 {
		return errs
	}
	var ready, late []int
	for i, r := range requests {
		if m.isReady(r) {
			ready = append(ready, i)
		} else {
			late = append(late, i)
		}
	}
	m.deliver(ctx, requests, ready, errs)
	m.deliver(ctx, requests, late, errs)
	return errs
}

// deliver does that for the requests at some places.
func (m *Mailer) deliver(ctx context.Context, requests []Request, places []int, errs []error) {
	var messages []Message
	var at []int // where the request of a message is
	for _, i := range places {
		message, err := m.Render(ctx, requests[i])
		if err != nil {
			errs[i] = err
			continue
		}
		messages, at = append(messages, message), append(at, i)
	}
	for i, err := range m.Send(ctx, messages) {
		errs[at[i]] = err
	}
}

// isReady tells whether a mail can be rendered without waiting for a template. If not, loading begins.
func (m *Mailer) isReady(r Request) bool {
	isReady := true
	if e, _, err := m.edition(r); err == nil {
		for _, source := range e.sources() {
			isReady = m.templates.isReady(source) && isReady
		}
	}
	return isReady
}

// edition returns what a mail is made from, in the language of its reader, and the variables for it.
func (m *Mailer) edition(r Request) (edition, map[string]any, error) {
	l, known := m.libraries[r.Template]
	if !known {
		return edition{}, nil, &PermanentError{fmt.Errorf("there is no mail template %q", r.Template)}
	}
	vars, languages, err := m.variables(r.Payload)
	if err != nil {
		return edition{}, nil, &PermanentError{fmt.Errorf("payload of a mail: %w", err)}
	}
	return l.editions[l.choice.pick(languages)], vars, nil
}

// Render makes the message that a request asks for, from the operator's templates or the built-in
// ones. It may wait for a template, for 10 s at most.
func (m *Mailer) Render(ctx context.Context, r Request) (Message, error) {
	e, vars, err := m.edition(r)
	if err != nil {
		return Message{}, err
	}
	t := e.text(ctx, m.templates)
	subject, html, err := t.render(vars)
	if err != nil {
		m.log.Warn("a mail template failed, the built-in text is used", "mail", r.Template, "error", err)
		t = e.builtin
		if subject, html, err = t.render(vars); err != nil {
			return Message{}, fmt.Errorf("built-in text of mail %s: %w", r.Template, err)
		}
	}
	return Message{
		ID:       r.ID,
		Type:     m.kinds[r.Template].linkType,
		To:       r.To,
		From:     m.from.String(),
		Language: t.tag.String(),
		Subject:  oneLine(subject),
		HTML:     html,
		Text:     plainText(html),
	}, nil
}

// variables turns a payload into what templates see (spec/06 section 7.1): its keys in the names of
// the templates, and Data, the user metadata, always an object. It also returns the reader's languages.
func (m *Mailer) variables(payload []byte) (vars map[string]any, languages []string, err error) {
	var p struct {
		Email           string `json:"email"`
		NewEmail        string `json:"new_email"`
		SendingTo       string `json:"sending_to"`
		Token           string `json:"token"`
		TokenHash       string `json:"token_hash"`
		RedirectTo      string `json:"redirect_to"`
		SiteURL         string `json:"site_url"`
		ConfirmationURL string `json:"confirmation_url"`
		OldEmail        string `json:"old_email"`
		Phone           string `json:"phone"`
		OldPhone        string `json:"old_phone"`
		Provider        string `json:"provider"`
		FactorType      string `json:"factor_type"`
		Data            any    `json:"data"`

		Languages []string `json:"languages"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil, nil, err
	}
	if p.SiteURL == "" {
		p.SiteURL = m.siteURL
	}
	data, _ := p.Data.(map[string]any) // nil or not, templates may look into it
	return map[string]any{
		"Email": p.Email, "NewEmail": p.NewEmail, "SendingTo": p.SendingTo,
		"Token": p.Token, "TokenHash": p.TokenHash, "RedirectTo": p.RedirectTo,
		"SiteURL": p.SiteURL, "ConfirmationURL": p.ConfirmationURL, "Data": data,
		"OldEmail": p.OldEmail, "Phone": p.Phone, "OldPhone": p.OldPhone,
		"Provider": p.Provider, "FactorType": p.FactorType,
	}, p.Languages, nil
}

// oneLine replaces what could end a header line by a space.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
