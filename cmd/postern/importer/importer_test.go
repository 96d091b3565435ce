package importer_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/cmd/postern/importer"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

// open reads a sample, an export that is made up after the documentation of its system.
func open(t *testing.T, name string) *bytes.Reader {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(text)
}

// TestFormats compares the documents of each sample with a golden file, one line each. After a change run
//
//	go test ./cmd/postern/importer -args -update
func TestFormats(t *testing.T) {
	samples := map[string]string{"postern": "postern.ndjson", "firebase": "firebase.json", "auth0": "auth0.ndjson", "clerk": "clerk.csv",
		"keycloak": "keycloak.json", "django": "django.json", "devise": "devise.csv"}
	for _, format := range importer.Formats() {
		t.Run(format.Name, func(t *testing.T) {
			config, err := os.ReadFile("testdata/firebase-hash-config.txt")
			if err != nil {
				t.Fatal(err)
			}
			options := importer.Options{HashConfig: string(config), Passwords: open(t, "auth0-passwords.ndjson")}
			var got strings.Builder
			for row, err := range format.Read(open(t, samples[format.Name]), options) {
				if err != nil {
					t.Fatal(err)
				}
				line, err := json.Marshal(row)
				if err != nil {
					t.Fatal(err)
				}
				got.Write(append(line, '\n'))
			}
			golden := filepath.Join("testdata", format.Name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// Files that are something else end with an error that says so.
func TestOtherFiles(t *testing.T) {
	for _, c := range []struct{ format, text, want string }{
		{"firebase", `{"realm": 1}`, "no array of users (users)"},
		{"firebase", `{"users": {}}`, "no array"},
		{"firebase", `{"users": [{}`, "the end of the file"},
		{"django", `nothing`, "reading JSON"},
		{"clerk", "a,b\n1,2\n", "names none of the columns primary_email_address"},
		{"devise", "", "reading the names of the columns"},
		{"postern", strings.Repeat("x", 17<<20), "token too long"},
	} {
		for _, format := range importer.Formats() {
			if format.Name != c.format {
				continue
			}
			var got string
			for _, err := range format.Read(strings.NewReader(c.text), importer.Options{}) {
				if err != nil {
					got = err.Error()
				}
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("%s, %.20s: %q, want %q", c.format, c.text, got, c.want)
			}
		}
	}
	for name, options := range map[string]importer.Options{
		"firebase": {HashConfig: "rounds: 8"},
		"auth0":    {Passwords: strings.NewReader("{}")},
	} {
		for _, format := range importer.Formats() {
			if format.Name == name {
				for _, err := range format.Read(strings.NewReader("{}"), options) {
					if err == nil || !strings.Contains(err.Error(), "hash") {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
		}
	}
}
