package api_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	sqlCode = regexp.MustCompile(`(?s)(?:fail|failure)\(\s*(\d{3}),\s*'([a-z0-9_]+)'`)
	goCode  = regexp.MustCompile(`(?:badRequest|unprocessable|forbidden)\("([a-z0-9_]+)"|\bCode:\s*"([a-z0-9_]+)"|code\w+\s*=\s*"([a-z0-9_]+)"|SelectionError\{"([a-z0-9_]+)"`)
	docCode = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([0-9, ]+) \\|")
)

// TestErrorRegister holds docs/errors.md against the codes that SQL and Go use, both ways, and the statuses that SQL
// gives them.
func TestErrorRegister(t *testing.T) {
	t.Parallel()
	register := map[string][]string{}
	for _, m := range docCode.FindAllStringSubmatch(read(t, "../docs/errors.md"), -1) {
		register[m[1]] = strings.Split(m[2], ", ")
	}
	used := map[string]bool{}
	for _, name := range glob(t, "../sql/functions/*/*.sql") {
		for _, m := range sqlCode.FindAllStringSubmatch(read(t, name), -1) {
			used[m[2]] = true
			if !slices.Contains(register[m[2]], m[1]) {
				t.Errorf("%s uses %s with status %s, which docs/errors.md does not list", name, m[2], m[1])
			}
		}
	}
	for _, name := range append(glob(t, "*.go"), glob(t, "provider/*.go")...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range goCode.FindAllStringSubmatch(read(t, name), -1) {
			code := m[1] + m[2] + m[3] + m[4]
			used[code] = true
			if register[code] == nil {
				t.Errorf("%s uses %s, which docs/errors.md does not list", name, code)
			}
		}
	}
	for code := range register {
		if !used[code] {
			t.Errorf("docs/errors.md lists %s, which nothing uses", code)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: nothing found (%v)", pattern, err)
	}
	return names
}
