// Package doctor looks for what is wrong with a server before its users find it: settings, keys, database, mail and DNS.
// Each finding comes with a fix. Nothing is changed and no mail is sent.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/api/config"
)

// Severity says how bad a finding is.
type Severity string

// Severities, the worst first.
const (
	Error   Severity = "error"   // something does not work, or is open to anybody
	Warning Severity = "warning" // something will go wrong, or is weaker than it looks
	Note    Severity = "note"    // worth knowing
)

// Finding is one thing that is wrong.
type Finding struct {
	Severity Severity `json:"severity"`
	Area     string   `json:"area"`
	What     string   `json:"what"`
	Fix      string   `json:"fix"` // a setting, a command, a statement or a sentence; empty: nothing to do
}

// Resolver looks names up. *net.Resolver is one.
type Resolver interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Options are what tests replace. Zero values mean the real thing.
type Options struct {
	Resolver Resolver
	Clock    func() time.Time
}

// Limits of the parts that talk to others, so that an answer comes even when nobody answers.
const (
	databaseTimeout = 30 * time.Second
	mailTimeout     = 15 * time.Second
	dnsTimeout      = 5 * time.Second
)

// Run examines the settings in environ (as os.Environ returns them) and what they lead to. The findings are sorted, the
// worst first. Bad settings, or a database that does not answer, are findings like any other, and the rest is still done.
func Run(ctx context.Context, environ []string, o Options) []Finding {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	r := &report{}
	cfg, err := config.Load(environ)
	if err != nil {
		r.badSettings(err)
	}
	if cfg != nil {
		r.keys(cfg.JWT)
		r.settings(cfg)
		r.redirects(cfg)
		r.warnings(cfg)
		r.mail(ctx, cfg, o)
	}
	r.database(ctx, databaseURL(environ, cfg), cfg, o)
	slices.SortStableFunc(r.findings, func(a, b Finding) int { return cmp.Compare(rank(a.Severity), rank(b.Severity)) })
	return r.findings
}

func rank(s Severity) int { return slices.Index([]Severity{Error, Warning, Note}, s) }

// report collects findings.
type report struct{ findings []Finding }

func (r *report) add(s Severity, area, what, fix string) {
	r.findings = append(r.findings, Finding{s, area, what, fix})
}

// badSettings reports what stops the start.
func (r *report) badSettings(err error) {
	var bad *config.Error
	if !errors.As(err, &bad) {
		r.add(Error, "settings", err.Error(), "Mend what the message says")
		return
	}
	for _, p := range bad.Problems {
		r.add(Error, "settings", p.String(), "Change "+p.Name+" (docs/configuration.md); the server does not start like this")
	}
}

var settingName = regexp.MustCompile(`[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+`)

// warnings reports what the server says at its start about settings that no finding has named yet.
func (r *report) warnings(cfg *config.Config) {
	var told strings.Builder
	for _, f := range r.findings {
		told.WriteString(f.What + " " + f.Fix + " ")
	}
	for _, w := range cfg.Warnings() {
		if name := settingName.FindString(w); name == "" || !strings.Contains(told.String(), name) {
			r.add(Warning, "settings", w, "Change "+cmp.Or(name, "the setting")+" (docs/configuration.md)")
		}
	}
}

// databaseURL finds the connection string, also when other settings are bad.
func databaseURL(environ []string, cfg *config.Config) string {
	if cfg != nil {
		return string(cfg.DB.URL)
	}
	found := ""
	for _, name := range []string{"DATABASE_URL=", "GOTRUE_DB_DATABASE_URL="} { // the long form counts
		for _, entry := range environ {
			if value, ok := strings.CutPrefix(entry, name); ok {
				found = value
			}
		}
	}
	return found
}
