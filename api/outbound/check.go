package outbound

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// URLError says why a URL may not be saved, in the words of the wire (spec/02 section 14, spec/08 section 5).
type URLError struct {
	Message string
	cause   error // a *RefusedError, or that of the name servers
}

func (e *URLError) Error() string { return e.Message }

// Unwrap returns the reason, if there is one besides the words.
func (e *URLError) Unwrap() error { return e.cause }

// CheckURL tells whether a guarded client may be sent to a URL: https, and a host all of whose addresses are public or
// allowed. It asks the name servers, for five seconds at most. What they say may be another thing when the URL is
// used; the connection is checked then. Errors: *URLError, those of ctx.
func (c *Clients) CheckURL(ctx context.Context, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || text == "":
		return &URLError{"Invalid URL format", err}
	case u.Scheme != "https":
		return &URLError{"URL must use HTTPS", nil}
	}
	host, ok := hostName(u.Hostname())
	if !ok {
		return &URLError{"URL must have a valid hostname", nil}
	}
	addresses, err := c.addresses(ctx, host)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &URLError{"Unable to resolve hostname", err}
	}
	for _, a := range addresses {
		if err := c.admit(a); err != nil {
			return refusal(host, err)
		}
	}
	return nil
}

func refusal(host string, err error) error {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	_, notLiteral := netip.ParseAddr(host)
	if refused.Class == Loopback && (isLocalhost(host) || notLiteral == nil) {
		return &URLError{"URL cannot point to localhost or loopback addresses", err}
	}
	return &URLError{"URL cannot resolve to " + string(refused.Class), err}
}

// addresses returns those of a host.
func (c *Clients) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if isLocalhost(host) { // whatever a name server says (RFC 6761 section 6.3)
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	if c.options.Network != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	return c.resolver.LookupNetIP(ctx, "ip", host)
}

func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// hostName returns the host that a URL means: in lower case, in ASCII, without a dot at its end. ok is false for what is
// no name. Numbers that are no address in its usual form are none: some resolvers read 0x7f.1 as 127.0.0.1.
func hostName(host string) (name string, ok bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String(), true
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil || ascii == "" || strings.ContainsAny(ascii, ": %") {
		return "", false
	}
	ascii = strings.ToLower(strings.TrimSuffix(ascii, "."))
	if a, err := netip.ParseAddr(ascii); err == nil {
		return a.String(), true // it was written in full-width digits
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if last == "" || strings.HasPrefix(last, "0x") || strings.Trim(last, "0123456789") == "" {
		return "", false
	}
	return ascii, true
}
