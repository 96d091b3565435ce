package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	const (
		format, https, host = "Invalid URL format", "URL must use HTTPS", "URL must have a valid hostname"
		localhost           = "URL cannot point to localhost or loopback addresses"
		unknown             = "Unable to resolve hostname"
		resolve             = "URL cannot resolve to "
	)
	c := newClients(t, Options{Allowed: []netip.Prefix{netip.MustParsePrefix("10.7.0.0/16")}, Resolver: nameServer(t, map[string][]string{
		"public.example.com": {"93.184.215.14"}, "loop.example.com": {"127.0.0.1"}, "private.example.com": {"192.168.1.1"},
		"link.example.com": {"169.254.3.4"}, "cloud.example.com": {"169.254.169.254"}, "many.example.com": {"224.0.0.251"},
		"zero.example.com": {"0.0.0.0"}, "own.example.com": {"10.7.1.1"}, "carrier.example.com": {"100.64.9.9"}, "doc.example.com": {"192.0.2.1"},
	})})
	for url, want := range map[string]string{
		"https://public.example.com/a?b=c": "", "https://PUBLIC.example.com.": "", "https://public.example.com:8443/x": "",
		"https://93.184.215.14/token": "", "https://[2606:4700::1]/": "", "https://own.example.com": "", "https://10.7.255.255": "",
		"HTTPS://public.example.com": "",
		"":                           format, "https://%zz/": format, "https://a b/": format, "https://[::1": format, "://x": format, "https://x:y": format,
		"\x00": format, "http://public.example.com": https, "public.example.com": https, "//public.example.com": https, "ftp://x/": https,
		"javascript:alert(1)": https, "http://127.0.0.1": https,
		"https://": host, "https:///x": host, "https:public.example.com": host, "https://:443": host, "https://.": host, "https://..": host,
		"https://2130706433": host, "https://0x7f.1": host, "https://127.1": host, "https://0177.0.0.1": host, "https://1.2.3.256": host,
		"https://0x7f000001": host, "https://a..b": unknown,
		"https://localhost": localhost, "https://LOCALHOST.:9": localhost, "https://a.localhost": localhost, "https://127.0.0.1": localhost,
		"https://127.9.9.9": localhost, "https://[::1]": localhost, "https://[::ffff:127.0.0.1]": localhost, "https://user@127.0.0.1": localhost,
		"https://１２７.0.0.1": localhost, "https://127。0。0。1": localhost, "https://ⓛocalhost": localhost, "https://[64:ff9b::7f00:1]": localhost,
		"https://nobody.example.com": unknown,
		"https://loop.example.com":   resolve + "loopback addresses", "https://private.example.com": resolve + "private network addresses",
		"https://10.0.0.1": resolve + "private network addresses", "https://carrier.example.com": resolve + "private network addresses",
		"https://link.example.com": resolve + "link-local addresses", "https://[fe80::1]": resolve + "link-local addresses",
		"https://cloud.example.com": resolve + "cloud metadata endpoints", "https://169.254.169.254": resolve + "cloud metadata endpoints",
		"https://[fd00:ec2::254]": resolve + "cloud metadata endpoints", "https://many.example.com": resolve + "multicast addresses",
		"https://zero.example.com": resolve + "unspecified addresses", "https://0.0.0.0": resolve + "unspecified addresses",
		"https://doc.example.com": resolve + "reserved addresses",
	} {
		got := ""
		var wrong *URLError
		if err := c.CheckURL(t.Context(), url); errors.As(err, &wrong) {
			got = wrong.Message
		} else if err != nil {
			got = "not a *URLError: " + err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
}

func TestCheckURLDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	c := newClients(t, Options{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", silent.LocalAddr().String())
	}}})
	c.patience = 50 * time.Millisecond
	var wrong *URLError
	if err := c.CheckURL(t.Context(), "https://example.com"); !errors.As(err, &wrong) || wrong.Message != "Unable to resolve hostname" {
		t.Errorf("silent name servers: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.CheckURL(ended, "https://example.com"); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that ended: %v", err)
	}
}
