package outbound

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s, ca := secure(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/full":
			_, _ = w.Write(make([]byte, maxGuarded))
		case "/more":
			_, _ = w.Write(make([]byte, maxGuarded+1))
		case "/endless":
			for chunk := make([]byte, 1<<16); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		case "/header":
			w.Header().Set("X-Big", strings.Repeat("x", maxHeader))
		case "/silent":
			<-release
		case "/drip":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-release
		}
	})
	t.Cleanup(func() { close(release) })
	c := newClients(t, Options{CAFile: ca, Allowed: loopback})
	text, err := get(t, c.Guarded(time.Minute), s.URL+"/full")
	if err != nil || len(text) != maxGuarded {
		t.Errorf("as much as there may be: %d, %v", len(text), err)
	}
	for _, path := range []string{"/more", "/endless"} {
		var large *TooLargeError
		if text, err = get(t, c.Guarded(time.Minute), s.URL+path); !errors.As(err, &large) || large.Max != maxGuarded || len(text) > maxGuarded {
			t.Errorf("%s: %d bytes, %v", path, len(text), err)
		}
	}
	if _, err = get(t, c.Guarded(time.Minute), s.URL+"/header"); err == nil {
		t.Error("a huge header was read")
	}
	for _, path := range []string{"/silent", "/drip"} {
		for kind, client := range map[string]*http.Client{"trusted": c.Trusted(50 * time.Millisecond), "guarded": c.Guarded(50 * time.Millisecond)} {
			var late net.Error
			if _, err = get(t, client, s.URL+path); !errors.As(err, &late) || !late.Timeout() {
				t.Errorf("%s, %s: %v", path, kind, err)
			}
		}
	}
	for _, given := range []time.Duration{0, -1, time.Hour} {
		if got := c.Trusted(given).Timeout; got != maxTimeout {
			t.Errorf("%s: a call may take %s", given, got)
		}
	}
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 599, 600} {
		if got, err := ReadAll(strings.NewReader(strings.Repeat("x", size)), 600); err != nil || len(got) != size {
			t.Errorf("%d: %d, %v", size, len(got), err)
		}
	}
	for _, size := range []int{601, 10000} {
		var large *TooLargeError
		if got, err := ReadAll(strings.NewReader(strings.Repeat("x", size)), 600); !errors.As(err, &large) || len(got) > 600 {
			t.Errorf("%d: %d, %v", size, len(got), err)
		}
	}
}
