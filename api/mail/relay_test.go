package mail_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/mail"
)

// reply answers every recipient of a sink with a code.
func reply(code int) func(string) error {
	return func(string) error { return &smtp.SMTPError{Code: code, Message: "as the test says"} }
}

// pair is a mailer with two servers.
func pair(t *testing.T, firstOptions apitest.SMTPOptions, s mail.Settings) (m *mail.Mailer, first, second *apitest.SMTPSink) {
	t.Helper()
	first, second = apitest.NewSMTPSink(t, firstOptions), apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	s.Host, s.Port, s.FallbackHost, s.FallbackPort = first.Host, first.Port, second.Host, second.Port
	return mailer(t, s), first, second
}

// recipients lists who got a mail from a sink.
func recipients(s *apitest.SMTPSink) string {
	var to []string
	for _, m := range s.Mails() {
		to = append(to, m.To)
	}
	return strings.Join(to, " ")
}

// outcome is what the outbox makes of an error.
func outcome(err error) string {
	switch {
	case err == nil:
		return "sent"
	case isPermanent(err):
		return "permanent"
	case errors.Is(err, mail.ErrNotTried):
		return "not tried"
	}
	return "temporary"
}

func TestFallback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		first, second func(to string) error
		options       apitest.SMTPOptions // of the first
		want          string              // outcomes of mails to a@ and b@
		firstGot      string
		secondGot     string
	}{
		{name: "all well", want: "sent sent", firstGot: "a@example.com b@example.com"},
		{name: "later, says the first", first: reply(451), want: "sent sent", secondGot: "a@example.com b@example.com"},
		{name: "closing, says the first", first: reply(421), want: "sent sent", secondGot: "a@example.com b@example.com"},
		{name: "never, says the first", first: reply(550), want: "permanent permanent"},
		{name: "one of two", first: func(to string) error {
			if to == "b@example.com" {
				return reply(452)(to)
			}
			return nil
		}, want: "sent sent", firstGot: "a@example.com", secondGot: "b@example.com"},
		{name: "wrong password at the first", options: apitest.SMTPOptions{Mechanisms: []string{"CRAM-MD5"}, User: "alice", Pass: "other"},
			want: "sent sent", secondGot: "a@example.com b@example.com"},
		{name: "both later", first: reply(451), second: reply(450), want: "temporary temporary"},
		{name: "later, then never", first: reply(451), second: reply(550), want: "temporary temporary"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, first, second := pair(t, c.options, mail.Settings{User: "alice", Pass: "secret"})
			first.OnRcpt(c.first)
			second.OnRcpt(c.second)
			var got []string
			for _, err := range m.Send(t.Context(), []mail.Message{message("a@example.com"), message("b@example.com")}) {
				got = append(got, outcome(err))
			}
			if d := cmp.Diff([]string{c.want, c.firstGot, c.secondGot},
				[]string{strings.Join(got, " "), recipients(first), recipients(second)}); d != "" {
				t.Error(d)
			}
		})
	}
}

// A server that cannot be reached is passed over for a while; while it is, the other's refusal is not the last word.
func TestFallbackWhileTheFirstIsAway(t *testing.T) {
	t.Parallel()
	attempts := make(chan struct{}, 10)
	broken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	go func() {
		for {
			conn, err := broken.Accept()
			if err != nil {
				return
			}
			attempts <- struct{}{}
			_ = conn.Close()
		}
	}()
	second := apitest.NewSMTPSink(t, apitest.SMTPOptions{STARTTLS: true, Mechanisms: []string{"PLAIN"}, User: "bob", Pass: "b-secret"})
	m := mailer(t, mail.Settings{
		Host: "127.0.0.1", Port: broken.Addr().(*net.TCPAddr).Port, User: "alice", Pass: "a-secret",
		FallbackHost: second.Host, FallbackPort: second.Port, FallbackUser: "bob", FallbackPass: "b-secret",
	})
	m.TrustFallback(second.Roots)
	for i := range 3 {
		if err := m.Send(t.Context(), []mail.Message{message(fmt.Sprintf("%d@example.com", i))})[0]; err != nil {
			t.Error(err)
		}
	}
	if got := recipients(second); got != "0@example.com 1@example.com 2@example.com" {
		t.Errorf("the second got %q", got)
	}
	if got := second.Mails()[0]; got.User != "PLAIN:bob" || !got.TLS {
		t.Errorf("user %q, TLS %v", got.User, got.TLS)
	}
	if len(attempts) != 1 {
		t.Errorf("the first was tried %d times, want once", len(attempts))
	}
	second.OnRcpt(reply(550))
	if got := outcome(m.Send(t.Context(), []mail.Message{message("x@example.com")})[0]); got != "temporary" {
		t.Errorf("refused by the second alone: %s", got)
	}
}

// A mail that the first server may have taken must not go out by the second as well.
func TestNoFallbackAfterAnUncertainEnd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go hangUpAfterData(l)
	second := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	m := mailer(t, mail.Settings{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, FallbackHost: second.Host, FallbackPort: second.Port,
	})
	if got := outcome(m.Send(t.Context(), []mail.Message{message("a@example.com")})[0]); got != "temporary" {
		t.Errorf("outcome %s", got)
	}
	if got := recipients(second); got != "" {
		t.Errorf("the second sent it to %s as well", got)
	}
}

// hangUpAfterData is an SMTP server that reads a mail to its end and breaks off.
func hangUpAfterData(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = fmt.Fprint(conn, "220 ready\r\n")
		for lines, inData := bufio.NewScanner(conn), false; lines.Scan(); {
			if inData && lines.Text() == "." {
				break
			}
			answer := "250 ok\r\n"
			if lines.Text() == "DATA" {
				answer, inData = "354 go\r\n", true
			} else if inData {
				continue
			}
			_, _ = fmt.Fprint(conn, answer)
		}
		_ = conn.Close()
	}
}

func TestFallbackStopsWithItsContext(t *testing.T) {
	t.Parallel()
	m, first, second := pair(t, apitest.SMTPOptions{}, mail.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	first.OnRcpt(func(string) error { cancel(); return reply(451)("") })
	errs := m.Send(ctx, []mail.Message{message("a@example.com"), message("b@example.com")})
	if outcome(errs[0]) != "temporary" || outcome(errs[1]) != "not tried" || recipients(second) != "" {
		t.Errorf("%v, the second sent to %q", errs, recipients(second))
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	m, first, second := pair(t, apitest.SMTPOptions{STARTTLS: true, Mechanisms: []string{"LOGIN"}, User: "alice", Pass: "pass-word-1"},
		mail.Settings{User: "alice", Pass: "pass-word-1"})
	m.Trust(first.Roots, false)
	second.OnRcpt(reply(550))
	reports, err := m.Probe(t.Context(), message("a@example.com"))
	if err != nil || len(reports) != 2 {
		t.Fatalf("%v %v", reports, err)
	}
	got := reports[0]
	if got.Err != nil || got.TLS != "TLS 1.3" || got.Auth != "LOGIN" || got.Setting != "GOTRUE_SMTP_HOST" || got.Answer == "" || got.Took <= 0 || got.Took > time.Minute {
		t.Errorf("%+v", got)
	}
	conversation := strings.Join(got.Conversation, "\n")
	for _, want := range []string{"> EHLO auth.example.com", "> RCPT TO:<a@example.com>", "< 250 "} {
		if !strings.Contains(conversation, want) {
			t.Errorf("the conversation lacks %q:\n%s", want, conversation)
		}
	}
	if strings.Contains(conversation, "pass-word-1") || strings.Contains(conversation, "cGFzcy13b3JkLTE") {
		t.Errorf("the conversation shows the password:\n%s", conversation)
	}
	if got := reports[1]; !isPermanent(got.Err) || got.TLS != "" || got.Setting != "POSTERN_SMTP_FALLBACK_HOST" {
		t.Errorf("%+v", got)
	}
	if _, err := m.Probe(t.Context(), message("nobody")); err == nil {
		t.Error("a mail to no address")
	}
}
