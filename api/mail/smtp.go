package mail

import (
	"cmp"
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
	"github.com/wneessen/go-mail/log"
	"github.com/wneessen/go-mail/smtp"
)

// commandTimeout bounds each step at the SMTP server: connecting, the greetings, AUTH, one mail.
const commandTimeout = 10 * time.Second

// ErrNotTried marks a mail that was not attempted because the context had ended.
var ErrNotTried = errors.New("not tried")

// Send hands messages to the SMTP server, all over one connection, and returns an error or nil for each:
// a [PermanentError], [ErrNotTried], or a failure that may pass. Without a server every mail counts
// as sent. When ctx ends, the mail on the wire is finished (10 s at most), the others are not tried.
//
// What the first server cannot take now goes to the second, if there is one: because it cannot be
// reached, does not let us in, or answers temporarily. What it refuses for good is refused; a refusal of
// the second is tried again. What one may have taken without saying so is not given to another.
func (m *Mailer) Send(ctx context.Context, messages []Message) []error {
	errs := make([]error, len(messages))
	if len(m.relays) == 0 {
		return errs
	}
	wires := make([]*gomail.Msg, len(messages))
	var open []int // what is still to be sent
	for i, message := range messages {
		if wires[i], errs[i] = m.encode(message); errs[i] != nil {
			errs[i] = &PermanentError{errs[i]}
			continue
		}
		open = append(open, i)
	}
	for n, r := range m.relays {
		isLast := n == len(m.relays)-1
		if len(open) == 0 || !isLast && r.isDown(time.Now()) {
			continue
		}
		open = m.sendOver(ctx, r, wires, open, errs)
		if !isLast && len(open) > 0 {
			m.log.Warn("an SMTP server does not take mails now, the next one gets them",
				"server", r.address(), "mails", len(open), "error", errs[open[0]])
		}
	}
	if m.settings.LoggingEnabled {
		for i, message := range messages {
			if errs[i] == nil {
				m.log.Info("mail.send", "mail_type", message.Type, "mail_from", m.from.Address, "mail_to", message.To)
			}
		}
	}
	return errs
}

// sendOver sends the open messages over one relay and returns those that another one may try. It keeps
// the error of an earlier relay beside its own.
func (m *Mailer) sendOver(ctx context.Context, r *relay, wires []*gomail.Msg, open []int, errs []error) (left []int) {
	var c *connection
	defer func() { c.close() }()
	for n, i := range open {
		if ctx.Err() != nil {
			errs[i] = cmp.Or(errs[i], ErrNotTried)
			continue
		}
		if c == nil {
			var err error
			if c, err = r.dial(ctx, nil); err != nil {
				r.setDown(time.Now(), err)
				for _, i := range open[n:] {
					errs[i] = both(errs[i], fmt.Errorf("connecting to the SMTP server %s: %w", r.address(), err))
				}
				return append(left, open[n:]...)
			}
		}
		isBroken, err := c.send(wires[i])
		if isBroken {
			c.close()
			c = nil
		}
		var permanent *PermanentError
		isPermanent := errors.As(err, &permanent)
		switch {
		case err == nil:
			errs[i] = nil
			continue
		case isPermanent && !r.isFirst:
			err = errors.New(err.Error()) // the first may see it otherwise, when it is back
		case !isPermanent && !errors.Is(err, errUncertain):
			left = append(left, i)
		}
		errs[i] = both(errs[i], err)
	}
	return left
}

// both joins the errors of two relays. The verdict is that of the first: its refusal for now means that the
// mail may still be sent, whatever the second says.
func both(first, second error) error {
	if first == nil {
		return second
	}
	return fmt.Errorf("%w; then: %v", first, second)
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

// connection is an SMTP session after the greetings, TLS and AUTH.
type connection struct {
	client  *gomail.Client
	session *smtp.Client
	conn    net.Conn
	auth    string // the mechanism that let us in; empty: none
}

// dial opens a session. It gives up when ctx ends. trace, if not nil, gets what is said.
func (r *relay) dial(ctx context.Context, trace log.Logger) (*connection, error) {
	c := &connection{}
	release := func() bool { return true }
	connect := func(dialCtx context.Context, network, address string) (net.Conn, error) {
		var err error
		if c.conn, err = r.connect(dialCtx, network, address); err == nil {
			release = context.AfterFunc(ctx, func() { _ = c.conn.Close() })
		}
		return c.conn, err
	}
	var err error
	c.client, err = gomail.NewClient(r.host, gomail.WithPort(r.port), gomail.WithHELO(r.hello),
		gomail.WithTimeout(commandTimeout), gomail.WithTLSPolicy(gomail.TLSOpportunistic),
		gomail.WithTLSConfig(r.tls), gomail.WithDialContextFunc(connect),
		gomail.WithoutNoop(), gomail.WithoutRset())
	if err != nil {
		return nil, err
	}
	if trace != nil {
		c.client.SetLogger(trace)
		c.client.SetDebugLog(true)
	}
	if c.session, err = c.client.DialToSMTPClientWithContext(ctx); err == nil {
		c.auth, err = r.authenticate(c.session)
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
func (r *relay) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if r.implicitTLS {
		return (&tls.Dialer{Config: r.tls}).DialContext(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// authenticate logs in if the server offers AUTH, and returns the mechanism: CRAM-MD5, else LOGIN if
// PLAIN is missing, else PLAIN. The last two send the password, so they need TLS or a server on this machine.
func (r *relay) authenticate(session *smtp.Client) (mechanism string, err error) {
	offered, mechanisms := session.Extension("AUTH")
	if r.user == "" || !offered {
		return "", nil
	}
	if err := session.UpdateDeadline(commandTimeout); err != nil {
		return "", err
	}
	names := strings.Fields(strings.ToUpper(mechanisms))
	mechanism, auth := "PLAIN", smtp.PlainAuth("", r.user, r.pass, r.host, false)
	switch {
	case slices.Contains(names, "CRAM-MD5"):
		mechanism, auth = "CRAM-MD5", smtp.CRAMMD5Auth(r.user, r.pass)
	case slices.Contains(names, "LOGIN") && !slices.Contains(names, "PLAIN"):
		mechanism, auth = "LOGIN", smtp.LoginAuth(r.user, r.pass, r.host, false)
	}
	if err := session.Auth(auth); err != nil {
		return "", fmt.Errorf("SMTP AUTH %s: %w", mechanism, err)
	}
	return mechanism, nil
}

// errUncertain marks a mail that was sent to its end and not answered: the server may have it.
var errUncertain = errors.New("the server did not say whether it took the mail")

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
	if code == 0 && failure.Reason == gomail.ErrSMTPDataClose {
		return true, fmt.Errorf("%w: %w", errUncertain, err)
	}
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
