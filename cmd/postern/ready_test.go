package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestAskReady(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		ok     bool
	}{
		{"ready", http.StatusOK, true},
		{"database away", http.StatusServiceUnavailable, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/health/ready" {
					t.Errorf("asked %s", r.URL.Path)
				}
				w.WriteHeader(c.status)
			}))
			defer server.Close()
			address, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if err := askReady(t.Context(), address.Hostname(), address.Port()); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		if err := askReady(t.Context(), "0.0.0.0", "1"); err == nil {
			t.Error("got no error")
		}
	})
}
