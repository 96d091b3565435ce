package outbox_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/outbox"
)

const states = `select coalesce(string_agg(state || ' ' || n, ', ' order by state), '')
	from (select state, count(*) as n from postern.outbox group by state) s`

// counts returns how often each address got a mail.
func counts(mails []apitest.Mail) map[string]int {
	n := map[string]int{}
	for _, m := range mails {
		n[m.To]++
	}
	return n
}

func address(i int) string { return fmt.Sprintf("user%d@example.com", i) }

// A mail queued in plain SQL arrives on commit, at once, and not after a rollback.
func TestDeliversOnCommit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	w.start(sink.Port, outbox.Options{Poll: time.Hour}) // woken by NOTIFY alone
	w.until("1", `select count(*)::text from pg_stat_activity
		where datname = current_database() and query = 'listen postern_outbox'`)
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select postern_internal.queue_mail('invite', 'never@example.com', null, '{}')"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.queue("jo@example.com", w.user())
	got := sink.Take(t, "jo@example.com")
	if got.Subject != "Your sign-in link" || !strings.Contains(got.HTML, "https://auth.example.com/verify?token=abc") {
		t.Errorf("%q\n%s", got.Subject, got.HTML)
	}
	w.until("sent 1", states)
	row := w.text("select concat_ws(' ', payload, attempts, last_error, finished_at is not null) from postern.outbox")
	if row != "{} 1 t" {
		t.Errorf("the delivered row: %s", row)
	}
}

// A connection of a server sends no NOTIFY; its process calls Wake.
func TestWake(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	worker, _ := w.start(sink.Port, outbox.Options{Poll: time.Hour})
	w.until("1", `select count(*)::text from pg_stat_activity
		where datname = current_database() and query = 'listen postern_outbox'`)
	listener, err := w.db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Release()
	for _, statement := range []string{"listen postern_outbox", "set application_name = 'postern'",
		"select postern_internal.queue_mail('invite', 'jo@example.com', null, '{}')", "select 1"} {
		if _, err := listener.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	worker.Wake()
	sink.Take(t, "jo@example.com")
	// NOTIFY of another connection is the first that arrives here.
	w.exec("select pg_notify('postern_outbox', 'other')")
	n, err := listener.Conn().WaitForNotification(t.Context())
	if err != nil || n.Payload != "other" {
		t.Errorf("%+v %v", n, err)
	}
}

func TestPolls(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	w.start(sink.Port, outbox.Options{Poll: 50 * time.Millisecond})
	w.exec(`insert into postern.outbox (kind, template, recipient) values ('mail', 'invite', 'jo@example.com')`)
	sink.Take(t, "jo@example.com")
}

// Several workers on one table deliver each mail once, several over one connection.
func TestWorkersSideBySide(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	const n = 300
	for i := range n {
		w.queue(address(i), nil)
	}
	for range 3 {
		w.start(sink.Port, outbox.Options{})
	}
	mails := sink.WaitFor(t, n)
	w.until(fmt.Sprintf("sent %d", n), states)
	for to, times := range counts(mails) {
		if times != 1 {
			t.Errorf("%s got %d mails", to, times)
		}
	}
	if len(mails) != n || sink.Connections() > n/2 {
		t.Errorf("%d mails over %d connections", len(mails), sink.Connections())
	}
}

// A worker that is killed while it sends loses nothing.
func TestKilledWorker(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	const n = 60
	for i := range n {
		w.queue(address(i), nil)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDatabase+"="+w.url, fmt.Sprintf("%s=%d", childSMTPPort, sink.Port))
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	sink.WaitFor(t, 5)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	w.start(sink.Port, outbox.Options{Poll: 100 * time.Millisecond})
	w.until(fmt.Sprintf("sent %d", n), states)
	if got := counts(sink.Mails()); len(got) != n {
		t.Errorf("%d of %d addresses got a mail", len(got), n)
	}
}

// A mail server that refuses, or that is not there, delays mails and loses none.
func TestMailServerOutage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, stop := w.start(l.Addr().(*net.TCPAddr).Port, outbox.Options{Poll: 50 * time.Millisecond})
	w.queue("a@example.com", nil)
	w.queue("b@example.com", nil)
	w.until("2", "select count(*)::text from postern.outbox where state = 'queued' and attempts >= 1 and last_error like '%refused%'")
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{Addr: address})
	sink.WaitFor(t, 2)
	w.until("sent 2", states)
	stop()
}

// A silent server holds mails, but neither a database connection nor the end of the program.
func TestHangingMailServer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, stop := w.start(l.Addr().(*net.TCPAddr).Port, outbox.Options{Poll: 50 * time.Millisecond})
	w.queue("a@example.com", nil)
	w.until("sending 1", states)
	if n := w.db.Stat().AcquiredConns(); n > 1 { // one may be polling just now
		t.Errorf("%d connections are held", n)
	}
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if got := w.text("select concat_ws(' ', state, attempts) from postern.outbox"); got != "queued 0" {
		t.Errorf("after the stop: %s", got)
	}
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	w.start(sink.Port, outbox.Options{})
	sink.Take(t, "a@example.com")
}

// What the mail server says for good is believed at the fourth time; SQL can send such a mail again.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	sink.OnRcpt(func(to string) error {
		if strings.HasPrefix(to, "no") {
			return &smtp.SMTPError{Code: 550, Message: "no such user \xff"}
		}
		return nil
	})
	w.queue("nobody@example.com", nil)
	w.queue("somebody@example.com", nil)
	w.exec("update postern.outbox set attempts = 3 where recipient like 'no%'")
	w.start(sink.Port, outbox.Options{Poll: 50 * time.Millisecond})
	w.until("dead 1, sent 1", states)
	row := w.text(`select concat_ws(' ', attempts, last_error like '%550%no such user%') from postern.list_outbox('dead')`)
	if row != "4 t" {
		t.Errorf("dead: %s", row)
	}
	sink.OnRcpt(nil)
	w.exec("select postern.retry_outbox(id) from postern.list_outbox('dead')")
	if got := sink.Take(t, "nobody@example.com"); !strings.Contains(got.Text, "token=abc") {
		t.Errorf("the second try lost its contents:\n%s", got.Text)
	}
	w.until("sent 2", states)
}

// No mail to anybody who does not exist.
func TestDeletedUser(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	gone, hidden, here := w.user(), w.user(), w.user()
	w.queue("gone@example.com", gone)
	w.queue("hidden@example.com", hidden)
	w.queue("here@example.com", here)
	w.exec("delete from auth.users where id = $1", gone)
	w.exec("update auth.users set deleted_at = now() where id = $1", hidden)
	w.start(sink.Port, outbox.Options{Poll: 50 * time.Millisecond})
	w.until("dropped 2, sent 1", states)
	if d := cmp.Diff(map[string]int{"here@example.com": 1}, counts(sink.Mails())); d != "" {
		t.Error(d)
	}
	if n := w.text("select count(*)::text from postern.outbox where payload <> '{}'"); n != "0" {
		t.Errorf("%s rows keep their secrets", n)
	}
}

// A worker outlives a database that throws it out.
func TestLostDatabase(t *testing.T) {
	t.Parallel()
	w := setup(t)
	sink := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	w.start(sink.Port, outbox.Options{Poll: 50 * time.Millisecond})
	w.queue("before@example.com", nil)
	sink.Take(t, "before@example.com")
	for range 5 {
		_, _ = w.db.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and usename = current_user`)
	}
	w.queue("after@example.com", nil)
	sink.Take(t, "after@example.com")
}
