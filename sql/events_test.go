package sql_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

var (
	recorded = regexp.MustCompile(`(?s)record_(custom_|webhook_|)event\(\s*'([a-z_]+(?:\.[a-z_]+)?)'`)
	named    = regexp.MustCompile(`'((?:user|session|identity|factor|link|provider_token)\.[a-z_]+)'`)
	listed   = regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\|")
)

// Every type of event is in the table of docs/webhooks.md, and nothing else is.
func TestEventRegister(t *testing.T) {
	t.Parallel()
	prefix := map[string]string{"": "", "custom_": "custom_provider.", "webhook_": "webhook."}
	var used, told []string
	files, err := filepath.Glob("functions/*/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range recorded.FindAllSubmatch(text, -1) {
			used = append(used, prefix[string(m[1])]+string(m[2]))
		}
		for _, m := range named.FindAllSubmatch(text, -1) {
			used = append(used, string(m[1]))
		}
	}
	text, err := os.ReadFile("../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range listed.FindAllSubmatch(text, -1) {
		told = append(told, string(m[1]))
	}
	slices.Sort(used)
	slices.Sort(told)
	diff(t, "types of events in docs/webhooks.md", slices.Compact(used), told)
}
