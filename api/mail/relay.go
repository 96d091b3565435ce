package mail

import (
	"crypto/tls"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// downTime is how long a relay that could not be reached is passed over.
const downTime = 30 * time.Second

// relay is one SMTP server and how to reach it.
type relay struct {
	name                    string // the setting that names it
	isFirst                 bool
	host, user, pass, hello string
	port                    int
	implicitTLS             bool
	tls                     *tls.Config

	down atomic.Int64 // until then, Unix time in nanoseconds
}

// newRelays returns the configured SMTP servers, the preferred one first. hello is the host name to greet them with.
func newRelays(s Settings, hello string) []*relay {
	if ip := net.ParseIP(hello); ip != nil {
		hello = "[" + hello + "]" // RFC 5321 section 4.1.3
		if ip.To4() == nil {
			hello = "[IPv6:" + ip.String() + "]"
		}
	}
	var relays []*relay
	for _, r := range []*relay{
		{name: "GOTRUE_SMTP_HOST", host: s.Host, port: s.Port, user: s.User, pass: s.Pass},
		{name: "POSTERN_SMTP_FALLBACK_HOST", host: s.FallbackHost, port: s.FallbackPort, user: s.FallbackUser, pass: s.FallbackPass},
	} {
		if r.host == "" {
			if len(relays) == 0 {
				return nil // without the first there is no mail, as in the reference
			}
			continue
		}
		r.isFirst, r.hello, r.implicitTLS = len(relays) == 0, hello, r.port == 465
		r.tls = &tls.Config{ServerName: r.host, MinVersion: tls.VersionTLS12}
		relays = append(relays, r)
	}
	return relays
}

// address is host:port, for people.
func (r *relay) address() string { return net.JoinHostPort(r.host, strconv.Itoa(r.port)) }

// isDown tells whether the relay could not be reached a moment ago.
func (r *relay) isDown(now time.Time) bool { return now.UnixNano() < r.down.Load() }

// setDown passes the relay over for a while, unless err says that it was not tried.
func (r *relay) setDown(now time.Time, err error) {
	if err != ErrNotTried {
		r.down.Store(now.Add(downTime).UnixNano())
	}
}
