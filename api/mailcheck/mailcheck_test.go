package mailcheck_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/mailcheck"
)

// names are the name servers of a test: MX hosts by domain, "address" for a domain with an address only. Domains
// that are not there do not exist; those called hang.* never answer, those called broken.* fail.
type names map[string][]string

func (n names) LookupMX(ctx context.Context, host string) ([]*net.MX, error) {
	servers, ok := n[host]
	switch {
	case strings.HasPrefix(host, "hang."):
		<-ctx.Done()
		return nil, ctx.Err()
	case strings.HasPrefix(host, "broken."):
		return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	case !ok || slices.Contains(servers, "address"):
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	var list []*net.MX
	for _, s := range servers {
		list = append(list, &net.MX{Host: s, Pref: 10})
	}
	return list, nil
}

func (n names) LookupHost(_ context.Context, host string) ([]string, error) {
	if slices.Contains(n[host], "address") {
		return []string{"192.0.2.1"}, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

var world = names{
	"well.org": {"mx.well.org."}, "plain.org": {"address"}, "null.org": {"."}, "spam.org": {"mx1.ok.org.", "MX.Trap.org."},
}

// refused returns the reason of a refusal, "" for none.
func refused(t *testing.T, err error) string {
	t.Helper()
	var invalid *mailcheck.Invalid
	if err != nil && !errors.As(err, &invalid) {
		t.Errorf("unexpected error %v", err)
	}
	if invalid == nil {
		return ""
	}
	return invalid.Reason
}

func TestExtended(t *testing.T) {
	t.Parallel()
	c := mailcheck.New(config.MailCheck{Extended: true, BlockedMX: config.JSONList{"mx.trap.org"}}, world, &http.Client{})
	for email, want := range map[string]string{
		"":                          "", // no address is none of our business
		"ann@well.org":              "",
		"ann@plain.org":             "",
		"ann@WELL.org":              "",
		"ann@null.org":              "RFC 7505",
		"ann@gone.org":              "neither a mail server nor an address",
		"ann@spam.org":              "blocked: mx.trap.org",
		"ann@broken.org":            "",
		"ann@hang.org":              "",
		"Ann <ann@well.org>":        "bare form",
		"ann @well.org":             "bare form",
		"ann@well.org, bob@x.org":   "bare form",
		"test@test.com":             "fake",
		"x@example.com":             "without mailboxes",
		"x@mail.example.org":        "without mailboxes",
		"x@notexample.com":          "neither",
		"x@host.test":               "reserved",
		"x@host.example":            "reserved",
		"x@printer.local":           "reserved",
		"x@a.localhost":             "reserved",
		"x@nowhere.invalid":         "reserved",
		"x@localhost":               "reserved",
		"x@intranet":                "without a dot",
		"abcde@gmail.com":           "too short",
		"abcde+shop@gmail.com":      "too short",
		"abcde@googlemail.com":      "too short",
		"abcdef@gmail.com":          "", // not looked up: the test's name servers do not know it
		"abcde@gmx.de":              "",
		"a.long.name+x@outlook.com": "",
	} {
		began := time.Now()
		got := refused(t, c.Check(t.Context(), email))
		if got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%s: refused %q, want %q", email, got, want)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("%s took %s, the limit is 3 s", email, d)
		}
	}
}

func TestService(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	release := make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		var question map[string]string
		_ = json.NewDecoder(r.Body).Decode(&question)
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || len(question) != 1 ||
			r.Header.Get("X-Key") != "k" || !slices.Equal(r.Header.Values("X-Two"), []string{"a", "b"}) {
			t.Errorf("%s %v %v", r.Method, r.Header, question)
		}
		status, answer := 200, `{"valid": true}`
		switch name, _, _ := strings.Cut(question["email"], "@"); name {
		case "no":
			answer = `{"valid": false}`
		case "created":
			status, answer = 201, `{"valid": false, "why": "x"}`
		case "error":
			status, answer = 500, `{"valid": false}`
		case "silent":
			answer = `{}`
		case "text":
			answer = `not valid`
		case "slow":
			<-release
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, answer)
	}))
	defer service.Close()
	defer close(release)
	settings := config.MailCheck{ServiceURL: service.URL, ServiceHeaders: config.JSONHeaders{"X-Key": {"k"}, "X-Two": {"a", "b"}}}
	c := mailcheck.New(settings, world, &http.Client{})
	for name, isRefused := range map[string]bool{
		"yes": false, "no": true, "created": true, "error": false, "silent": false, "text": false, "slow": false,
	} {
		got := refused(t, c.Check(t.Context(), name+"@example.com")) // the text is not looked at
		if (got != "") != isRefused {
			t.Errorf("%s: refused %q", name, got)
		}
	}
	if n := hits.Load(); n != 7 {
		t.Errorf("asked %d times", n)
	}

	settings.Extended = true
	both := mailcheck.New(settings, world, &http.Client{})
	for email, isRefused := range map[string]bool{
		"yes@well.org": false, "no@well.org": true, "yes@gone.org": true, "yes@host.test": true, "no@broken.org": true,
	} {
		if got := refused(t, both.Check(t.Context(), email)); (got != "") != isRefused {
			t.Errorf("%s: refused %q", email, got)
		}
	}
	service.CloseClientConnections()
	gone := mailcheck.New(config.MailCheck{ServiceURL: "http://127.0.0.1:1/"}, world, &http.Client{})
	if got := refused(t, gone.Check(t.Context(), "no@well.org")); got != "" {
		t.Errorf("refused by a service that is not there: %s", got)
	}
}

func TestOff(t *testing.T) {
	t.Parallel()
	c := mailcheck.New(config.MailCheck{BlockedMX: config.JSONList{"mx.trap.org"}}, nil, nil)
	if c != nil {
		t.Fatal("there is a checker")
	}
	if err := c.Check(t.Context(), "x@host.test"); err != nil {
		t.Error(err)
	}
}
