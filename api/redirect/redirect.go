// Package redirect decides where a browser may be sent with a fresh session in its URL (spec/00 section 9).
package redirect

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/gobwas/glob"
)

// maxLength of a target in bytes. No browser needs more, and globs take their time.
const maxLength = 8 << 10

// List is the allow list: the site itself, loopback addresses, and what the operator's patterns match.
type List struct {
	site     *url.URL
	patterns []*glob.Pattern
}

// New reads GOTRUE_SITE_URL and the patterns of GOTRUE_URI_ALLOW_LIST. Separators of the globs are . and /: * is
// any run without them, ** any run, ? one other character, [abc] [a-z] [!a] a class, {x,y} alternatives, \ an escape.
func New(siteURL string, patterns []string) (*List, error) {
	site, err := url.Parse(siteURL)
	if err != nil {
		return nil, fmt.Errorf("GOTRUE_SITE_URL is not a URL: %w", err)
	}
	l := &List{site: site}
	for _, pattern := range patterns {
		if pattern = strings.TrimSpace(pattern); pattern == "" {
			continue
		}
		g, err := glob.Compile(pattern, '.', '/')
		if err != nil {
			return nil, fmt.Errorf("GOTRUE_URI_ALLOW_LIST: the pattern %q is not a glob: %w", pattern, err)
		}
		l.patterns = append(l.patterns, g)
	}
	return l, nil
}

// Target returns the first candidate that is allowed, or the site URL. Candidates are, in this order, the header
// redirect_to, the parameter redirect_to, and the header Referer; empty ones are passed over.
func (l *List) Target(candidates ...string) string {
	for _, candidate := range candidates {
		if l.Allowed(candidate) {
			return candidate
		}
	}
	return l.site.String()
}

// Allowed tells whether a browser may be sent to target.
func (l *List) Allowed(target string) bool {
	if target == "" || len(target) > maxLength {
		return false
	}
	u, err := url.Parse(target) // refuses control characters, and backslashes in the host
	if err != nil {
		return false
	}
	if l.isSite(u) {
		return true
	}
	host, isWeb := u.Hostname(), u.Scheme == "http" || u.Scheme == "https"
	if ip, err := netip.ParseAddr(host); err == nil {
		return isWeb && ip.IsLoopback()
	}
	if isNumeric(host) || isWeb && (!hostForm.MatchString(host) || isSwallowed(u)) {
		return false
	}
	text, _, _ := strings.Cut(target, "#")
	for _, pattern := range l.patterns {
		if pattern.Match(text) {
			return true
		}
	}
	return false
}

// isSite compares scheme, host and port with those of the site. Loopback hosts may differ in the port, because
// development servers do.
func (l *List) isSite(u *url.URL) bool {
	return u.Scheme == l.site.Scheme && u.Hostname() == l.site.Hostname() &&
		(u.Port() == l.site.Port() || isLoopback(u.Hostname()))
}

func isLoopback(host string) bool {
	switch host {
	case "localhost", "127.0.0.1", "::1", "0.0.0.0", "::":
		return true
	}
	return strings.HasSuffix(host, ".localhost")
}

var (
	hostForm    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	numericForm = regexp.MustCompile(`^([0-9]+|0[xX][0-9A-Fa-f]*)$`)
)

// isNumeric tells whether browsers take a host for an IPv4 address that Go does not: 2130706433, 127.1, 0x7f.1
// (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func isNumeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return numericForm.MatchString(host[strings.LastIndexByte(host, '.')+1:])
}

// isSwallowed tells whether the * of a pattern like https://*.example.com could stand for the whole host and more:
// https://evil?.example.com leads to the host evil.
func isSwallowed(u *url.URL) bool {
	isSingleLabel := !strings.Contains(u.Hostname(), ".") && !isLoopback(u.Hostname())
	return isSingleLabel && (u.User != nil || u.Path == "" && (u.RawQuery != "" || u.ForceQuery))
}
