package password

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/config"
)

func newPolicy(t *testing.T, c config.Password) *Policy {
	t.Helper()
	p, err := NewPolicy(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStrength(t *testing.T) {
	t.Parallel()
	strict := config.Password{MinLength: 10, RequiredCharacters: config.CharacterSets{"abc", "0123", "é:"}}
	const length = "Password should be at least 10 characters."
	const characters = "Password should contain at least one character of each: abc, 0123, é:."
	for _, test := range []struct {
		policy   config.Password
		password string
		want     error
	}{
		{config.Password{MinLength: 6}, "123456", nil},
		{config.Password{MinLength: 6}, "éé", &Weak{"Password should be at least 6 characters.", []string{"length"}}},
		{config.Password{MinLength: 6}, "ééé", nil}, // bytes count
		{config.Password{MinLength: 6}, "", &Weak{"Password should be at least 6 characters.", []string{"length"}}},
		{config.Password{MinLength: 6}, strings.Repeat("é", 36), nil},
		{config.Password{MinLength: 6}, strings.Repeat("é", 36) + "x", TooLong{}},
		{config.Password{MinLength: 80}, strings.Repeat("x", 73), TooLong{}},
		{strict, "aaaaaaaa0é", nil},
		{strict, "aaaaaaaa0:", nil},
		{strict, "aaaaaaaaaa", &Weak{characters, []string{"characters"}}},
		{strict, "xyz", &Weak{length + " " + characters, []string{"length", "characters"}}},
		{strict, "a0:", &Weak{length, []string{"length"}}},
	} {
		if diff := cmp.Diff(test.want, newPolicy(t, test.policy).Check(t.Context(), test.password)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.password, diff)
		}
	}
	if got := (TooLong{}).Error(); got != "Password cannot be longer than 72 characters" {
		t.Error(got)
	}
}

const (
	pwned     = "Password is known to be weak and easy to guess, please choose a different one."
	unchecked = "Unable to perform password strength check with HaveIBeenPwned.org."
)

func TestCommonPasswords(t *testing.T) {
	t.Parallel()
	list := strings.Split(strings.TrimSuffix(commonList, "\n"), "\n")
	if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) || len(list) < 1000 {
		t.Errorf("the list of %d is not sorted, or holds something twice", len(list))
	}
	for _, word := range list {
		if word != strings.ToLower(word) || len(word) < 6 {
			t.Errorf("%q is not in lower case, or too short to be allowed at all", word)
		}
	}
	file := filepath.Join(t.TempDir(), "own.txt")
	if err := os.WriteFile(file, []byte("Acme-2026\r\n\nlast line"), 0o600); err != nil {
		t.Fatal(err)
	}
	off := config.Password{MinLength: 8, CommonFile: file}
	on := config.Password{MinLength: 8, CommonEnabled: true, CommonFile: file, RequiredCharacters: config.CharacterSets{"abcm", "12"}}
	for text, want := range map[string]string{
		"PassWord123": pwned, "acme-2026": pwned, "aCme-2026": pwned, "correct-horse-1": "", "acme-2026 ": "",
		"Last Line": "Password should contain at least one character of each: abcm, 12. " + pwned,
		"123456":    "Password should be at least 8 characters. Password should contain at least one character of each: abcm, 12. " + pwned,
	} {
		got := ""
		if err := newPolicy(t, on).Check(t.Context(), text); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if err := newPolicy(t, off).Check(t.Context(), "password123"); err != nil {
		t.Errorf("switched off: %v", err)
	}
	on.CommonFile = file + ".none"
	if _, err := NewPolicy(on, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "POSTERN_PASSWORD_COMMON_FILE") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// standIn takes the place of HaveIBeenPwned.org, through its real address.
type standIn func(*http.Request) (*http.Response, error)

func (f standIn) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// The SHA-1 of "password" is 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8.
func TestBreaches(t *testing.T) {
	t.Parallel()
	const rest = "1E4C9B93F3F0682250B6CF8331B7EE68FD8"
	const others = "0018A45C4D1DEF81644B54AB7F969B88D65:10\r\n"
	for name, c := range map[string]struct {
		status       int
		body         string // "": no connection
		open, closed string
	}{
		"hit":          {200, others + rest + ":3861493", pwned, pwned},
		"first line":   {200, rest + ":1\r\n" + others, pwned, pwned},
		"lower case":   {200, strings.ToLower(rest) + ":1\n", pwned, pwned},
		"padding":      {200, others + rest + ":0\r\n", "", ""},
		"miss":         {200, others, "", ""},
		"longer":       {200, others + rest + "0:1", "", ""},
		"unavailable":  {503, "", "", unchecked},
		"an error":     {429, rest + ":1", "", unchecked},
		"unreachable":  {0, "", "", unchecked},
		"endless line": {200, strings.Repeat("x", 1<<17), "", unchecked},
	} {
		for isClosed, want := range map[bool]string{false: c.open, true: c.closed} {
			cfg := config.Password{MinLength: 6, HIBP: config.HIBP{Enabled: true, FailClosed: isClosed, UserAgent: "agent/1"}}
			p := newPolicy(t, cfg).Via(standIn(func(r *http.Request) (*http.Response, error) {
				if r.Method+" "+r.URL.String() != "GET https://api.pwnedpasswords.com/range/5BAA6" || r.Header.Get("User-Agent") != "agent/1" {
					t.Errorf("asked %s %s as %s", r.Method, r.URL, r.UserAgent())
				}
				if c.status == 0 {
					return nil, errors.New("unreachable")
				}
				return answer(c.status, c.body)
			}))
			got := ""
			err := p.Check(t.Context(), "password")
			if err != nil {
				got = err.Error()
			}
			var weak *Weak
			if got != want || errors.As(err, &weak) != (want == pwned) {
				t.Errorf("%s, closed %t: %v, want %q", name, isClosed, err, want)
			}
		}
	}
}

// A server that never answers costs the time limit; a request that is given up ends at once, without a verdict.
func TestBreachesTimeOut(t *testing.T) {
	t.Parallel()
	if p := newPolicy(t, config.Password{HIBP: config.HIBP{Enabled: true}}); p.breaches.client.Timeout != 5*time.Second {
		t.Errorf("the time limit is %s", p.breaches.client.Timeout)
	}
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	to := standIn(func(r *http.Request) (*http.Response, error) {
		there, err := http.NewRequestWithContext(r.Context(), http.MethodGet, silent.URL, nil)
		if err != nil {
			return nil, err
		}
		return http.DefaultTransport.RoundTrip(there)
	})
	for isClosed, want := range map[bool]string{false: "", true: unchecked} {
		cfg := config.Password{HIBP: config.HIBP{Enabled: true, FailClosed: isClosed}}
		p := newPolicy(t, cfg).Via(to)
		p.breaches.client.Timeout = 50 * time.Millisecond
		got := ""
		if err := p.Check(t.Context(), "password"); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("closed %t: %q, want %q", isClosed, got, want)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Check(ctx, "password"); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
	}
}

// What was found once is known without a question, up to the size of the filter; what was not found is asked again.
func TestBloomFilter(t *testing.T) {
	t.Parallel()
	const correctHorse = "0E76D" // the first digits of its SHA-1
	asked := map[string]int{}
	cfg := config.HIBP{Enabled: true, BloomEnabled: true, BloomItems: 1, FalsePositives: 1e-6}
	policy := newPolicy(t, config.Password{HIBP: cfg}).Via(standIn(func(r *http.Request) (*http.Response, error) {
		prefix := strings.TrimPrefix(r.URL.Path, "/range/")
		asked[prefix]++
		return answer(200, map[string]string{
			"5BAA6": "1E4C9B93F3F0682250B6CF8331B7EE68FD8:1", // password
			"B1B37": "73A05C0ED0176787A4F1574FF0075F7521E:1", // qwerty
		}[prefix])
	}))
	for range 3 {
		for text, isKnown := range map[string]bool{"password": true, "correct-horse-9": false} {
			if err := policy.Check(t.Context(), text); (err != nil) != isKnown {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	for range 2 { // the filter is full
		if err := policy.Check(t.Context(), "qwerty"); err == nil {
			t.Error("qwerty is good")
		}
	}
	if diff := cmp.Diff(map[string]int{"5BAA6": 1, "B1B37": 2, correctHorse: 3}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}
