package config

import "github.com/postern-auth/postern/api/outbound"

// Outbound is about calls to other servers over HTTP (package outbound).
type Outbound struct {
	AllowedNetworks Networks `env:"POSTERN_OUTBOUND_ALLOWED_NETWORKS" desc:"Networks such as 10.0.0.0/8, or addresses, separated by commas, that URLs which are not from these settings may lead to although they are not public: those of custom providers and webhooks, and what discovery documents and redirects name. URLs in these settings may lead anywhere."`
	CAFile          string   `env:"POSTERN_OUTBOUND_CA_FILE" desc:"File of certificates in PEM: authorities that are trusted in addition to the system's, in all calls to other servers over HTTP."`
}

// Options are what these settings say about the clients of a program of that version.
func (o Outbound) Options(version string) outbound.Options {
	return outbound.Options{Allowed: o.AllowedNetworks, CAFile: o.CAFile, UserAgent: "Postern/" + version}
}
