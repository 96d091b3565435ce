package mail

import "crypto/x509"

// Trust makes a Mailer accept the certificate of a test server. implicitTLS stands for port 465,
// which tests cannot listen on.
func (m *Mailer) Trust(roots *x509.CertPool, implicitTLS bool) {
	m.smtp.tls.RootCAs = roots
	m.smtp.implicitTLS = implicitTLS
}

// KindNames returns the names of all kinds of mail.
func KindNames() []string {
	var names []string
	for name := range kinds() {
		names = append(names, name)
	}
	return names
}

// PlainText is plainText.
func PlainText(html string) string { return plainText(html) }
