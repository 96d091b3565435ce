package password

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/config"
)

func newPolicy(t testing.TB, rules config.Password) *Policy {
	t.Helper()
	p, err := NewPolicy(rules, &http.Client{}, slog.New(slog.DiscardHandler))
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
		if diff := cmp.Diff(test.want, newPolicy(t, test.policy).Strength(t.Context(), test.password)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.password, diff)
		}
	}
	if got := (TooLong{}).Error(); got != "Password cannot be longer than 72 characters" {
		t.Error(got)
	}
}

const known = "Password is known to be weak and easy to guess, please choose a different one."

// pwned is a stand-in for Have I Been Pwned that knows one password, and notes what it was asked.
type pwned struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	answer   func(w http.ResponseWriter, r *http.Request, hash string)
}

func newPwned(t *testing.T, password string) *pwned {
	t.Helper()
	hash := fmt.Sprintf("%X", sha1.Sum([]byte(password)))
	p := &pwned{answer: func(w http.ResponseWriter, r *http.Request, hash string) {
		if strings.HasSuffix(r.URL.Path, hash[:5]) {
			fmt.Fprintf(w, "%s:42\r\n", hash[5:])
		}
		fmt.Fprintf(w, "%035d:1\r\n%035d:0", 7, 8)
	}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, r.Method+" "+r.URL.RequestURI()+" "+r.UserAgent())
		p.mu.Unlock()
		p.answer(w, r, hash)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *pwned) rules() config.Password {
	return config.Password{MinLength: 6, HIBP: config.HIBP{Enabled: true, URL: p.URL, UserAgent: "auth of example.com"}}
}

func TestBreaches(t *testing.T) {
	t.Parallel()
	service := newPwned(t, "P@ssw0rd")
	p := newPolicy(t, service.rules())
	for password, want := range map[string]error{
		"P@ssw0rd": &Weak{known, []string{"pwned"}},
		"p@ssw0rd": nil,
	} {
		if diff := cmp.Diff(want, p.Strength(t.Context(), password)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", password, diff)
		}
	}
	// the prefixes are those of the two hashes; the rest stays here
	for _, want := range []string{"GET /range/21BD1 auth of example.com", "GET /range/57B2A auth of example.com"} {
		if !strings.Contains(strings.Join(service.requests, "\n")+"\n", want+"\n") {
			t.Errorf("no request %q in %q", want, service.requests)
		}
	}
	short := newPwned(t, "short")
	rules := short.rules()
	rules.RequiredCharacters = config.CharacterSets{"0"}
	want := &Weak{"Password should be at least 6 characters. Password should contain at least one character of each: 0. " + known, []string{"length", "characters", "pwned"}}
	if diff := cmp.Diff(error(want), newPolicy(t, rules).Strength(t.Context(), "short")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// When the service fails, the settings decide.
func TestBreachesFail(t *testing.T) {
	t.Parallel()
	broken := newPwned(t, "P@ssw0rd")
	broken.answer = func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusServiceUnavailable) }
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	closed.Close()
	for _, url := range []string{broken.URL, "http://" + address} {
		rules := config.Password{MinLength: 6, HIBP: config.HIBP{Enabled: true, URL: url}}
		if err := newPolicy(t, rules).Strength(t.Context(), "P@ssw0rd"); err != nil {
			t.Errorf("open: %v", err)
		}
		rules.HIBP.FailClosed = true
		var unchecked *Unchecked
		if err := newPolicy(t, rules).Strength(t.Context(), "P@ssw0rd"); !errors.As(err, &unchecked) ||
			err.Error() != "Unable to perform password strength check with HaveIBeenPwned.org." {
			t.Errorf("closed: %v", err)
		}
	}
}

// transport is a round tripper that never answers, and tells how long it would have been waited for.
type transport struct{ left chan time.Duration }

func (s transport) RoundTrip(r *http.Request) (*http.Response, error) {
	deadline, _ := r.Context().Deadline()
	s.left <- time.Until(deadline)
	return nil, context.DeadlineExceeded
}

func TestBreachesAreAskedForFiveSeconds(t *testing.T) {
	t.Parallel()
	silent := transport{make(chan time.Duration, 1)}
	p, err := NewPolicy(config.Password{HIBP: config.HIBP{Enabled: true, FailClosed: true, URL: "http://x"}}, &http.Client{Transport: silent}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var unchecked *Unchecked
	if err := p.Strength(t.Context(), "P@ssw0rd"); !errors.As(err, &unchecked) {
		t.Errorf("got %v", err)
	}
	if left := <-silent.left; left > 5*time.Second || left < 4*time.Second {
		t.Errorf("the limit is %v, want 5s", left)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Strength(ctx, "P@ssw0rd"); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that is over: %v", err)
	}
}

// While the service fails, sign-ins ask it once in 30 seconds, and not all of them wait. New passwords ask each time.
func TestSignInsDoNotWaitForBreaches(t *testing.T) {
	t.Parallel()
	service := newPwned(t, "P@ssw0rd")
	answer, now := service.answer, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fail := func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusServiceUnavailable) }
	p := newPolicy(t, service.rules())
	p.breaches.now = func() time.Time { return now }
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i, step := range []struct {
		later    time.Duration
		ctx      context.Context
		answer   func(http.ResponseWriter, *http.Request, string)
		isSignIn bool
		want     bool // found out that it is known
		requests int  // so far
	}{
		{0, t.Context(), answer, true, true, 1},
		{0, gone, fail, true, false, 1}, // not the fault of the service
		{0, t.Context(), fail, true, false, 2},
		{0, t.Context(), answer, true, false, 2},
		{29 * time.Second, t.Context(), answer, true, false, 2},
		{time.Second, t.Context(), fail, true, false, 3},
		{29 * time.Second, t.Context(), answer, true, false, 3},
		{time.Second, t.Context(), answer, true, true, 4},
		{0, t.Context(), answer, true, true, 5},
		{0, t.Context(), fail, false, false, 6}, // new passwords
		{0, t.Context(), fail, false, false, 7},
		{0, t.Context(), answer, true, false, 7},
		{0, t.Context(), answer, false, true, 8},
		{0, t.Context(), answer, true, true, 9},
	} {
		now, service.answer = now.Add(step.later), step.answer
		got := false
		if step.isSignIn {
			got = p.Weakness(step.ctx, "P@ssw0rd") != nil
		} else {
			got = p.Strength(step.ctx, "P@ssw0rd") != nil
		}
		service.mu.Lock()
		requests := len(service.requests)
		service.mu.Unlock()
		if got != step.want || requests != step.requests {
			t.Errorf("step %d: known %t, %d requests; want %t, %d", i, got, requests, step.want, step.requests)
		}
	}
}

// When the pause is over, one of many sign-ins tries the service; the others do not wait for what comes of it.
func TestOneSignInTriesAgain(t *testing.T) {
	t.Parallel()
	waiting := transport{make(chan time.Duration, 100)}
	p, err := NewPolicy(config.Password{HIBP: config.HIBP{Enabled: true, URL: "http://x"}}, &http.Client{Transport: waiting}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.breaches.resumeAt = time.Now()
	var signIns sync.WaitGroup
	for range 50 {
		signIns.Go(func() { p.Weakness(t.Context(), "P@ssw0rd") })
	}
	signIns.Wait()
	if n := len(waiting.left); n != 1 {
		t.Errorf("%d of 50 asked", n)
	}
}

// With the filter a prefix is asked for once, and the answers stay the same; a full filter begins anew.
func TestBreachesAreRemembered(t *testing.T) {
	t.Parallel()
	service := newPwned(t, "P@ssw0rd")
	rules := service.rules()
	rules.HIBP.BloomEnabled, rules.HIBP.BloomItems, rules.HIBP.BloomFalsePositives = true, 5, 0.0000099
	p := newPolicy(t, rules)
	for _, step := range []struct {
		password string
		requests int
	}{
		{"P@ssw0rd", 1}, {"P@ssw0rd", 1}, // three entries
		{"p@ssw0rd", 2}, {"p@ssw0rd", 2}, // two more fit
		{"P@ssw0rd", 2},
		{"another one", 3}, {"another one", 3}, // does not: all is forgotten
		{"P@ssw0rd", 4}, {"P@ssw0rd", 4},
	} {
		err := p.Strength(t.Context(), step.password)
		if want := step.password == "P@ssw0rd"; (err != nil) != want {
			t.Errorf("%s: %v", step.password, err)
		}
		if len(service.requests) != step.requests {
			t.Errorf("%s: %d requests, want %d", step.password, len(service.requests), step.requests)
		}
	}
	small := newBreachMemory(2, 0.01)
	small.remember("21BD1", []string{"a", "b", "c"})
	if _, isRemembered := small.look("21BD1" + strings.Repeat("0", 35)); isRemembered {
		t.Error("an answer larger than the filter is remembered in part")
	}
}

func TestCommonPasswords(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ours.txt")
	if err := os.WriteFile(file, []byte("Acme-Rocket\r\n\ncafé99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := newPolicy(t, config.Password{MinLength: 6, Common: true, CommonFile: file})
	own := newPolicy(t, config.Password{MinLength: 6, CommonFile: file})
	off := newPolicy(t, config.Password{MinLength: 6})
	for password, in := range map[string]struct{ list, file bool }{
		"123456": {true, false}, "password": {true, false}, "PassWord": {true, false}, "Password123!": {true, false}, "Summer2026": {true, false},
		"Sommer2025!": {true, false}, "qwertyuiop": {true, false}, "iloveyou1": {true, false}, "P@ssw0rd": {true, false}, "dragon007": {true, false},
		"acme-rocket": {false, true}, "ACME-ROCKET": {false, true}, "acme-rocket1": {false, false}, "CAFÉ99": {false, true},
		"dragon8374829": {false, false}, "correct-horse-9": {false, false}, "xkvoqwpz": {false, false}, "password of mine": {false, false},
	} {
		for name, c := range map[string]struct {
			policy *Policy
			want   bool
		}{"both": {both, in.list || in.file}, "own": {own, in.file}, "off": {off, false}} {
			var want error
			if c.want {
				want = &Weak{known, []string{"pwned"}}
			}
			if diff := cmp.Diff(want, c.policy.Strength(t.Context(), password)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", password, name, diff)
			}
		}
	}
	if _, err := NewPolicy(config.Password{CommonFile: file + "x"}, nil, nil); err == nil || !strings.Contains(err.Error(), "POSTERN_PASSWORD_COMMON_FILE") {
		t.Errorf("a missing file: %v", err)
	}
}

// The list is sorted, in lower case and without repetitions, so that a change of it can be read.
func TestCommonListIsTidy(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSuffix(commonText, "\n"), "\n")
	for i, line := range lines {
		if line == "" || line != strings.ToLower(line) || i > 0 && lines[i-1] >= line {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
}
