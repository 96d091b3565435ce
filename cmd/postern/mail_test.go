package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/mail"
)

func TestMailPreview(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mail.html")
	t.Setenv("GOTRUE_MAILER_URLPATHS_INVITE", "/auth/v1/verify")
	t.Setenv("API_EXTERNAL_URL", "https://auth.example.com/auth/v1")
	for _, step := range []struct {
		args  []string
		fails bool
		want  []string
	}{
		{[]string{"invite"}, false, []string{"Subject:  You've been invited\n", "Language: en\n", `<html lang="en">`, "https://auth.example.com/auth/v1/verify?token="}},
		{[]string{"invite", "--lang", "de-AT"}, false, []string{"Subject:  Sie wurden eingeladen\n", "Language: de\n", `<html lang="de">`}},
		{[]string{"reauthentication", "--lang", "fr", "--text"}, false, []string{"123456 est votre code", "Saisissez ce code"}},
		{[]string{"magic_link", "--out", file}, false, []string{"Subject:  Your sign-in link\n"}},
		{[]string{"email_changed_notification"}, false, []string{"old-ann@example.com"}},
		{[]string{"magic"}, true, []string{`there is no mail "magic": choose one of confirmation, email_change`}},
		{nil, true, []string{"arg"}},
	} {
		out, err := run(t, append([]string{"mail", "preview"}, step.args...)...)
		got := out
		if err != nil {
			got = err.Error()
		}
		if (err != nil) != step.fails {
			t.Errorf("%v: %v", step.args, err)
		}
		for _, want := range step.want {
			if !strings.Contains(got, want) {
				t.Errorf("%v lacks %q:\n%s", step.args, want, got)
			}
		}
	}
	if html, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(html), "<!DOCTYPE html>") || !strings.Contains(string(html), "123456") {
		t.Errorf("the file: %v\n%s", err, html)
	}
	for _, kind := range mail.Kinds() {
		if out, err := run(t, "mail", "preview", kind); err != nil || strings.Contains(out, "no value") {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
	}
	t.Setenv("GOTRUE_SMTP_PORT", "x")
	if _, err := run(t, "mail", "preview", "invite"); err == nil || !strings.Contains(err.Error(), "GOTRUE_SMTP_PORT") {
		t.Errorf("with a bad setting: %v", err)
	}
}

func TestMailTest(t *testing.T) {
	if _, err := run(t, "mail", "test", "ann@example.com"); err == nil || !strings.Contains(err.Error(), "GOTRUE_SMTP_HOST is not set") {
		t.Errorf("without a server: %v", err)
	}
	first := apitest.NewSMTPSink(t, apitest.SMTPOptions{Mechanisms: []string{"PLAIN"}, User: "alice", Pass: "secret-1"})
	second := apitest.NewSMTPSink(t, apitest.SMTPOptions{})
	for name, value := range map[string]string{
		"GOTRUE_SMTP_HOST": first.Host, "GOTRUE_SMTP_PORT": strconv.Itoa(first.Port),
		"GOTRUE_SMTP_USER": "alice", "GOTRUE_SMTP_PASS": "secret-1", "GOTRUE_SMTP_ADMIN_EMAIL": "noreply@example.com",
		"POSTERN_SMTP_FALLBACK_HOST": second.Host, "POSTERN_SMTP_FALLBACK_PORT": strconv.Itoa(second.Port),
	} {
		t.Setenv(name, value)
	}
	out, err := run(t, "mail", "test", "ann@example.com", "--kind", "invite", "--lang", "es", "--verbose")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"(GOTRUE_SMTP_HOST)", "(POSTERN_SMTP_FALLBACK_HOST)", "accepted in ", "no TLS", "login by PLAIN", "no login", "> RCPT TO:<ann@example.com>"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "secret-1") {
		t.Errorf("shows the password:\n%s", out)
	}
	for _, sink := range []*apitest.SMTPSink{first, second} {
		if got := sink.Mails(); len(got) != 1 || got[0].To != "ann@example.com" || got[0].Subject != "Ha recibido una invitación" {
			t.Errorf("mails %+v", got)
		}
	}

	first.OnRcpt(func(string) error { return &smtp.SMTPError{Code: 550, Message: "no such user"} })
	second.OnRcpt(func(string) error { return &smtp.SMTPError{Code: 451, Message: "busy"} })
	out, err = run(t, "mail", "test", "ann@example.com")
	if err == nil || !strings.Contains(err.Error(), "2 of 2 mail servers did not take the mail") ||
		!strings.Contains(out, "refused for good") || !strings.Contains(out, "no such user") || !strings.Contains(out, "would try again") || !strings.Contains(out, "busy") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := run(t, "mail", "test", "nobody"); err == nil || !strings.Contains(err.Error(), "not a mail address") {
		t.Errorf("to nobody: %v", err)
	}
}
