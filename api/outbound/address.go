package outbound

import (
	"fmt"
	"net/netip"
)

// Class is what kind of address one is. Its text follows "URL cannot resolve to" on the wire (spec/08 section 5).
type Class string

// The classes of addresses that are nobody's on the Internet. Public is the only one that anybody may name.
const (
	Public      Class = ""
	Loopback    Class = "loopback addresses"
	Private     Class = "private network addresses"
	LinkLocal   Class = "link-local addresses"
	Metadata    Class = "cloud metadata endpoints"
	Multicast   Class = "multicast addresses"
	Unspecified Class = "unspecified addresses"
	Reserved    Class = "reserved addresses" // documentation, benchmarks, protocols, the future
)

// RefusedError is an address that nobody but the operator may send us to.
type RefusedError struct {
	Address netip.Addr
	Class   Class
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s is one of the %s, which POSTERN_OUTBOUND_ALLOWED_NETWORKS does not allow", e.Address, e.Class)
}

// network is a range of addresses of one class.
type network struct {
	netip.Prefix
	class Class
}

func networksOf(class Class, prefixes ...string) []network {
	var list []network
	for _, p := range prefixes {
		list = append(list, network{netip.MustParsePrefix(p), class})
	}
	return list
}

// special are the ranges that are not public, from the special-purpose registries of IANA (RFC 6890); the first that
// contains an address counts.
func special() []network {
	var list []network
	list = append(list, networksOf(Metadata,
		"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",
		"fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128")...)
	list = append(list, networksOf(Unspecified, "0.0.0.0/8", "::/128")...)
	list = append(list, networksOf(Loopback, "127.0.0.0/8", "::1/128")...)
	list = append(list, networksOf(Private,
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10", "64:ff9b:1::/48")...)
	list = append(list, networksOf(LinkLocal, "169.254.0.0/16", "fe80::/10")...)
	list = append(list, networksOf(Multicast, "224.0.0.0/4", "ff00::/8")...)
	list = append(list, networksOf(Reserved,
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "3fff::/20")...)
	return list
}

// global is the only part of IPv6 that is given out so far.
var global = netip.MustParsePrefix("2000::/3")

// classifier knows the special ranges.
type classifier []network

// class tells what an address is, or what the IPv4 address inside it is: a translator would send the packets there.
func (c classifier) class(a netip.Addr) Class {
	a = a.WithZone("").Unmap()
	for _, n := range c {
		if n.Contains(a) && !isTeredo(a) {
			return n.class
		}
	}
	inner := embedded(a)
	for _, v4 := range inner {
		if class := c.class(v4); class != Public {
			return class
		}
	}
	switch {
	case isTeredo(a):
		return Reserved
	case a.Is6() && len(inner) == 0 && !global.Contains(a):
		return Reserved
	}
	return Public
}

var (
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291 section 2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

func isTeredo(a netip.Addr) bool { return teredo.Contains(a) }

// embedded returns the IPv4 addresses in an IPv6 address.
func embedded(a netip.Addr) []netip.Addr {
	if a.Is4() {
		return nil
	}
	b := a.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case compatible.Contains(a), translated.Contains(a), nat64.Contains(a):
		return []netip.Addr{at(12)}
	case sixToFour.Contains(a):
		return []netip.Addr{at(2)}
	case isTeredo(a): // the server, and the client with all bits turned round
		client := [4]byte{^b[12], ^b[13], ^b[14], ^b[15]}
		return []netip.Addr{at(4), netip.AddrFrom4(client)}
	}
	return nil
}
