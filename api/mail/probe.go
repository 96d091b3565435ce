package mail

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/wneessen/go-mail/log"
)

// Report is what one SMTP server did with one mail.
type Report struct {
	Setting      string // that names the server: GOTRUE_SMTP_HOST or POSTERN_SMTP_FALLBACK_HOST
	Address      string // host:port
	TLS          string // version; empty: the mail went in the clear
	Auth         string // mechanism; empty: no login
	Answer       string // of a server that took the mail
	Conversation []string
	Took         time.Duration
	Err          error // as [Mailer.Send] returns it
}

// Probe sends a message over each configured server by itself, and tells how that went. Without a server
// there are no reports. Error: the message cannot be sent at all, such as one to no address.
func (m *Mailer) Probe(ctx context.Context, message Message) ([]Report, error) {
	if _, err := m.encode(message); err != nil {
		return nil, err
	}
	var reports []Report
	for _, r := range m.relays {
		report := Report{Setting: r.name, Address: r.address()}
		began := time.Now()
		report.Err = m.probe(ctx, r, message, &report)
		report.Took = time.Since(began)
		reports = append(reports, report)
	}
	return reports, nil
}

func (m *Mailer) probe(ctx context.Context, r *relay, message Message, report *Report) error {
	c, err := r.dial(ctx, (*transcript)(&report.Conversation))
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer c.close()
	report.TLS, report.Auth = c.tlsVersion(), c.auth
	wire, err := m.encode(message) // a message of its own for each server
	if err != nil {
		return err
	}
	_, err = c.send(wire)
	report.Answer = strings.TrimSpace(wire.ServerResponse())
	return err
}

// tlsVersion names the version of TLS in use, empty for none.
func (c *connection) tlsVersion() string {
	if conn, ok := c.conn.(*tls.Conn); ok {
		return tls.VersionName(conn.ConnectionState().Version)
	}
	if state, err := c.session.GetTLSConnectionState(); err == nil {
		return tls.VersionName(state.Version)
	}
	return ""
}

// transcript collects the lines of a conversation: "> " ours, "< " the server's. The library leaves out
// what would show a password.
type transcript []string

// Debugf takes the lines.
func (t *transcript) Debugf(l log.Log) {
	prefix := "< "
	if l.Direction == log.DirClientToServer {
		prefix = "> "
	}
	for line := range strings.SplitSeq(strings.TrimRight(fmt.Sprintf(l.Format, l.Messages...), "\r\n"), "\n") {
		*t = append(*t, prefix+line)
	}
}

// Infof and the others are not used by the library.
func (t *transcript) Infof(l log.Log)  { t.Debugf(l) }
func (t *transcript) Warnf(l log.Log)  { t.Debugf(l) }
func (t *transcript) Errorf(l log.Log) { t.Debugf(l) }

// Example asks for a mail of some kind with made-up contents, in a language (a tag; empty: the default).
// verifyURL returns where the link of a mail points, by its type: invite, signup, recovery, ...
func (m *Mailer) Example(kind, to, language string, verifyURL func(linkType string) string) (Request, error) {
	k, known := m.kinds[kind]
	if !known {
		return Request{}, fmt.Errorf("there is no mail %q: choose one of %s", kind, strings.Join(Kinds(), ", "))
	}
	const hash = "b2cf0a1d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5"
	link := ""
	if base := verifyURL(k.linkType); base != "" {
		link = base + "?token=" + hash + "&type=" + k.linkType + "&redirect_to=" + m.siteURL
	}
	payload, err := json.Marshal(map[string]any{
		"email": to, "new_email": "new-" + to, "sending_to": to, "token": "123456", "token_hash": hash,
		"redirect_to": m.siteURL, "site_url": m.siteURL, "confirmation_url": link,
		"old_email": "old-" + to, "phone": "15550100", "old_phone": "15550101",
		"provider": "github", "factor_type": "totp",
		"data": map[string]any{"name": "Ann Example"}, "languages": []string{language},
	})
	if err != nil {
		return Request{}, err
	}
	id := fmt.Sprintf("example of %s, %d", kind, time.Now().UnixNano())
	return Request{ID: id, Template: kind, To: to, Payload: payload}, nil
}
