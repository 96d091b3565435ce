package outbound

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAuthoritiesAndRenewal(t *testing.T) {
	t.Parallel()
	s, ca := secure(t, func(http.ResponseWriter, *http.Request) {})
	first := newClients(t, Options{CAFile: ca})
	if same, err := Renew(first, Options{CAFile: ca}); err != nil || same != first {
		t.Errorf("nothing changed: %v", err)
	}
	if next, err := Renew(first, Options{CAFile: ca, Allowed: loopback}); err != nil || next == first {
		t.Errorf("other networks: %v", err)
	}
	if _, err := get(t, newClients(t, Options{}).Trusted(time.Minute), s.URL); err == nil {
		t.Error("any certificate will do")
	}
	for name, text := range map[string]string{"empty": "", "text": "no certificate"} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{CAFile: file}); err == nil || !strings.Contains(err.Error(), "POSTERN_OUTBOUND_CA_FILE") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Options{CAFile: ca + "x"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	right, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, otherAuthority(t), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := newClients(t, Options{CAFile: ca})
	if _, err := get(t, wrong.Trusted(time.Minute), s.URL); err == nil {
		t.Error("another authority will do")
	}
	if err := os.WriteFile(ca, right, 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := Renew(wrong, Options{CAFile: ca})
	if err != nil || next == wrong {
		t.Fatalf("other certificates in the file: %v", err)
	}
	if _, err := get(t, next.Guarded(time.Minute), s.URL); err == nil {
		t.Error("an authority makes private addresses public")
	}
	if _, err := get(t, next.Trusted(time.Minute), s.URL); err != nil {
		t.Errorf("after the change: %v", err)
	}
}

// otherAuthority makes a certificate that vouches for nobody here.
func otherAuthority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	text, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text})
}
