package redirect

import (
	"net/url"
	"strings"
	"testing"
)

const site = "https://app.example.com"

func newList(t testing.TB, siteURL string, patterns ...string) *List {
	t.Helper()
	l, err := New(siteURL, patterns)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	lists := map[string]*List{
		"none":     newList(t, site),
		"local":    newList(t, "http://localhost:3000/app"),
		"sub":      newList(t, "http://my.localhost:3000"),
		"ip":       newList(t, "http://192.168.1.5:3000"),
		"stars":    newList(t, site, "https://*.preview.example.com/welcome", "https://docs.example.com/**", "myapp://callback", "http://localhost:3000/*", " https://trim.example.com ", ""),
		"signs":    newList(t, site, "https://a.example.com/?", "https://b.example.com/[abc]", "https://c.example.com/[!abc]", "https://d.example.com/[a-c]x", "https://{e,f}.example.com/", `https://g.example.com/\*`),
		"sloppy":   newList(t, site, "https://*.example.org", "https://*.example.org/**", "https://example.net*"),
		"wide":     newList(t, site, "https://**.example.org/**", "https://**example.net**", "https://q.example.com?a=*", "http*://h.example.com/**", "https://{a.example.com/x,b.example.com/y}", "https://me@u.example.com/"),
		"anything": newList(t, site, "**"),
	}
	for _, test := range []struct {
		list, target string
		want         bool
	}{
		{"none", "", false},
		// the site itself
		{"none", "https://app.example.com", true},
		{"none", "https://app.example.com/any/path?x=1#y", true},
		{"none", "https://user@app.example.com/", true},
		{"none", "HTTPS://app.example.com/", true},
		{"none", "http://app.example.com/", false},
		{"none", "https://app.example.com:443/", false},
		{"none", "https://app.example.com:8443/", false},
		{"none", "https://APP.example.com/", false},
		{"none", "https://app.example.com.evil.com/", false},
		{"none", "https://example.com/", false},
		{"none", "//app.example.com/", false},
		{"none", "/path", false},
		{"none", "app.example.com", false},
		// tricks with the host
		{"none", "https://app.example.com@evil.com/", false},
		{"none", "https://app.example.com:x@evil.com/", false},
		{"none", "https://evil.com#@app.example.com/", false},
		{"none", "https://evil.com?@app.example.com/", false},
		{"none", "https://evil.com/https://app.example.com/", false},
		{"none", `https://evil.com\@app.example.com/`, false},
		{"none", `https://app.example.com\@evil.com/`, false},
		{"none", `https:/\evil.com`, false},
		{"none", `\\evil.com`, false},
		{"none", "///evil.com", false},
		{"none", "https:///evil.com", false},
		{"none", "https:evil.com", false},
		{"none", "https://app.example.com%2f@evil.com/", false},
		{"none", "https://app。example。com/", false},
		{"none", "https://app.example.com\u0000/", false},
		{"none", "https://app.example.com/\r\nSet-Cookie: a=b", false},
		{"none", "https://app.example.com/\t", false},
		{"none", "https://app.example.com/\x7f", false},
		{"none", " https://app.example.com/", false},
		{"none", "https://[app.example.com]/", false},
		{"none", "https://app.example.com:/", true},
		{"none", "https://app.example.com/" + strings.Repeat("x", maxLength), false},
		{"none", "javascript:alert(1)", false},
		{"none", "javascript://127.0.0.1/%0aalert(1)", false},
		{"none", "data:text/html,x", false},
		// loopback
		{"none", "http://127.0.0.1/x", true},
		{"none", "http://127.0.0.1:1234/x?y#z", true},
		{"none", "https://127.8.9.10/", true},
		{"none", "http://[::1]:80/", true},
		{"none", "http://[::ffff:127.0.0.1]/", true},
		{"none", "http://localhost/", false},
		{"none", "http://0.0.0.0/", false},
		{"none", "http://[::]/", false},
		{"local", "http://localhost:4000/x", true},
		{"local", "http://localhost/x", true},
		{"local", "https://localhost:3000/x", false},
		{"sub", "http://my.localhost:1/", true},
		{"sub", "http://your.localhost:3000/", false},
		// addresses
		{"ip", "http://192.168.1.5:3000/x", true},
		{"ip", "http://192.168.1.5:3001/x", false},
		{"anything", "http://192.168.1.5/", false},
		{"anything", "http://169.254.169.254/latest", false},
		{"anything", "http://[2001:db8::1]/", false},
		{"anything", "http://2130706433/", false},
		{"anything", "http://0x7f000001/", false},
		{"anything", "http://0x7f.1/", false},
		{"anything", "http://127.1/", false},
		{"anything", "http://0177.0.0.1/", false},
		{"anything", "http://1.2.3.4./", false},
		{"anything", "myapp://2130706433", false},
		{"anything", "myapp://1.2.3.4", false},
		// hosts that are no names
		{"anything", "https://example.com", true},
		{"anything", "https://ex_ample.com", false},
		{"anything", "https://-example.com", false},
		{"anything", "https://example.com.", false},
		{"anything", "https://exämple.com", false},
		{"anything", "https://", false},
		{"anything", "https:example.com", false},
		{"anything", "myapp://anything_goes/x", true},
		{"anything", "com.example.app:/x", true},
		// globs
		{"stars", "https://a.preview.example.com/welcome", true},
		{"stars", "https://a.preview.example.com/welcome#x/y.z", true},
		{"stars", "https://a.preview.example.com/welcome?x=1", false},
		{"stars", "https://a.b.preview.example.com/welcome", false},
		{"stars", "https://a/.preview.example.com/welcome", false},
		{"stars", "https://.preview.example.com/welcome", false},
		{"stars", "https://A.preview.example.com/welcome", true},
		{"stars", "https://a.preview.example.com/Welcome", false},
		{"stars", "https://docs.example.com/", true},
		{"stars", "https://docs.example.com/a/b.c?d=e", true},
		{"stars", "https://docs.example.com", false},
		{"stars", "https://docs.example.com.evil.com/", false},
		{"stars", "http://docs.example.com/", false},
		{"stars", "myapp://callback", true},
		{"stars", "myapp://callback/", false},
		{"stars", "myapp://callback#x", true},
		{"stars", "http://localhost:3000/x", true},
		{"stars", "http://localhost:3000/x/y", false},
		{"stars", "http://localhost:3001/x", false},
		{"stars", "https://trim.example.com", true},
		{"signs", "https://a.example.com/x", true},
		{"signs", "https://a.example.com/xx", false},
		{"signs", "https://a.example.com//", false},
		{"signs", "https://b.example.com/b", true},
		{"signs", "https://b.example.com/d", false},
		{"signs", "https://c.example.com/b", false},
		{"signs", "https://c.example.com/d", true},
		{"signs", "https://d.example.com/bx", true},
		{"signs", "https://d.example.com/dx", false},
		{"signs", "https://e.example.com/", true},
		{"signs", "https://f.example.com/", true},
		{"signs", "https://g.example.com/", false},
		{"signs", "https://g.example.com/*", true},
		{"signs", "https://g.example.com/x", false},
		// a star that swallows the host
		{"sloppy", "https://a.example.org", true},
		{"sloppy", "https://a.example.org?x=1", false},
		{"sloppy", "https://a.example.org/?x=1", true},
		{"sloppy", "https://evil?.example.org", false},
		{"sloppy", "https://evil?.example.org/x", false},
		{"sloppy", "https://evil:80?.example.org/x", false},
		{"sloppy", "https://evil/.example.org", false},
		{"sloppy", "https://example.net@evil", false},
		{"sloppy", "https://example.net", true},
		{"sloppy", "https://example.net?x=1", true},
		{"sloppy", "https://example.net:1", true},
		{"wide", "https://a.b.example.org/x", true},
		{"wide", "https://me:pw@a.example.org/x?y", true},
		{"wide", "https://evil.com/a.example.org/x", false},
		{"wide", "https://evil.com?a.example.org/x", false},
		{"wide", "https://evil.com/?a.example.org/x", false},
		{"wide", "https://a.example.org@evil.com/.example.org/x", false},
		{"wide", "https://example.net:8443/x", true},
		{"wide", "https://a.example.net/x?y", true},
		{"wide", "https://evil.com/example.net", false},
		{"wide", "https://q.example.com?a=b", true},
		{"wide", "https://h.example.com/x", true},
		{"wide", "http://h.example.com/x/y", true},
		{"wide", "https://a.example.com/x", true},
		{"wide", "https://b.example.com/y", true},
		{"wide", "https://a.example.com/y", false},
		{"wide", "https://me@u.example.com/", true},
		{"wide", "http://[::1%25lo]/", false},
	} {
		if got := lists[test.list].Allowed(test.target); got != test.want {
			t.Errorf("%s: %q: got %v", test.list, test.target, got)
		}
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	l := newList(t, site+"/start", "https://other.example.com/*")
	for _, test := range []struct {
		candidates []string
		want       string
	}{
		{nil, site + "/start"},
		{[]string{"", "", ""}, site + "/start"},
		{[]string{"https://evil.com/", "", "https://evil.com/"}, site + "/start"},
		{[]string{"", "https://other.example.com/x#y", site}, "https://other.example.com/x#y"},
		{[]string{"https://evil.com/", site + "/a", site + "/b"}, site + "/a"},
		{[]string{"", "https://evil.com/", site + "/b"}, site + "/b"},
	} {
		if got := l.Target(test.candidates...); got != test.want {
			t.Errorf("%q: got %s", test.candidates, got)
		}
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"[", "https://a/[b", "{a,b", "[a-"} {
		if _, err := New(site, []string{"https://ok", pattern}); err == nil || !strings.Contains(err.Error(), "GOTRUE_URI_ALLOW_LIST: the pattern") {
			t.Errorf("%q: got %v", pattern, err)
		}
	}
	if _, err := New("https://a b:c/", nil); err == nil {
		t.Error("a bad site URL is accepted")
	}
}

// FuzzAllowed looks for panics, and for web targets outside the host names that the patterns name.
func FuzzAllowed(f *testing.F) {
	l := newList(f, site, "https://*.example.org/**", "https://*.example.org", "https://docs.example.com/**", "myapp://*")
	for _, seed := range []string{site, "https://a.example.org/x", "https://evil?.example.org", "//x", `https:/\x`, "https://a@b.example.org", "myapp://x", "http://[::1]/", "https://0x1.example.org/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if !l.Allowed(target) {
			return
		}
		u, err := url.Parse(target)
		if err != nil || strings.ContainsAny(target, "\r\n\x00") {
			t.Fatalf("%q is allowed (%v)", target, err)
		}
		host := u.Hostname()
		if u.Scheme != "myapp" && !strings.HasSuffix(host, ".example.org") && host != "docs.example.com" && host != "app.example.com" && !strings.HasPrefix(host, "127.") && !strings.Contains(host, "::") {
			t.Errorf("%q is allowed", target)
		}
	})
}

// FuzzNew looks for patterns that crash the start.
func FuzzNew(f *testing.F) {
	for _, seed := range []string{"**", "{a,b}", "[!a-z]", `\`, "{{a,b},c}*", "[", "{,}"} {
		f.Add(seed, "https://a.example.com/x")
	}
	f.Fuzz(func(_ *testing.T, pattern, target string) {
		if l, err := New(site, []string{pattern}); err == nil {
			l.Allowed(target)
		}
	})
}

func BenchmarkLongTarget(b *testing.B) {
	l := newList(b, site, "https://**a**b**c**/**x", "https://*.example.com/{a,b}**")
	target := "https://a.example.com/" + strings.Repeat("abc/", (maxLength-30)/4)
	for b.Loop() {
		l.Allowed(target)
	}
}
