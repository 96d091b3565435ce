package apitest

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// SMTPOptions says what kind of mail server a sink is.
type SMTPOptions struct {
	STARTTLS    bool     // offer STARTTLS
	ImplicitTLS bool     // speak TLS from the start
	Mechanisms  []string // AUTH to offer: PLAIN, LOGIN, CRAM-MD5; also without TLS
	User, Pass  string   // what AUTH accepts
	Addr        string   // where to listen; default a free port of 127.0.0.1
}

// SMTPSink is a mail server that keeps what it receives.
type SMTPSink struct {
	Host  string
	Port  int
	Roots *x509.CertPool // verifies its certificate, if it speaks TLS

	options SMTPOptions
	mu      sync.Mutex
	mails   []Mail
	arrived chan struct{} // closed and replaced at each arrival
	taken   map[int]bool  // by Take
	onRcpt  func(to string) error
	conns   int
}

// Mail is one mail as a sink received it.
type Mail struct {
	From    string // envelope
	To      string // envelope
	Subject string // decoded
	HTML    string
	Text    string
	Header  mail.Header
	Hello   string // the name the client greeted with
	User    string // whom AUTH let in
	TLS     bool
	Raw     []byte
}

// NewSMTPSink starts a mail server that stops when the test ends.
func NewSMTPSink(t testing.TB, options SMTPOptions) *SMTPSink {
	t.Helper()
	s := &SMTPSink{options: options, arrived: make(chan struct{}), taken: map[int]bool{}}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &smtpSession{sink: s, conn: c}, nil
	}))
	server.Domain, server.AllowInsecureAuth, server.EnableSMTPUTF8 = "sink", true, true
	server.ErrorLog = log.New(io.Discard, "", 0)
	if options.Addr == "" {
		options.Addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", options.Addr)
	if err != nil {
		t.Fatalf("mail server: %v", err)
	}
	address := l.Addr().(*net.TCPAddr)
	s.Host, s.Port = address.IP.String(), address.Port
	l = countingListener{l, s}
	if options.STARTTLS || options.ImplicitTLS {
		config := s.certificate()
		if options.STARTTLS {
			server.TLSConfig = config
		} else {
			l = tls.NewListener(l, config)
		}
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// countingListener counts the connections to a sink.
type countingListener struct {
	net.Listener
	sink *SMTPSink
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.sink.mu.Lock()
		defer l.sink.mu.Unlock()
		l.sink.conns++
	}
	return c, err
}

// certificate borrows the certificate for 127.0.0.1 that package httptest has.
func (s *SMTPSink) certificate() *tls.Config {
	h := httptest.NewTLSServer(nil)
	defer h.Close()
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(h.Certificate())
	return &tls.Config{Certificates: h.TLS.Certificates}
}

// OnRcpt sets what the server answers to a recipient: nil accepts it, a *smtp.SMTPError is sent.
func (s *SMTPSink) OnRcpt(f func(to string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRcpt = f
}

// Mails returns what has arrived so far, in order.
func (s *SMTPSink) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Connections returns how many connections were opened.
func (s *SMTPSink) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// WaitFor waits until n mails have arrived in all, and returns them.
func (s *SMTPSink) WaitFor(t testing.TB, n int) []Mail {
	t.Helper()
	s.wait(t, func() bool { return len(s.mails) >= n })
	return s.Mails()
}

// Take waits for a mail to an address and removes it from what further calls see.
func (s *SMTPSink) Take(t testing.TB, to string) Mail {
	t.Helper()
	var found Mail
	s.wait(t, func() bool {
		for i, m := range s.mails {
			if m.To == to && !s.taken[i] {
				found, s.taken[i] = m, true
				return true
			}
		}
		return false
	})
	return found
}

// wait blocks until ok, which is called with the lock held, 20 s at most.
func (s *SMTPSink) wait(t testing.TB, ok func() bool) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		done, arrived := ok(), s.arrived
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-arrived:
		case <-late:
			t.Fatalf("the mail did not arrive within 20 s; %d others did", len(s.Mails()))
		}
	}
}

// smtpSession is one connection to a sink.
type smtpSession struct {
	sink *SMTPSink
	conn *smtp.Conn
	mail Mail
	user string
}

func (s *smtpSession) Reset()        { s.mail = Mail{} }
func (s *smtpSession) Logout() error { return nil }
func (s *smtpSession) check() (bool, error) {
	_, isTLS := s.conn.TLSConnectionState()
	if len(s.sink.options.Mechanisms) > 0 && s.user == "" {
		return isTLS, smtp.ErrAuthRequired
	}
	return isTLS, nil
}

func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	isTLS, err := s.check()
	s.mail = Mail{From: from, TLS: isTLS, User: s.user, Hello: s.conn.Hostname()}
	return err
}

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = to
	s.sink.mu.Lock()
	f := s.sink.onRcpt
	s.sink.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(to)
}

func (s *smtpSession) Data(r io.Reader) error {
	m := s.mail
	var err error
	if m.Raw, err = io.ReadAll(r); err != nil {
		return err
	}
	if err := m.parse(); err != nil {
		return err
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.mails = append(s.sink.mails, m)
	close(s.sink.arrived)
	s.sink.arrived = make(chan struct{})
	return nil
}

// parse reads header and parts out of Raw.
func (m *Mail) parse() error {
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		return err
	}
	m.Header = parsed.Header
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return err
	}
	return m.part(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), parsed.Body)
}

// part reads a part of the body, and the parts in it.
func (m *Mail) part(contentType, encoding string, body io.Reader) error {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return err
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := m.part(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	content, err := io.ReadAll(body)
	if mediaType == "text/html" {
		m.HTML = string(content)
	} else {
		m.Text = string(content)
	}
	return err
}

func (s *smtpSession) AuthMechanisms() []string { return s.sink.options.Mechanisms }

func (s *smtpSession) Auth(mechanism string) (sasl.Server, error) {
	o := s.sink.options
	accept := func(ok bool, user string) error {
		if !ok {
			return smtp.ErrAuthFailed
		}
		s.user = mechanism + ":" + user
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, pass string) error {
			return accept(user == o.User && pass == o.Pass, user)
		}), nil
	case sasl.Login:
		var answers []string
		return saslSteps(func(response []byte) ([]byte, bool, error) {
			if response != nil {
				answers = append(answers, string(response))
			}
			if len(answers) < 2 {
				return []byte([]string{"Username:", "Password:"}[len(answers)]), false, nil
			}
			return nil, true, accept(answers[0] == o.User && answers[1] == o.Pass, answers[0])
		}), nil
	case "CRAM-MD5":
		const challenge = "<1.2@sink>"
		return saslSteps(func(response []byte) ([]byte, bool, error) {
			if response == nil {
				return []byte(challenge), false, nil
			}
			mac := hmac.New(md5.New, []byte(o.Pass))
			mac.Write([]byte(challenge))
			want := o.User + " " + hex.EncodeToString(mac.Sum(nil))
			return nil, true, accept(string(response) == want, o.User)
		}), nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// saslSteps is a SASL mechanism given by its function Next.
type saslSteps func(response []byte) (challenge []byte, done bool, err error)

func (f saslSteps) Next(response []byte) ([]byte, bool, error) { return f(response) }
