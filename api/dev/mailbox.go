package dev

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// maxMessageBytes is more than any mail of an auth server.
const maxMessageBytes = 4 << 20

// Mailbox keeps the mails that its SMTP server receives in memory, whoever they are for.
type Mailbox struct {
	limit int // the oldest are forgotten beyond this many

	mu       sync.Mutex
	lastID   int
	messages []Message
	version  int           // counts changes
	changed  chan struct{} // closed at the next change
}

// NewMailbox returns an empty mailbox for at most limit messages.
func NewMailbox(limit int) *Mailbox {
	return &Mailbox{limit: limit, changed: make(chan struct{})}
}

// Messages returns what the mailbox holds, in order of arrival, and a channel that is closed at
// the next change.
func (b *Mailbox) Messages() ([]Message, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages), b.changed
}

// Add puts a message, as it came over the wire, into the mailbox.
func (b *Mailbox) Add(sender string, recipients []string, raw []byte) error {
	m, err := ParseMessage(raw)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastID++
	m.ID, m.ReceivedAt, m.Sender, m.Recipients = b.lastID, time.Now(), sender, recipients
	b.messages = append(b.messages, m)
	if len(b.messages) > b.limit {
		b.messages = slices.Clone(b.messages[1:])
	}
	b.announce()
	return nil
}

// Clear deletes all messages.
func (b *Mailbox) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = nil
	b.announce()
}

// Version returns a number that every change of the mailbox increases.
func (b *Mailbox) Version() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.version
}

// announce is called with the lock held.
func (b *Mailbox) announce() {
	b.version++
	close(b.changed)
	b.changed = make(chan struct{})
}

// ServeSMTP receives mails on l until ctx is done.
func (b *Mailbox) ServeSMTP(ctx context.Context, l net.Listener) error {
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &smtpSession{box: b}, nil
	}))
	server.Domain = "localhost"
	server.MaxMessageBytes = maxMessageBytes
	server.ErrorLog = quiet{}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); err != nil && !errors.Is(err, smtp.ErrServerClosed) {
		return err
	}
	return nil
}

// quiet drops what go-smtp would log: connections that clients cut.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// smtpSession is one connection of a client.
type smtpSession struct {
	box        *Mailbox
	sender     string
	recipients []string
}

func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	s.sender = from
	return nil
}

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.recipients = append(s.recipients, to)
	return nil
}

func (s *smtpSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return s.box.Add(s.sender, s.recipients, raw)
}

func (s *smtpSession) Reset()        { s.sender, s.recipients = "", nil }
func (s *smtpSession) Logout() error { return nil }
