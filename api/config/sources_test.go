package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDotenv(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       map[string]string
	}{
		{"plain", "A=1\nB=two words\n", map[string]string{"A": "1", "B": "two words"}},
		{"no line end", "A=1", map[string]string{"A": "1"}},
		{"windows", "\ufeffA=1\r\nB=2\r\n", map[string]string{"A": "1", "B": "2"}},
		{"colon", "A: 1\nB : x:y=z\nC:2", map[string]string{"A": "1", "B": "x:y=z", "C": "2"}},
		{"export", "export A=1\n  export\tB = 2", map[string]string{"A": "1", "B": "2"}},
		{"a name that begins with export", "exported=1", map[string]string{"exported": "1"}},
		{"comments", "# A=0\n\n  # B\nA=1 # c\nB=x#y\nC=#z\nD=a\t# b", map[string]string{"A": "1", "B": "x#y", "C": "", "D": "a"}},
		{"blanks", "A =  1  \n\tB=2", map[string]string{"A": "1", "B": "2"}},
		{"empty", "A=\nB=''\nC=\"\"\nD= # c", map[string]string{"A": "", "B": "", "C": "", "D": ""}},
		{"raw", `A='x\n"$Y" # z' # c`, map[string]string{"A": `x\n"$Y" # z`}},
		{"double", `A="x\ny\r\"\\ # z"`, map[string]string{"A": "x\ny\r\"\\ # z"}},
		{"other escapes stay", `A="\u00e4\t"`, map[string]string{"A": `\u00e4\t`}},
		{"no expansion", "A=1\nB=$A\nC=\"${A}\"\nD=\\$A\nE=\"\\$A\"", map[string]string{"A": "1", "B": "$A", "C": "${A}", "D": "$A", "E": "$A"}},
		{"quotes inside", `A=it's "so"`, map[string]string{"A": `it's "so"`}},
		{"several lines", "A=\"1\n2\"\nB='3\n# 4'\nC=5", map[string]string{"A": "1\n2", "B": "3\n# 4", "C": "5"}},
		{"json in raw", `GOTRUE_JWT_KEYS='[{"kty":"oct","k":"x"}]'`, map[string]string{"GOTRUE_JWT_KEYS": `[{"kty":"oct","k":"x"}]`}},
		{"url", "A=postgres://u:p=1#2@h/d?x=y", map[string]string{"A": "postgres://u:p=1#2@h/d?x=y"}},
		{"the later one counts", "A=1\nA=2", map[string]string{"A": "2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseDotenv("x.env", test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDotenvErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"A=1\nsecret value":   "x.env: line 2: must be NAME=value",
		"=1":                  "x.env: line 1: must be NAME=value",
		"A='1\n2\n\nB=3":      "x.env: line 1: A has no closing quote",
		"# c\nA=\"1\" secret": "x.env: line 2: A has text behind its closing quote",
		"A='1\n2'\n2B=1":      "x.env: line 3: must be NAME=value",
	} {
		_, err := parseDotenv("x.env", text)
		var bad *SyntaxError
		if !errors.As(err, &bad) || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// write makes files in a directory of the test.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// environment sets variables of this test, and forgets those that it sets later on.
func environment(t *testing.T, values map[string]string) {
	t.Helper()
	for _, name := range []string{"PT_A", "PT_B", "PT_C", "PT_D"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	for name, value := range values {
		t.Setenv(name, value)
	}
}

func wantEnvironment(t *testing.T, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := os.Getenv(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func TestFileOverridesTheEnvironment(t *testing.T) {
	environment(t, map[string]string{"PT_A": "environment", "PT_B": "environment"})
	dir := write(t, map[string]string{"a.conf": "PT_A=file\nPT_C=file", "b.json": `{"PT_B": "json"}`})
	for _, name := range []string{"a.conf", "b.json"} {
		if err := (Sources{File: filepath.Join(dir, name)}).ApplyFile(); err != nil {
			t.Fatal(err)
		}
	}
	wantEnvironment(t, map[string]string{"PT_A": "file", "PT_B": "json", "PT_C": "file"})
}

func TestDotenvOfTheCurrentDirectoryFillsGaps(t *testing.T) {
	environment(t, map[string]string{"PT_A": "environment", "PT_B": ""})
	t.Chdir(write(t, map[string]string{".env": "PT_A=file\nPT_B=file\nPT_C=file"}))
	if err := (Sources{}).ApplyFile(); err != nil {
		t.Fatal(err)
	}
	wantEnvironment(t, map[string]string{"PT_A": "environment", "PT_B": "", "PT_C": "file"})
	t.Chdir(t.TempDir())
	if err := (Sources{}).ApplyFile(); err != nil {
		t.Errorf("without .env: %v", err)
	}
}

func TestDirectory(t *testing.T) {
	environment(t, map[string]string{"PT_A": "environment", "PT_D": "environment"})
	dir := write(t, map[string]string{
		"1.env": "PT_A=1\nPT_B=1", "2.env": "PT_B=2env\nPT_C=2env", "2.json": `{"PT_B": "2json"}`,
		"3.txt": "PT_D=3", "x.env.bak": "PT_D=bak", ".env": "PT_A=dot\nPT_D=dot",
	})
	if err := os.MkdirAll(filepath.Join(dir, "4.env"), 0o700); err != nil {
		t.Fatal(err)
	}
	sources := Sources{Dir: dir}
	if err := sources.ApplyDir(); err != nil {
		t.Fatal(err)
	}
	wantEnvironment(t, map[string]string{"PT_A": "1", "PT_B": "2json", "PT_C": "", "PT_D": "dot"})

	if err := os.WriteFile(filepath.Join(dir, "1.env"), []byte("PT_B=one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "2.json")); err != nil {
		t.Fatal(err)
	}
	if err := sources.ApplyDir(); err != nil {
		t.Fatal(err)
	}
	wantEnvironment(t, map[string]string{"PT_A": "dot", "PT_B": "2env", "PT_C": "2env"})
}

func TestSourcesErrors(t *testing.T) {
	environment(t, map[string]string{"PT_A": "environment"})
	dir := write(t, map[string]string{"1.env": "PT_A=1", "2.json": `{"PT_B": 2}`})
	var bad *SyntaxError
	if err := (Sources{Dir: dir}).ApplyDir(); !errors.As(err, &bad) || !strings.Contains(err.Error(), "2.json: must be one flat JSON object of strings") {
		t.Errorf("bad JSON: %v", err)
	}
	wantEnvironment(t, map[string]string{"PT_A": "environment"}) // all or nothing
	for name, err := range map[string]error{
		"file": Sources{File: filepath.Join(dir, "none")}.ApplyFile(), "directory": Sources{Dir: filepath.Join(dir, "none")}.ApplyDir(),
	} {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "--config") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
