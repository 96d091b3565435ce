package outbox_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/api/outbox"
)

// With two servers, of which the first takes only some mails and the second refuses a few for good, every mail arrives
// once, at one of them, and nothing is given up.
func TestTwoServersLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first, second := apitest.NewSMTPSink(t, apitest.SMTPOptions{}), apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	var seen sync.Map
	first.OnRcpt(func(to string) error {
		if strings.Contains(to, "5@") { // the first time later, then well
			if _, again := seen.LoadOrStore(to, true); !again {
				return &smtp.SMTPError{Code: 451, Message: "later"}
			}
		}
		if strings.Contains(to, "1@") || strings.Contains(to, "2@") {
			return &smtp.SMTPError{Code: 452, Message: "busy"}
		}
		return nil
	})
	second.OnRcpt(func(to string) error {
		if strings.Contains(to, "5@") {
			return &smtp.SMTPError{Code: 550, Message: "relaying denied"}
		}
		return nil
	})
	const n = 200
	w.exec(fmt.Sprintf(`select postern_internal.queue_mail('magic_link', 'user' || i || '@example.com', null, '{}')
		from generate_series(0, %d) as i`, n-1))
	mailer, err := mail.New(mail.Settings{
		Host: first.Host, Port: first.Port, FallbackHost: second.Host, FallbackPort: second.Port, AdminEmail: "noreply@example.com",
	}, "https://app.example.com", "https://auth.example.com", http.DefaultClient, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.run(outbox.New(w.db, outbox.Carriers{Mail: mailer}, outbox.Options{Poll: 50 * time.Millisecond, Senders: 1}, slog.New(slog.DiscardHandler)))
	w.until(fmt.Sprintf("sent %d", n), states)
	got := counts(append(first.Mails(), second.Mails()...))
	for i := range n {
		if got[address(i)] != 1 {
			t.Errorf("%s got %d mails", address(i), got[address(i)])
		}
	}
	if a, b := len(first.Mails()), len(second.Mails()); a != n*8/10 || b != n*2/10 {
		t.Errorf("%d mails by the first, %d by the second", a, b)
	}
}
