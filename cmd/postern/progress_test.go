package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

// On a terminal the bar is drawn anew in its line and gives way to text; elsewhere there are plain lines, now and then.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		isTerminal bool
		size       int64
		want       string
	}{
		{true, 8, "\r\x1b[K[###############...............]  50 %  3 users, "},
		{true, 0, "\r\x1b[K3 users, "},
		{false, 8, "3 users, "},
	} {
		var out strings.Builder
		p := newProgress(&out, "users", c.size)
		p.add(1)
		if out.String() != "" {
			t.Errorf("shown at once: %q", out.String())
		}
		p.isTerminal, p.shown = c.isTerminal, time.Now().Add(-time.Minute)
		if _, err := io.ReadAll(p.reading(strings.NewReader("1234"))); err != nil {
			t.Fatal(err)
		}
		p.add(2)
		p.end()
		p.end()
		if got := out.String(); !strings.HasPrefix(got, c.want) || strings.Count(got, "\x1b[K") > 2 {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
