package mail

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// commandTimeout bounds each step at the SMTP server: connecting, the greetings, AUTH, one mail.
const commandTimeout = 10 * time.Second

// ErrNotTried marks a mail that was not attempted because the context had ended.
var ErrNotTried = errors.New("not tried")

// Send hands messages to the SMTP server over one connection, and returns an error or nil for each:
// a [PermanentError], [ErrNotTried], or a failure that may pass. Without a server every mail counts
// as sent. When ctx ends, the mail on the wire is finished (10 s at most), the others are not tried.
func (m *Mailer) Send(ctx context.Context, messages []Message) []error {
	errs := make([]error, len(messages))
	if m.settings.Host == "" {
		return errs
	}
	var c *connection
	defer func() { c.close() }()
	for i, message := range messages {
		if ctx.Err() != nil {
			errs[i] = ErrNotTried
			continue
		}
		wire, err := m.encode(message)
		if err != nil {
			errs[i] = &PermanentError{err}
			continue
		}
		if c == nil {
			if c, err = m.smtp.dial(ctx); err != nil {
				for j := range errs[i:] {
					errs[i+j] = fmt.Errorf("connecting to the SMTP server: %w", err)
				}
				break
			}
		}
		var broken bool
		if broken, errs[i] = c.send(wire); broken {
			c.close()
			c = nil
		}
		if m.settings.LoggingEnabled && errs[i] == nil {
			m.log.Info("mail.send", "mail_type", message.Type, "mail_from", m.from.Address, "mail_to", message.To)
		}
	}
	return errs
}

// encode builds the MIME message: multipart/alternative of plain text and HTML.
func (m *Mailer) encode(message Message) (*gomail.Msg, error) {
	to, err := mail.ParseAddress(message.To)
	if err != nil || to.Name != "" {
		return nil, errors.New("the recipient is not a mail address")
	}
	wire := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	for name, values := range m.headers {
		filled := make([]string, len(values))
		for i, v := range values {
			filled[i] = oneLine(strings.ReplaceAll(v, "$messageType", message.Type))
		}
		wire.SetGenHeader(gomail.Header(name), filled...)
	}
	from := m.from
	wire.FromMailAddress(&from)
	wire.ToMailAddress(to)
	wire.Subject(oneLine(message.Subject))
	wire.SetDate()
	id := sha256.Sum256([]byte(message.ID))
	wire.SetMessageIDWithValue(hex.EncodeToString(id[:16]) + "@" + m.host)
	wire.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies, please
	wire.SetBodyString(gomail.TypeTextPlain, message.Text)
	wire.AddAlternativeString(gomail.TypeTextHTML, message.HTML)
	return wire, nil
}

// dialer knows how to reach the SMTP server.
type dialer struct {
	host, user, pass, hello string
	port                    int
	implicitTLS             bool
	tls                     *tls.Config
}

func newDialer(s Settings, hello string) dialer {
	if ip := net.ParseIP(hello); ip != nil {
		hello = "[" + hello + "]" // RFC 5321 section 4.1.3
		if ip.To4() == nil {
			hello = "[IPv6:" + ip.String() + "]"
		}
	}
	return dialer{
		host: s.Host, port: s.Port, user: s.User, pass: s.Pass, hello: hello,
		implicitTLS: s.Port == 465,
		tls:         &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12},
	}
}

// connection is an SMTP session after the greetings, TLS and AUTH.
type connection struct {
	client  *gomail.Client
	session *smtp.Client
	conn    net.Conn
}

// dial opens a session. It gives up when ctx ends.
func (d dialer) dial(ctx context.Context) (*connection, error) {
	c := &connection{}
	release := func() bool { return true }
	connect := func(dialCtx context.Context, network, address string) (net.Conn, error) {
		var err error
		if c.conn, err = d.connect(dialCtx, network, address); err == nil {
			release = context.AfterFunc(ctx, func() { _ = c.conn.Close() })
		}
		return c.conn, err
	}
	var err error
	c.client, err = gomail.NewClient(d.host, gomail.WithPort(d.port), gomail.WithHELO(d.hello),
		gomail.WithTimeout(commandTimeout), gomail.WithTLSPolicy(gomail.TLSOpportunistic),
		gomail.WithTLSConfig(d.tls), gomail.WithDialContextFunc(connect),
		gomail.WithoutNoop(), gomail.WithoutRset())
	if err != nil {
		return nil, err
	}
	if c.session, err = c.client.DialToSMTPClientWithContext(ctx); err == nil {
		err = d.authenticate(c.session)
	}
	release()
	if err != nil && c.conn != nil {
		_ = c.conn.Close()
	}
	if ctx.Err() != nil {
		err = ErrNotTried
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// connect opens the network connection.
func (d dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if d.implicitTLS {
		return (&tls.Dialer{Config: d.tls}).DialContext(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// authenticate logs in if the server offers AUTH: CRAM-MD5, else LOGIN if PLAIN is missing, else
// PLAIN. The last two send the password, so they need TLS or a server on this machine.
func (d dialer) authenticate(session *smtp.Client) error {
	offered, mechanisms := session.Extension("AUTH")
	if d.user == "" || !offered {
		return nil
	}
	if err := session.UpdateDeadline(commandTimeout); err != nil {
		return err
	}
	names := strings.Fields(strings.ToUpper(mechanisms))
	auth := smtp.PlainAuth("", d.user, d.pass, d.host, false)
	switch {
	case slices.Contains(names, "CRAM-MD5"):
		auth = smtp.CRAMMD5Auth(d.user, d.pass)
	case slices.Contains(names, "LOGIN") && !slices.Contains(names, "PLAIN"):
		auth = smtp.LoginAuth(d.user, d.pass, d.host, false)
	}
	if err := session.Auth(auth); err != nil {
		return fmt.Errorf("SMTP AUTH: %w", err)
	}
	return nil
}

// send transmits one mail. broken reports that the connection cannot be used any more.
func (c *connection) send(wire *gomail.Msg) (broken bool, err error) {
	err = c.client.SendWithSMTPClient(c.session, wire)
	var failure *gomail.SendError
	switch {
	case err == nil:
		return false, nil
	case wire.IsDelivered():
		return true, nil
	case !errors.As(err, &failure):
		return true, err
	}
	code := failure.ErrorCode()
	broken = code == 0 || code == 421
	switch failure.Reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
		if code >= 500 {
			return broken, &PermanentError{err}
		}
	}
	return broken, err
}

// close says good-bye, if the server still listens.
func (c *connection) close() {
	if c == nil {
		return
	}
	if c.session.UpdateDeadline(time.Second) == nil {
		_ = c.session.Quit()
	}
	_ = c.conn.Close()
}
