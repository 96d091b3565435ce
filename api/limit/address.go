package limit

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
)

// Proxies are the networks whose X-Forwarded-For is believed.
type Proxies []netip.Prefix

func (p Proxies) contain(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the address of the client: of the peer, or, when that is one of the proxies, the right-most address in
// forwarded (the values of X-Forwarded-For) that is none of them. Whatever stands further to the left may have been written
// by the client. Where all are proxies it is the left-most, and text that is no address ends the search. peer is host:port;
// a peer without an address (a Unix socket) is believed. The result is invalid when nothing is known.
func (p Proxies) Client(peer string, forwarded []string) netip.Addr {
	client, isKnown := Address(peer)
	if isKnown && !p.contain(client) {
		return client
	}
	for i := len(forwarded) - 1; i >= 0; i-- {
		parts := strings.Split(forwarded[i], ",")
		for j := len(parts) - 1; j >= 0; j-- {
			address, ok := Address(strings.TrimSpace(parts[j]))
			if !ok {
				return client
			}
			client = address
			if !p.contain(client) {
				return client
			}
		}
	}
	return client
}

// Address reads an address, with or without a port; the zone of an IPv6 address is dropped.
func Address(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.WithZone("").Unmap(), true
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Addr().WithZone("").Unmap(), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]")); err == nil {
			return a.WithZone("").Unmap(), true
		}
	}
	return netip.Addr{}, false
}

// network6 is how much of an IPv6 address tells clients apart: whoever has one address has the whole /64.
const network6 = 64

// Key is what limits count an address under: the address, or its IPv6 network such as 2001:db8::/64.
func Key(a netip.Addr) string {
	if !a.Is6() {
		return a.String()
	}
	network, _ := a.Prefix(network6) // of an address without a zone: cannot fail
	return network.String()
}

// maxKey is the longest text that is a key as it is.
const maxKey = 64

// TextKey is the key of a client that a header names: an address as Key has it, other text as it is, or its hash where it
// is long or not printable ASCII.
func TextKey(text string) string {
	if a, err := netip.ParseAddr(text); err == nil {
		return Key(a.WithZone("").Unmap())
	}
	isPlain := len(text) <= maxKey && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
	if isPlain {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
