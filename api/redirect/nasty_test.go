package redirect

import (
	"testing"

	"github.com/postern-auth/postern/api/apitest/nasty"
)

// moreNasty is for this package only: a comma ends a pattern where they come from the environment.
const moreNasty = "https://{one,two}.example.net/*"

func TestNastyURLs(t *testing.T) {
	t.Parallel()
	l := newList(t, nasty.Site, append(nasty.Patterns(), moreNasty)...)
	seen := map[string]bool{}
	for _, url := range nasty.Read(t, "testdata/nasty.txt") {
		if seen[url.Text] {
			t.Errorf("%s: %.80q is there twice", url.Group, url.Text)
		}
		if seen[url.Text] = true; l.Allowed(url.Text) {
			t.Errorf("%s: %.80q is accepted", url.Group, url.Text)
		}
	}
	if len(seen) < 500 {
		t.Errorf("the corpus has %d URLs", len(seen))
	}
}

// TestNiceURLs shows that the settings of the corpus let through what they are made for.
func TestNiceURLs(t *testing.T) {
	t.Parallel()
	l := newList(t, nasty.Site, append(nasty.Patterns(), moreNasty)...)
	for _, url := range []string{
		"https://app.example.com", "https://app.example.com/x?y#z", "https://docs.example.com/a/b.c?d=e", "https://a.example.com/x",
		"https://a.example.com/..//x", "https://pr-7-team.preview-host.net/x", "https://a.tenants.example.org/x",
		"https://a.b.c.tenants.example.org/x", "https://exact.example.net/callback", "https://exact.example.net/callback#x",
		"https://two.example.net/x", "http://localhost:3000/x", "http://127.0.0.1:9999/x", "http://[::1]:1/", "com.example.app://callback",
		"exampleapp://login/x/y?z", "https://user:pw@a.example.com/x",
	} {
		if !l.Allowed(url) {
			t.Errorf("%q is refused", url)
		}
	}
}
