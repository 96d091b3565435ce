package mail

import "crypto/x509"

// Trust makes a Mailer accept the certificate of a test server. implicitTLS stands for port 465,
// which tests cannot listen on.
func (m *Mailer) Trust(roots *x509.CertPool, implicitTLS bool) {
	m.relays[0].tls.RootCAs = roots
	m.relays[0].implicitTLS = implicitTLS
}

// PlainText is plainText.
func PlainText(html string) string { return plainText(html) }

// TrustFallback is Trust for the second server.
func (m *Mailer) TrustFallback(roots *x509.CertPool) { m.relays[1].tls.RootCAs = roots }
