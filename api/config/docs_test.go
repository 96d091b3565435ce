package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const documentation = "../../docs/configuration.md"

// TestDocumentation compares docs/configuration.md with the tags. After a change of a setting run
//
//	go test ./api/config -args -update
func TestDocumentation(t *testing.T) {
	update := flag.Lookup("update") != nil && flag.Lookup("update").Value.String() == "true"
	want := document()
	if update {
		if err := os.WriteFile(documentation, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is out of date, run: go test ./api/config -args -update\n%s", documentation, diff)
	}
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write "+documentation)
	flag.Parse()
	os.Exit(m.Run())
}

const introduction = `# Configuration

Postern is configured by environment variables. Names, values and defaults are those of Supabase Auth (GoTrue), so the
environment of an existing server works unchanged; unknown names are ignored. This page is generated from the source:
it lists every setting that is read.

They may also stand in files, for all commands:

| source | counts |
|---|---|
| the process environment | |
| ` + "`-c FILE`, `--config FILE`" + ` | over the environment. Without it ` + "`./.env`" + `, if it is there, fills in names that are not set (not for ` + "`postern dev`" + `) |
| ` + "`-d DIR`, `--config-dir DIR`" + ` | over both: files that end in ` + "`.env` or `.json`" + `, by name, later ones first; of ` + "`x.env` and `x.json`" + ` only the latter. Read again while serving: see [operations](operations.md#reloading) |

Files hold ` + "`NAME=value`" + ` lines: optional ` + "`export`, `#`" + ` comments, ` + "`'raw'`, `\"with \\n, \\r, \\\" and \\\\\"`" + `; ` + "`$NAME`" + ` is not expanded. ` + "`.json`" + ` files hold
one flat object of strings. A file that cannot be read stops the start; a directory that is not there is logged.

Four are required: ` + "`API_EXTERNAL_URL`, `DATABASE_URL`, `GOTRUE_SITE_URL` and `GOTRUE_JWT_SECRET`" + `. ` + "`postern dev`" + ` sets them itself.

When something is wrong the server does not start and lists all problems at once. ` + "`true`, `t`, `1`, `false`, `f` and `0`" + ` are
booleans, durations look like ` + "`300ms`, `10s` or `1h30m`" + `, lists are separated by commas without spaces. A number, boolean
or duration must not be set to the empty text. Secrets never appear in logs or messages.

One default differs from the reference: ` + "`GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL`" + ` is 10 instead of 0, because two tabs
that refresh at the same time should not sign anybody out.
`

// document writes the page.
func document() string {
	var b strings.Builder
	b.WriteString(introduction)
	c := &Config{}
	groups := c.groups()
	for i := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n", reflect.TypeFor[Config]().Field(i).Tag.Get("title"))
		table(&b, settingsOf(groups[i], ""))
	}
	fmt.Fprintf(&b, "\n## OAuth providers\n\n`<P>` is one of %s.\n\n", strings.ToUpper(strings.Join(ProviderNames, ", ")))
	table(&b, settingsOf(&Provider{}, "GOTRUE_EXTERNAL_<P>_"))
	names := make([]string, len(HookNames))
	for i, name := range HookNames {
		names[i] = name.Variable
	}
	fmt.Fprintf(&b, "\n## Hooks\n\n`<NAME>` is one of %s.\n\n", strings.Join(names, ", "))
	table(&b, settingsOf(&Hook{}, "GOTRUE_HOOK_<NAME>_"))
	return b.String()
}

func table(b *strings.Builder, settings []setting) {
	b.WriteString("| name | type | default | |\n|---|---|---|---|\n")
	for _, s := range settings {
		name, value := "`"+s.Name+"`", s.Default
		if s.Long != "" {
			name += " or `" + s.Long + "`"
		}
		switch {
		case s.Required:
			value = "required"
		case value != "":
			value = "`" + value + "`"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, typeName(s.Value.Type()), value, strings.ReplaceAll(s.Desc, "|", `\|`))
	}
}

// typeName returns what an operator calls a type.
func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[Rate]():
		return "rate"
	case reflect.TypeFor[JSONList](), reflect.TypeFor[JSONHeaders]():
		return "JSON"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "map"
	}
	return "text"
}

func TestEverySettingIsDescribed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	c := &Config{}
	for i, group := range c.groups() {
		if field := reflect.TypeFor[Config]().Field(i); field.Tag.Get("title") == "" {
			t.Errorf("%s has no title", field.Name)
		}
		for _, s := range settingsOf(group, "") {
			if s.Desc == "" || !strings.HasSuffix(s.Desc, ".") {
				t.Errorf("%s needs a description that ends in a full stop, has %q", s.Name, s.Desc)
			}
			if seen[s.Name] {
				t.Errorf("%s is read twice", s.Name)
			}
			seen[s.Name] = true
		}
	}
}
