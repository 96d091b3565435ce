package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"strings"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/api/outbound"
)

// mail reports whether mails can be sent, and whether others will believe them.
func (r *report) mail(ctx context.Context, c *config.Config, o Options) {
	if c.Hooks["send-email"].Enabled {
		r.add(Note, "mail", "mails go to the hook send-email: SMTP and DNS are not checked", "")
		return
	}
	if c.Mail.Host == "" {
		if c.External.EmailEnabled && !c.Mailer.Autoconfirm {
			r.add(Warning, "mail", "GOTRUE_SMTP_HOST is not set: mails are dropped, and nobody can confirm an address", "GOTRUE_SMTP_HOST=smtp.example.com")
		}
		return
	}
	if _, err := netmail.ParseAddress(c.Mail.AdminEmail); err != nil {
		r.add(Error, "mail", fmt.Sprintf("GOTRUE_SMTP_ADMIN_EMAIL is %q: mails have no sender that could be true", c.Mail.AdminEmail),
			"GOTRUE_SMTP_ADMIN_EMAIL=auth@example.com")
	}
	clients, err := outbound.New(c.Outbound.Options("doctor"))
	if err != nil {
		return // the settings were examined before
	}
	mailer, err := mail.New(c.Mail, c.Site.URL, c.API.ExternalURL, clients.Trusted(mailTimeout), slog.New(slog.DiscardHandler))
	if err != nil {
		r.add(Error, "mail", err.Error(), "Mend what the message says; the server does not start like this")
		return
	}
	greeting, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	for _, g := range mailer.Greet(greeting) {
		r.greeting(g)
	}
	r.dns(ctx, mailer.From(), o.Resolver)
}

// greeting reports how an SMTP server received us.
func (r *report) greeting(g mail.Greeting) {
	prefix := strings.TrimSuffix(g.Setting, "HOST")
	switch {
	case g.Err != nil:
		r.add(Error, "mail", fmt.Sprintf("the SMTP server %s does not let us in: %v", g.Address, g.Err),
			fmt.Sprintf("Check %sHOST, _PORT, _USER and _PASS, and whether a firewall is in between; try: postern mail test", prefix))
		return
	case g.TLS == "" && !isLocal(g.Host):
		r.add(Warning, "mail", fmt.Sprintf("mails, links and all, go to %s in the clear: it offers no TLS", g.Address), prefix+"PORT=465, or 587 with STARTTLS at the server")
	}
	if g.HasUser && g.Auth == "" {
		r.add(Warning, "mail", fmt.Sprintf("%s offers no login, %sUSER is not used", g.Address, prefix), "Remove "+prefix+"USER and _PASS, or use the port for submission (587)")
	}
}

// dns reports what the domain of the sender lacks. Name servers that cannot be asked are a note.
func (r *report) dns(ctx context.Context, from string, resolver Resolver) {
	_, domain, _ := strings.Cut(from, "@")
	if isLocal(domain) || strings.HasSuffix(domain, ".localdomain") {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	servers, err := resolver.LookupMX(ctx, domain)
	if r.isUnknown(domain, err) {
		return
	}
	if len(servers) == 0 {
		r.add(Warning, "dns", domain+" has no MX record: bounces and answers go nowhere, and some servers refuse its mail",
			"Add an MX record, or send from a domain that has one (GOTRUE_SMTP_ADMIN_EMAIL)")
	}
	texts, err := resolver.LookupTXT(ctx, domain)
	if r.isUnknown(domain, err) {
		return
	}
	if !has(texts, "v=spf1") {
		r.add(Warning, "dns", domain+" has no SPF record: mails land in spam folders", `Add a TXT record such as "v=spf1 include:_spf.your-mail-provider.example -all"`)
	}
	if texts, err = resolver.LookupTXT(ctx, "_dmarc."+domain); r.isUnknown(domain, err) {
		return
	}
	if !has(texts, "v=DMARC1") && !strings.HasPrefix(domain, "_") {
		r.add(Warning, "dns", domain+" has no DMARC record: anybody can send mails in your name",
			fmt.Sprintf(`Add a TXT record _dmarc.%s such as "v=DMARC1; p=quarantine"`, domain))
	}
}

// isUnknown notes that name servers did not answer. That a record does not exist is an answer.
func (r *report) isUnknown(domain string, err error) bool {
	var failure *net.DNSError
	if err == nil || errors.As(err, &failure) && failure.IsNotFound {
		return false
	}
	r.add(Note, "dns", fmt.Sprintf("the records of %s are not known: %v", domain, err), "")
	return true
}

func has(records []string, prefix string) bool {
	for _, record := range records {
		if strings.HasPrefix(strings.ToLower(record), strings.ToLower(prefix)) {
			return true
		}
	}
	return false
}
