package doctor

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/redirect"
)

const narrow = "List the exact URLs, or keep the host exact: https://app.example.com/** (GOTRUE_URI_ALLOW_LIST)"

// redirects reports patterns that send people, with a fresh session in the URL, to places that are not the operator's.
func (r *report) redirects(c *config.Config) {
	for _, pattern := range c.Site.URIAllowList {
		pattern = strings.TrimSpace(pattern)
		if pattern == "" {
			continue
		}
		list, err := redirect.New(c.Site.URL, []string{pattern})
		if err != nil {
			r.add(Error, "redirects", err.Error(), "Mend the pattern; the server does not start like this")
			continue
		}
		r.redirect(pattern, list)
	}
}

func (r *report) redirect(pattern string, list *redirect.List) {
	scheme, rest, hasScheme := strings.Cut(pattern, "://")
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, ":")
	base := host[strings.LastIndexAny(host, "*?}]")+1:] // what follows the last wildcard of the host
	suffix, _ := publicsuffix.PublicSuffix(strings.TrimPrefix(base, "."))
	switch {
	case isForAnybody(list):
		r.add(Error, "redirects", fmt.Sprintf("the pattern %q lets any site receive sessions", pattern), narrow)
	case !hasScheme || !strings.HasPrefix(scheme, "http") || base == host:
		// an app's own scheme, or a host without wildcards
	case base == "":
		r.add(Error, "redirects", fmt.Sprintf("the pattern %q lets many sites receive sessions", pattern), narrow)
	case strings.HasPrefix(base, ".") && suffix == base[1:]:
		r.add(Error, "redirects", fmt.Sprintf("the pattern %q lets everybody who has a site below %s receive sessions", pattern, suffix), narrow)
	case !strings.HasPrefix(base, "."):
		r.add(Error, "redirects", fmt.Sprintf("the pattern %q also fits https://evil%s, which anybody can register", pattern, base),
			"Put a dot after the wildcard, or leave the wildcard out (GOTRUE_URI_ALLOW_LIST)")
	default:
		r.add(Note, "redirects", fmt.Sprintf("the pattern %q trusts every host below %s", pattern, base[1:]), "")
	}
	if u, err := url.Parse(strings.NewReplacer("*", "x", "?", "x", "{", "", "}", "").Replace(pattern)); err == nil && scheme == "http" && isPublicHTTP(u) {
		r.add(Warning, "redirects", fmt.Sprintf("the pattern %q sends sessions over http", pattern), "Use https (GOTRUE_URI_ALLOW_LIST)")
	}
}

// isForAnybody tries the list with sites that cannot be the operator's.
func isForAnybody(list *redirect.List) bool {
	for _, site := range []string{
		"https://attacker-7c1f.com", "https://attacker-7c1f.com/", "https://attacker-7c1f.com/callback", "https://www.attacker-7c1f.co.uk/a/b?c=d",
		"https://attacker-7c1f.com/login", "https://attacker-7c1f.com/auth/callback",
	} {
		if list.Allowed(site) {
			return true
		}
	}
	return false
}
