package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/api/outbound"
)

// mailCommand shows and tries out mails. It needs no database, and no settings but those about mail.
func mailCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mail",
		Short: "Preview mails and test the mail servers",
		Long: "Preview mails and test the mail servers with the settings in the environment, as \"postern serve\" reads them.\n" +
			"No server and no database has to run.",
	}
	cmd.AddCommand(mailPreviewCommand(), mailTestCommand())
	return cmd
}

// unrelated stands for required settings that have nothing to do with mail; the environment goes first.
var unrelated = []string{
	"DATABASE_URL=postgres://localhost/unused", "GOTRUE_JWT_SECRET=unused-and-longer-than-32-bytes-of-text",
	"API_EXTERNAL_URL=http://localhost:8081", "GOTRUE_SITE_URL=http://localhost:3000",
}

// newMailer makes what a server with these settings would send mails with. Its warnings go to standard error.
func newMailer(cmd *cobra.Command) (*mail.Mailer, *config.Config, error) {
	cfg, err := config.Load(append(append([]string{}, unrelated...), os.Environ()...))
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	clients, err := outbound.New(cfg.Outbound.Options(api.Version))
	if err != nil {
		return nil, nil, err
	}
	mailer, err := mail.New(cfg.Mail, cfg.Site.URL, cfg.API.ExternalURL, clients.Trusted(0), log)
	return mailer, cfg, err
}

// exampleMail renders a mail with made-up contents.
func exampleMail(cmd *cobra.Command, kind, to, language string) (*mail.Mailer, mail.Message, error) {
	mailer, cfg, err := newMailer(cmd)
	if err != nil {
		return nil, mail.Message{}, err
	}
	verifyURL := func(linkType string) string { return cfg.VerifyURL(cfg.API.ExternalURL, linkType) }
	request, err := mailer.Example(kind, to, language, verifyURL)
	if err != nil {
		return nil, mail.Message{}, err
	}
	message, err := mailer.Render(cmd.Context(), request)
	return mailer, message, err
}

func mailPreviewCommand() *cobra.Command {
	var language, out string
	var isText bool
	cmd := &cobra.Command{
		Use:   "preview KIND",
		Short: "Show a mail as the server would send it",
		Long: "Show a mail as the server would send it, with made-up contents: subject, sender, language and HTML.\n" +
			"KIND is one of " + strings.Join(mail.Kinds(), ", ") + ".",
		Example:   "  postern mail preview magic_link --lang de-AT --out /tmp/mail.html",
		Args:      cobra.ExactArgs(1),
		ValidArgs: mail.Kinds(),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, message, err := exampleMail(cmd, args[0], "ann@example.com", language)
			if err != nil {
				return err
			}
			body := message.HTML
			if isText {
				body = message.Text
			}
			if err := printMail(cmd.OutOrStdout(), message); err != nil {
				return err
			}
			if out != "" {
				return os.WriteFile(out, []byte(body), 0o644)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "\n%s", body)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&language, "lang", "", "language of the reader, such as de-AT (default: POSTERN_MAILER_DEFAULT_LANGUAGE)")
	flags.StringVar(&out, "out", "", "write the HTML to this file")
	flags.BoolVar(&isText, "text", false, "the plain text instead of the HTML")
	return cmd
}

func printMail(w io.Writer, m mail.Message) error {
	_, err := fmt.Fprintf(w, "Subject:  %s\nFrom:     %s\nLanguage: %s\n", m.Subject, m.From, m.Language)
	return err
}

func mailTestCommand() *cobra.Command {
	var kind, language string
	var isVerbose bool
	cmd := &cobra.Command{
		Use:   "test ADDRESS",
		Short: "Send an example mail and tell what the mail servers say",
		Long: "Send an example mail to an address over each configured mail server, one mail per server, and tell how that\n" +
			"went. The exit code is 1 when a server did not take its mail.",
		Example: "  postern mail test ann@example.com --kind invite --verbose",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			mailer, message, err := exampleMail(cmd, kind, args[0], language)
			if err != nil {
				return err
			}
			reports, err := mailer.Probe(cmd.Context(), message)
			if err != nil {
				return err
			}
			if len(reports) == 0 {
				return errors.New("GOTRUE_SMTP_HOST is not set: the server sends no mail, and counts every mail as sent")
			}
			return printReports(cmd.OutOrStdout(), reports, isVerbose)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kind, "kind", "magic_link", "what to send: "+strings.Join(mail.Kinds(), ", "))
	flags.StringVar(&language, "lang", "", "language of the reader")
	flags.BoolVar(&isVerbose, "verbose", false, "show the whole conversation, without passwords")
	return cmd
}

// printReports tells how the servers took a mail. It returns an error if one did not.
func printReports(w io.Writer, reports []mail.Report, isVerbose bool) error {
	failed := 0
	for _, r := range reports {
		fmt.Fprintf(w, "%s (%s)\n", r.Address, r.Setting)
		if isVerbose {
			for _, line := range r.Conversation {
				fmt.Fprintf(w, "    %s\n", line)
			}
		}
		took := r.Took.Round(time.Millisecond)
		var permanent *mail.PermanentError
		switch {
		case r.Err == nil:
			fmt.Fprintf(w, "  accepted in %s: %s\n", took, r.Answer)
		case errors.As(r.Err, &permanent):
			fmt.Fprintf(w, "  refused for good in %s: %v\n", took, r.Err)
		default:
			fmt.Fprintf(w, "  failed in %s, the server would try again: %v\n", took, r.Err)
		}
		if r.Err == nil {
			login := "no login"
			if r.Auth != "" {
				login = "login by " + r.Auth
			}
			fmt.Fprintf(w, "  %s, %s\n", cmp.Or(r.TLS, "no TLS: the mail travels in the clear"), login)
		}
		if r.Err != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d mail servers did not take the mail", failed, len(reports))
	}
	return nil
}
