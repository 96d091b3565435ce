package limit

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestClient(t *testing.T) {
	t.Parallel()
	private := Proxies{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	everybody := Proxies{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	for _, c := range []struct {
		proxies         Proxies
		peer, forwarded string
		want            string
	}{
		{private, "198.51.100.1:5", "", "198.51.100.1"},
		{private, "198.51.100.1:5", "203.0.113.9", "198.51.100.1"}, // an untrusted peer says nothing
		{private, "127.0.0.1:5", "", "127.0.0.1"},
		{private, "127.0.0.1:5", "203.0.113.9", "203.0.113.9"},
		{private, "127.0.0.1:5", "6.6.6.6, 203.0.113.9", "203.0.113.9"}, // the left one is the client's own word
		{private, "127.0.0.1:5", "6.6.6.6, 203.0.113.9, 10.1.1.1", "203.0.113.9"},
		{private, "127.0.0.1:5", "6.6.6.6|203.0.113.9", "203.0.113.9"}, // two headers
		{private, "127.0.0.1:5", "10.2.2.2, 10.1.1.1", "10.2.2.2"},
		{private, "127.0.0.1:5", "6.6.6.6, garbage, 10.1.1.1", "10.1.1.1"},
		{private, "127.0.0.1:5", "203.0.113.9:1234", "203.0.113.9"},
		{private, "127.0.0.1:5", "[2001:db8::1]:1234", "2001:db8::1"},
		{private, "[::ffff:127.0.0.1]:5", "2001:db8::1%eth0", "2001:db8::1"},
		{private, "@", "203.0.113.9", "203.0.113.9"}, // a Unix socket
		{private, "@", "", "invalid IP"},
		{everybody, "198.51.100.1:5", "6.6.6.6, 203.0.113.9", "6.6.6.6"},
	} {
		if got := c.proxies.Client(c.peer, strings.Split(c.forwarded, "|")).String(); got != c.want && c.forwarded != "" {
			t.Errorf("%s %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
		if c.forwarded == "" {
			if got := c.proxies.Client(c.peer, nil).String(); got != c.want {
				t.Errorf("%s: %s, want %s", c.peer, got, c.want)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "::ffff:203.0.113.9": "203.0.113.9", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"customer-7": "customer-7",
	} {
		if got := TextKey(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{strings.Repeat("x", 65), "\xff", "a\x00b", "ä"} {
		if got := TextKey(text); len(got) != 64 || got == text {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	var m Refusals
	b, other, now := &Bucket{Name: "otp", Who: "a"}, &Bucket{Name: "otp", Who: "b"}, time.Unix(1000, 0)
	want := func(b *Bucket, after, wait time.Duration) {
		t.Helper()
		if got := m.Wait(b, now.Add(after)); got != wait {
			t.Errorf("after %s: %s, want %s", after, got, wait)
		}
	}
	want(b, 0, 0)
	m.Note(b, now, 10*time.Second)
	want(b, 0, 10*time.Second)
	want(other, 0, 0)
	want(b, time.Second, 0) // one asks again
	want(b, time.Second, 9*time.Second)
	want(b, 10*time.Second, 0)
	m.Note(b, now, 10*time.Second)
	m.Note(b, now, 0)
	want(b, 0, 0)
	for i := range maxRefusals + 10 {
		m.Note(&Bucket{Who: strings.Repeat("x", i%200) + string(rune(i))}, now, time.Second)
	}
	if len(m.until) > maxRefusals {
		t.Errorf("%d refusals are kept", len(m.until))
	}
}
