package outbound

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNobodyElseCallsOut keeps clients without limits and without guard out of the server.
func TestNobodyElseCallsOut(t *testing.T) {
	t.Parallel()
	own := regexp.MustCompile(`http\.(Client\{|Transport\{|DefaultClient|DefaultTransport|Get\(|Post\(|PostForm\(|Head\()`)
	files := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := entry.Name(); {
		case entry.IsDir() && (name == "outbound" || name == "apitest"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		if found := own.Find(text); found != nil {
			t.Errorf("%s calls out by itself: %s", path, found)
		}
		return err
	})
	if err != nil || files < 50 {
		t.Fatalf("%d files, %v", files, err)
	}
}
