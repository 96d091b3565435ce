// Package mailcheck finds addresses that cannot get mail, or that the operator does not want to write to,
// before anything is sent (spec/06 section 7, "extended validation"). It is off by default.
//
// Only knowledge refuses an address: where the name servers or the operator's service do not answer in
// time, it passes.
package mailcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/outbound"
)

const (
	timeout   = 3 * time.Second // of all checks of one address
	maxAnswer = 64 << 10        // bytes read of the service's answer
)

// Invalid is the refusal of an address.
type Invalid struct {
	Email  string
	Reason string // for the log
}

func (e *Invalid) Error() string {
	return fmt.Sprintf("mail address %q refused: %s", e.Email, e.Reason)
}

// Resolver asks the name servers; [net.Resolver] is one.
type Resolver interface {
	LookupMX(ctx context.Context, host string) ([]*net.MX, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// Checker checks addresses. It is safe for concurrent use; a nil one lets all pass.
type Checker struct {
	isExtended bool
	blockedMX  map[string]bool
	serviceURL string
	headers    http.Header
	resolver   Resolver
	http       *http.Client
}

// New returns the checker that the settings ask for, nil if they ask for none. client asks the operator's service.
func New(s config.MailCheck, resolver Resolver, client *http.Client) *Checker {
	if !s.Extended && s.ServiceURL == "" {
		return nil
	}
	c := &Checker{
		isExtended: s.Extended, blockedMX: map[string]bool{}, serviceURL: s.ServiceURL,
		headers: http.Header{}, resolver: resolver, http: outbound.NoRedirect(client),
	}
	for _, host := range s.BlockedMX {
		c.blockedMX[hostName(host)] = true
	}
	for name, values := range s.ServiceHeaders {
		for _, value := range values {
			c.headers.Add(name, value)
		}
	}
	c.headers.Set("Content-Type", "application/json")
	return c
}

// Check refuses an address with an [*Invalid], within 3 s. email has passed [input.Email], or is empty, which passes.
func (c *Checker) Check(ctx context.Context, email string) error {
	if c == nil || email == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	host := ""
	if c.isExtended {
		var reason string
		if host, reason = look(email); reason != "" {
			return &Invalid{email, reason}
		}
	}
	group, ctx := errgroup.WithContext(ctx) // a refusal ends the other question
	if host != "" && !slices.Contains(largeProviders, host) {
		group.Go(func() error { return c.checkHost(ctx, email, host) })
	}
	if c.serviceURL != "" {
		group.Go(func() error { return c.askService(ctx, email) })
	}
	return group.Wait()
}

// hostName puts the name of a host into the form that is compared.
func hostName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// look judges an address by its text. It returns the host, or why the address is refused.
func look(email string) (host, reason string) {
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email {
		return "", "not the bare form of an address"
	}
	at := strings.LastIndexByte(email, '@')
	local, host := strings.ToLower(email[:at]), hostName(email[at+1:])
	switch {
	case slices.Contains(fakeAddresses, local+"@"+host):
		return "", "a well-known fake"
	case slices.ContainsFunc(fakeHosts, func(h string) bool { return host == h || strings.HasSuffix(host, "."+h) }):
		return "", "a host without mailboxes"
	case slices.ContainsFunc(reservedSuffixes, func(s string) bool { return strings.HasSuffix("."+host, s) }):
		return "", "a reserved name (RFC 2606, RFC 6761)"
	case !strings.Contains(host, "."):
		return "", "a host without a dot"
	case (host == "gmail.com" || host == "googlemail.com") && len(unlabelled(local)) < minGmailName:
		return "", "a Gmail name that is too short"
	}
	return host, ""
}

// unlabelled is the name of a mailbox without its +label.
func unlabelled(local string) string {
	name, _, _ := strings.Cut(local, "+")
	return name
}

// checkHost refuses hosts that no mail can be sent to, and those of blocked mail servers.
func (c *Checker) checkHost(ctx context.Context, email, host string) error {
	servers, err := c.resolver.LookupMX(ctx, host)
	if err != nil && !isNotFound(err) && len(servers) == 0 {
		return nil
	}
	for _, server := range servers {
		switch name := hostName(server.Host); {
		case name == "":
			return &Invalid{email, "the host takes no mail (RFC 7505)"}
		case c.blockedMX[name]:
			return &Invalid{email, "its mail server is blocked: " + name}
		}
	}
	if len(servers) > 0 {
		return nil
	}
	if addresses, err := c.resolver.LookupHost(ctx, host); len(addresses) == 0 && (err == nil || isNotFound(err)) {
		return &Invalid{email, "the host has neither a mail server nor an address"}
	}
	return nil
}

// isNotFound tells whether the name servers said that there is nothing, rather than nothing.
func isNotFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// askService asks the operator's service; only a clear no refuses.
func (c *Checker) askService(ctx context.Context, email string) error {
	body, _ := json.Marshal(map[string]string{"email": email}) // a text: cannot fail
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.serviceURL, bytes.NewReader(body))
	if err != nil {
		return nil
	}
	req.Header = c.headers.Clone()
	res, err := c.http.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = res.Body.Close() }()
	text, err := outbound.ReadAll(res.Body, maxAnswer)
	if err != nil {
		return nil
	}
	var answer struct{ Valid *bool }
	if err := json.Unmarshal(text, &answer); err == nil && res.StatusCode/100 == 2 && answer.Valid != nil && !*answer.Valid {
		return &Invalid{email, "the validation service says so"}
	}
	return nil
}
