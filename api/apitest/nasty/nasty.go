// Package nasty reads the corpus of URLs that must not be accepted as redirect targets, and has the settings that it is
// made for. e2e/redirects.test.mjs has the same ones.
package nasty

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// Site is the site URL.
const Site = "https://app.example.com/landing"

// Patterns are an allow list as operators have them.
func Patterns() []string {
	return []string{
		"https://docs.example.com/**", "https://*.example.com/**", "https://*-team.preview-host.net/**",
		"https://**.tenants.example.org/**", "https://exact.example.net/callback", "http://localhost:3000/**",
		"com.example.app://callback", "exampleapp://login/**",
	}
}

// URL is one of the corpus.
type URL struct{ Group, Text string }

// Read reads the file of the corpus, api/redirect/testdata/nasty.txt.
func Read(t testing.TB, file string) []URL {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var urls []URL
	group, lines := "", bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if name, isName := strings.CutPrefix(line, "# "); isName {
			group = name
		} else if line != "" {
			var text string
			if err := json.Unmarshal([]byte(line), &text); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			urls = append(urls, URL{group, strings.ReplaceAll(text, "$LONG", strings.Repeat("x", 9000))})
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return urls
}
