package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// listed returns the names of the reference's settings: those of spec/06 with its patterns written out.
func listed(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(text))
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error("testdata/names.txt is not sorted, or names something twice")
	}
	return names
}

// known returns the names that Load reads.
func known() map[string]bool {
	names := map[string]bool{}
	c := &Config{}
	for _, group := range c.groups() {
		for _, s := range settingsOf(group, "") {
			names[s.Name], names[s.Long] = true, true
		}
	}
	for _, provider := range ProviderNames {
		for _, s := range settingsOf(&Provider{}, providerPrefix(provider)) {
			names[s.Name] = true
		}
	}
	for _, hook := range HookNames {
		for _, s := range settingsOf(&Hook{}, hookPrefix(hook.Variable)) {
			names[s.Name] = true
		}
	}
	names["SECRETS"] = true // of every hook, see loadHooks
	delete(names, "")
	return names
}

// TestEveryNameOfTheReferenceIsKnown keeps settings from being ignored silently.
func TestEveryNameOfTheReferenceIsKnown(t *testing.T) {
	t.Parallel()
	names, known := listed(t), known()
	for _, name := range names {
		if !known[name] {
			t.Errorf("%s is a setting of the reference and not read", name)
		}
	}
	for name := range known {
		if !slices.Contains(names, name) && !strings.HasPrefix(name, "POSTERN_") {
			t.Errorf("%s is read, is no setting of the reference, and does not begin with POSTERN_", name)
		}
	}
}

var (
	specName   = regexp.MustCompile(`\b(?:GOTRUE|OTEL)_[A-Z0-9_]*(?:<[A-Za-z]+>[A-Z0-9_]*(?:<field>)?)*\*?`)
	specSuffix = regexp.MustCompile(`[/,] (_[A-Z0-9_]+)`)
	specFields = regexp.MustCompile(`^[A-Z][A-Z_]+$`)
)

// TestTheListIsComplete compares the list with the text of the specification, where it lies beside the project.
func TestTheListIsComplete(t *testing.T) {
	t.Parallel()
	names := listed(t)
	for _, page := range []string{"06-configuration.md", "07-jwt-hooks-ops.md"} {
		text, err := os.ReadFile("../../../shared/spec/" + page)
		if os.IsNotExist(err) {
			t.Logf("%s is not here: the list is taken as it is", page)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			for _, missing := range missingFrom(names, line) {
				t.Errorf("%s names %s, which is not in the list:\n%s", page, missing, line)
			}
		}
	}
}

// missingFrom returns what a line of the specification names and the list lacks.
func missingFrom(names []string, line string) []string {
	var missing []string
	found := specName.FindAllString(line, -1)
	for _, name := range found {
		if !matches(names, name) {
			missing = append(missing, name)
		}
	}
	if !strings.HasPrefix(line, "|") {
		return missing
	}
	cells := strings.Split(line, "|")
	if len(found) > 0 { // "A_B / _C" is A_B and A_C, or A_B_C: the list says which
		for _, m := range specSuffix.FindAllStringSubmatch(cells[1], -1) {
			if !slices.ContainsFunc(names, func(n string) bool { return isSibling(n, found, m[1]) }) {
				missing = append(missing, m[1])
			}
		}
	}
	return append(missing, missingFields(names, cells)...)
}

// missingFields looks at the tables whose rows give the last part of names: fields of OAuth providers, settings of
// SMS providers.
func missingFields(names, cells []string) []string {
	var missing []string
	check := func(prefix, list string) {
		for field := range strings.SplitSeq(strings.ReplaceAll(list, " ", ""), ",") {
			if specFields.MatchString(field) && !slices.Contains(names, prefix+field) {
				missing = append(missing, prefix+field)
			}
		}
	}
	switch strings.TrimSpace(cells[1]) {
	case "ENABLED", "CLIENT_ID", "SECRET, REDIRECT_URI", "URL, API_URL", "EMAIL_OPTIONAL", "SKIP_NONCE_CHECK":
		for _, provider := range ProviderNames {
			check(providerPrefix(provider), cells[1])
		}
	case "twilio", "twilio_verify", "messagebird", "textlocal", "vonage":
		check("GOTRUE_SMS_", cells[2])
	}
	return missing
}

// matches tells whether the list has a name, or names of a pattern such as GOTRUE_HOOK_<NAME>_URI or GOTRUE_LOG_*.
func matches(names []string, name string) bool {
	prefix, rest, isPattern := strings.Cut(name, "<")
	if isPattern {
		_, suffix, _ := strings.Cut(rest, ">")
		suffix = strings.TrimSuffix(suffix, "_<field>")
		return slices.ContainsFunc(names, func(n string) bool {
			return strings.HasPrefix(n, prefix) && strings.Contains(n[len(prefix):], suffix)
		})
	}
	if short, isPrefix := strings.CutSuffix(strings.TrimSuffix(name, "*"), "_"); isPrefix {
		return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, short+"_") })
	}
	return slices.Contains(names, name)
}

// isSibling tells whether name is one of those before it with its last words replaced by suffix.
func isSibling(name string, found []string, suffix string) bool {
	stem, ok := strings.CutSuffix(name, suffix)
	return ok && slices.ContainsFunc(found, func(f string) bool {
		return strings.HasPrefix(f, stem) && len(stem) > len("GOTRUE")
	})
}
