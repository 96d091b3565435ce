package mail

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
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
	http      *http.Client
	log       *slog.Logger
	smtp      dialer
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

// Message is one mail, ready to be sent.
type Message struct {
	ID, Type, To, From, Subject, HTML, Text string
}

// PermanentError is a failure that trying again does not mend: the server answered 5xx to the sender,
// the recipient or the message, or there is no such mail or address.
type PermanentError struct{ err error }

func (e *PermanentError) Error() string { return e.err.Error() }
func (e *PermanentError) Unwrap() error { return e.err }

// New prepares a Mailer. siteURL is the base of relative template settings and the default of
// variable SiteURL; the host of externalURL greets the SMTP server. Mistakes in subjects and extra
// headers are logged, not returned: a server that worked with them must start.
func New(s Settings, siteURL, externalURL string, log *slog.Logger) (*Mailer, error) {
	m := &Mailer{
		settings:  s,
		siteURL:   siteURL,
		host:      hostOf(externalURL),
		libraries: map[string]*library{},
		kinds:     kinds(),
		http:      &http.Client{Timeout: fetchTimeout},
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
	for name, k := range m.kinds {
		var err error
		if m.libraries[name], err = newLibrary(name, k, &s, siteURL, log); err != nil {
			return nil, err
		}
	}
	m.smtp = newDialer(s, m.host)
	return m, nil
}

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

// Deliver renders and sends mails, and returns an error or nil for each, as [Mailer.Send] does.
func (m *Mailer) Deliver(ctx context.Context, requests []Request) []error {
	errs := make([]error, len(requests))
	if m.settings.Host == "" {
		return errs
	}
	var messages []Message
	var at []int // where the request of a message is
	for i, r := range requests {
		message, err := m.Render(ctx, r)
		if err != nil {
			errs[i] = err
			continue
		}
		messages, at = append(messages, message), append(at, i)
	}
	for i, err := range m.Send(ctx, messages) {
		errs[at[i]] = err
	}
	return errs
}

// Render makes the message that a request asks for, from the operator's templates or the built-in
// ones. It may fetch a template, for 10 s at most.
func (m *Mailer) Render(ctx context.Context, r Request) (Message, error) {
	k, known := m.kinds[r.Template]
	if !known {
		return Message{}, &PermanentError{fmt.Errorf("there is no mail template %q", r.Template)}
	}
	vars, err := m.variables(r.Payload)
	if err != nil {
		return Message{}, &PermanentError{fmt.Errorf("payload of a mail: %w", err)}
	}
	lib := m.libraries[r.Template]
	subject, html, err := lib.text(ctx, m).render(vars)
	if err != nil {
		m.log.Warn("a mail template failed, the built-in text is used", "mail", r.Template, "error", err)
		if subject, html, err = lib.builtin.render(vars); err != nil {
			return Message{}, fmt.Errorf("built-in text of mail %s: %w", r.Template, err)
		}
	}
	return Message{
		ID:      r.ID,
		Type:    k.linkType,
		To:      r.To,
		From:    m.from.String(),
		Subject: oneLine(subject),
		HTML:    html,
		Text:    plainText(html),
	}, nil
}

// variables turns a payload into what templates see (spec/06 section 7.1): its keys in the names of
// the templates, and Data, the user metadata, always an object.
func (m *Mailer) variables(payload []byte) (map[string]any, error) {
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
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil, err
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
	}, nil
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
