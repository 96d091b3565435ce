package mail_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/mail"
)

// mailer makes a Mailer for a sink, as an operator would configure it.
func mailer(t testing.TB, s mail.Settings) *mail.Mailer {
	t.Helper()
	if s.AdminEmail == "" {
		s.AdminEmail, s.SenderName = "noreply@example.com", "Example App"
	}
	if s.TemplateMaxSize == 0 {
		s.TemplateMaxSize = 1_000_000
	}
	m, err := mail.New(s, "https://app.example.com", "https://auth.example.com/auth/v1", http.DefaultClient, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func message(to string) mail.Message {
	return mail.Message{
		ID: "1", Type: "magiclink", To: to, From: "noreply@example.com", Subject: "Your link",
		HTML: "<p>Hello</p>", Text: "Hello\n",
	}
}

func TestSendOverEveryKindOfConnection(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		options  apitest.SMTPOptions
		user     string // configured; the password is "secret"
		wantUser string
		wantTLS  bool
	}{
		{"plain, no user", apitest.SMTPOptions{}, "", "", false},
		{"user, but no AUTH offered", apitest.SMTPOptions{}, "alice", "", false},
		{"STARTTLS", apitest.SMTPOptions{STARTTLS: true}, "", "", true},
		{"implicit TLS", apitest.SMTPOptions{ImplicitTLS: true}, "", "", true},
		{"CRAM-MD5 comes first", apitest.SMTPOptions{Mechanisms: []string{"PLAIN", "LOGIN", "CRAM-MD5"}},
			"alice", "CRAM-MD5:alice", false},
		{"PLAIN before LOGIN", apitest.SMTPOptions{STARTTLS: true, Mechanisms: []string{"LOGIN", "PLAIN"}},
			"alice", "PLAIN:alice", true},
		{"LOGIN without PLAIN", apitest.SMTPOptions{STARTTLS: true, Mechanisms: []string{"LOGIN"}},
			"alice", "LOGIN:alice", true},
		{"PLAIN over implicit TLS", apitest.SMTPOptions{ImplicitTLS: true, Mechanisms: []string{"PLAIN"}},
			"alice", "PLAIN:alice", true},
		{"PLAIN without TLS to this machine", apitest.SMTPOptions{Mechanisms: []string{"PLAIN"}},
			"alice", "PLAIN:alice", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.options.User, c.options.Pass = "alice", "secret"
			sink := apitest.NewSMTPSink(t, c.options)
			m := mailer(t, mail.Settings{Host: sink.Host, Port: sink.Port, User: c.user, Pass: "secret"})
			m.Trust(sink.Roots, c.options.ImplicitTLS)
			errs := m.Send(t.Context(), []mail.Message{message("a@example.com"), message("b@example.com")})
			if errs[0] != nil || errs[1] != nil {
				t.Fatal(errs)
			}
			for i, got := range sink.WaitFor(t, 2) {
				if got.TLS != c.wantTLS || got.User != c.wantUser || got.Hello != "auth.example.com" {
					t.Errorf("mail %d: TLS %v, user %q, hello %q", i, got.TLS, got.User, got.Hello)
				}
			}
			if n := sink.Connections(); n != 1 {
				t.Errorf("%d connections for two mails, want 1", n)
			}
		})
	}
}

func TestSendRefusesAnUnknownCertificate(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{STARTTLS: true})
	m := mailer(t, mail.Settings{Host: sink.Host, Port: sink.Port})
	if err := m.Send(t.Context(), []mail.Message{message("a@example.com")})[0]; err == nil || isPermanent(err) {
		t.Fatalf("got %v, want a failure that may pass", err)
	}
}

func TestSendWithoutServer(t *testing.T) {
	t.Parallel()
	if err := mailer(t, mail.Settings{}).Send(t.Context(), []mail.Message{message("a@example.com")})[0]; err != nil {
		t.Fatal(err)
	}
}

func TestSendFailures(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	sink.OnRcpt(func(to string) error {
		switch to {
		case "nobody@example.com":
			return &smtp.SMTPError{Code: 550, Message: "no such user"}
		case "later@example.com":
			return &smtp.SMTPError{Code: 451, Message: "greylisted"}
		case "busy@example.com":
			return &smtp.SMTPError{Code: 421, Message: "closing"}
		}
		return nil
	})
	m := mailer(t, mail.Settings{Host: sink.Host, Port: sink.Port})
	to := []string{"nobody@example.com", "later@example.com", "busy@example.com", "not an address",
		"A <a@example.com>", "a@example.com\r\nBcc: b@example.com", "a@example.com, b@example.com", "fine@example.com"}
	want := []string{"permanent", "temporary", "temporary", "permanent", "permanent", "permanent", "permanent", "sent"}
	var messages []mail.Message
	for _, address := range to {
		messages = append(messages, message(address))
	}
	var got []string
	for _, err := range m.Send(t.Context(), messages) {
		switch {
		case err == nil:
			got = append(got, "sent")
		case isPermanent(err):
			got = append(got, "permanent")
		default:
			got = append(got, "temporary")
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if mails := sink.WaitFor(t, 1); len(mails) != 1 || mails[0].To != "fine@example.com" {
		t.Errorf("arrived: %v", mails)
	}
}

func TestSendToARefusingPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	m := mailer(t, mail.Settings{Host: "127.0.0.1", Port: port})
	for _, err := range m.Send(t.Context(), []mail.Message{message("a@example.com"), message("b@example.com")}) {
		if err == nil || isPermanent(err) {
			t.Errorf("got %v, want a failure that may pass", err)
		}
	}
}

// A server that accepts connections and says nothing must not hold up the end of the program.
func TestSendStopsWaitingForASilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	m := mailer(t, mail.Settings{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	for _, err := range m.Send(ctx, []mail.Message{message("a@example.com"), message("b@example.com")}) {
		if !errors.Is(err, mail.ErrNotTried) {
			t.Errorf("got %v, want ErrNotTried", err)
		}
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}

// A server that hangs up after each mail costs connections, not mails.
func TestSendReconnects(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go serveOneMailEach(l)
	m := mailer(t, mail.Settings{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port})
	messages := []mail.Message{message("a@example.com"), message("b@example.com"), message("c@example.com")}
	errs := m.Send(t.Context(), messages)
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("got %v, want only the second to fail, and not for good", errs)
	}
	if isPermanent(errs[1]) {
		t.Errorf("%v is permanent", errs[1])
	}
}

// serveOneMailEach is an SMTP server that closes each connection after one mail.
func serveOneMailEach(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		lines := bufio.NewScanner(conn)
		_, _ = fmt.Fprint(conn, "220 ready\r\n")
		for inData := false; lines.Scan(); {
			switch line := lines.Text(); {
			case inData && line == ".":
				_, _ = fmt.Fprint(conn, "250 ok\r\n")
				_ = conn.Close()
			case inData:
			case line == "DATA":
				inData = true
				_, _ = fmt.Fprint(conn, "354 go\r\n")
			default:
				_, _ = fmt.Fprint(conn, "250 ok\r\n")
			}
		}
		_ = conn.Close()
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	m := mailer(t, mail.Settings{
		Host: sink.Host, Port: sink.Port, AdminEmail: "noreply@example.com", SenderName: "Beispiel Übung",
		Headers: `{"X-Type": ["kind=$messageType"], "X-Two": ["a", "b"], "Reply-To": ["help@example.com"],
			"X-Lines": ["a\r\nBcc: evil@example.com"], "subject": ["mine"], "Bad Name": ["x"]}`,
	})
	first := message("jürgen@example.com")
	first.To = "user+tag@example.com"
	first.Subject = "Grüße, 世界 " + strings.Repeat("ö", 60) + "\r\nBcc: evil@example.com"
	if err := m.Send(t.Context(), []mail.Message{first, first})[0]; err != nil {
		t.Fatal(err)
	}
	mails := sink.WaitFor(t, 2)
	got := mails[0]
	if want := "Grüße, 世界 " + strings.Repeat("ö", 60) + "  Bcc: evil@example.com"; got.Subject != want {
		t.Errorf("subject %q", got.Subject)
	}
	from, err := netmail.ParseAddress(got.Header.Get("From"))
	if err != nil || from.Name != "Beispiel Übung" || from.Address != "noreply@example.com" {
		t.Errorf("From: %v %v", from, err)
	}
	want := map[string]string{
		"To": "<user+tag@example.com>", "X-Type": "kind=magiclink", "X-Two": "a, b",
		"Reply-To": "help@example.com", "X-Lines": "a  Bcc: evil@example.com",
		"Auto-Submitted": "auto-generated", "Bcc": "", "User-Agent": "", "X-Mailer": "",
	}
	for name, value := range want {
		if v := got.Header.Get(name); v != value {
			t.Errorf("%s: %q, want %q", name, v, value)
		}
	}
	if date, err := got.Header.Date(); err != nil || time.Since(date) > time.Hour {
		t.Errorf("Date: %v %v", date, err)
	}
	id := got.Header.Get("Message-ID")
	if !strings.HasSuffix(id, "@auth.example.com>") || id != mails[1].Header.Get("Message-ID") {
		t.Errorf("message ids of two attempts: %q %q", id, mails[1].Header.Get("Message-ID"))
	}
	if !strings.HasPrefix(got.Header.Get("Content-Type"), "multipart/alternative") {
		t.Errorf("Content-Type: %q", got.Header.Get("Content-Type"))
	}
	if strings.TrimSpace(got.HTML) != "<p>Hello</p>" || strings.TrimSpace(got.Text) != "Hello" {
		t.Errorf("parts %q %q", got.HTML, got.Text)
	}
}

func TestBadHeadersSettingAndSenderAreLogged(t *testing.T) {
	t.Parallel()
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	var log bytes.Buffer
	m, err := mail.New(mail.Settings{Host: sink.Host, Port: sink.Port, Headers: `["x"]`, LoggingEnabled: true},
		"https://app.example.com", "http://127.0.0.1:9999", http.DefaultClient, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), []mail.Message{message("a@example.com")})[0]; err != nil {
		t.Fatal(err)
	}
	got := sink.WaitFor(t, 1)[0]
	if got.From != "noreply@127.0.0.1" || got.Hello != "[127.0.0.1]" {
		t.Errorf("from %q, hello %q", got.From, got.Hello)
	}
	for _, want := range []string{"GOTRUE_SMTP_HEADERS", "GOTRUE_SMTP_ADMIN_EMAIL",
		"msg=mail.send mail_type=magiclink mail_from=noreply@127.0.0.1 mail_to=a@example.com"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

func isPermanent(err error) bool {
	var p *mail.PermanentError
	return errors.As(err, &p)
}
