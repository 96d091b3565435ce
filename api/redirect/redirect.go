// Package redirect decides where a browser may be sent with a fresh session in its URL (spec/00 section 9).
package redirect

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gobwas/glob"
)

// maxLength of a target in bytes. No browser needs more, and globs take their time.
const maxLength = 8 << 10

// List is the allow list: the site itself, loopback addresses, and what the operator's patterns match.
type List struct {
	site     *url.URL
	patterns []pattern
}

// pattern is one of the operator's.
type pattern struct {
	whole *glob.Pattern
	hosts []*glob.Pattern // one of them has to match host and port of a web target; none: the pattern does not say
}

// New reads GOTRUE_SITE_URL and the patterns of GOTRUE_URI_ALLOW_LIST. Separators of the globs are . and /: * is
// any run without them, ** any run, ? one other character, [abc] [a-z] [!a] a class, {x,y} alternatives, \ an escape.
func New(siteURL string, patterns []string) (*List, error) {
	site, err := url.Parse(siteURL)
	if err != nil {
		return nil, fmt.Errorf("GOTRUE_SITE_URL is not a URL: %w", err)
	}
	l := &List{site: site}
	for _, text := range patterns {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		g, err := glob.Compile(text, '.', '/')
		if err != nil {
			return nil, fmt.Errorf("GOTRUE_URI_ALLOW_LIST: the pattern %q is not a glob: %w", text, err)
		}
		l.patterns = append(l.patterns, pattern{g, hostsOf(text)})
	}
	return l, nil
}

// hostsOf returns what a pattern says about hosts. A ? may end the host, or stand for a character of it.
func hostsOf(text string) []*glob.Pattern {
	_, rest, hasScheme := strings.Cut(text, "://")
	if !hasScheme {
		return nil
	}
	authority, _, _ := strings.Cut(rest, "/")
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	beforeQuery, _, _ := strings.Cut(authority, "?")
	var hosts []*glob.Pattern
	for _, host := range []string{authority, beforeQuery} {
		g, err := glob.Compile(host, '.', '/')
		if err != nil { // alternatives that reach into the path
			return nil
		}
		hosts = append(hosts, g)
	}
	return hosts
}

// allows tells whether the pattern matches. A star that stands for more than a part of the host must not: the pattern
// https://**.example.com/** would else let https://evil.com/x.example.com/ through, https://*-app.example.com/** would
// https://evil?-app.example.com/.
func (p pattern) allows(u *url.URL, text string) bool {
	isHost := func(g *glob.Pattern) bool { return g.Match(u.Host) }
	return p.whole.Match(text) && (!isWeb(u) || len(p.hosts) == 0 || slices.ContainsFunc(p.hosts, isHost))
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
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		return isWeb(u) && ip.IsLoopback() && ip.Zone() == "" // browsers know no zones
	}
	if isNumeric(host) || isWeb(u) && (!hostForm.MatchString(host) || isSwallowed(u)) {
		return false
	}
	text, _, _ := strings.Cut(target, "#")
	return slices.ContainsFunc(l.patterns, func(p pattern) bool { return p.allows(u, text) })
}

func isWeb(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

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
