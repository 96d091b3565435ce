package mail

import (
	"context"
	"time"
)

// Greeting is how a configured SMTP server receives us, without a mail being sent.
type Greeting struct {
	Setting string // that names the server: GOTRUE_SMTP_HOST or POSTERN_SMTP_FALLBACK_HOST
	Host    string
	Address string // host:port
	TLS     string // version; empty: mails go in the clear
	HasUser bool   // a user name is set
	Auth    string // mechanism of the login; empty: none, because no user is set or the server offers no AUTH
	Took    time.Duration
	Err     error
}

// Greet connects to each configured server, says EHLO, changes to TLS, logs in and says good-bye.
func (m *Mailer) Greet(ctx context.Context) []Greeting {
	var list []Greeting
	for _, r := range m.relays {
		g := Greeting{Setting: r.name, Host: r.host, Address: r.address(), HasUser: r.user != ""}
		began := time.Now()
		c, err := r.dial(ctx, nil)
		if g.Err = err; err == nil {
			g.TLS, g.Auth = c.tlsVersion(), c.auth
			c.close()
		}
		g.Took = time.Since(began)
		list = append(list, g)
	}
	return list
}

// From is the address that mails come from.
func (m *Mailer) From() string { return m.from.Address }
