package dev_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/api/dev"
)

const letter = "From: Auth <auth@example.com>\r\nTo: ann@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe_<b>?=\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n" +
	"--x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHello =3D ann\r\n" +
	"--x\r\nContent-Type: text/html\r\n\r\n" +
	`<script>top.location="http://evil.example"</script><a href="javascript:alert('http://a')">x</a>` +
	"<a href=\"http://localhost/verify?a=1&amp;b=2\">go</a>\r\n--x--\r\n"

// catcher runs a mailbox with its SMTP server and its page.
func catcher(t *testing.T) (box *dev.Mailbox, smtpAddress string, page *httptest.Server) {
	t.Helper()
	box = dev.NewMailbox(3)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- box.ServeSMTP(ctx, l) }()
	page = httptest.NewServer(box)
	t.Cleanup(func() {
		page.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return box, l.Addr().String(), page
}

func send(t *testing.T, address string) {
	t.Helper()
	if err := smtp.SendMail(address, nil, "bounce@example.com", []string{"ann@example.com"}, []byte(letter)); err != nil {
		t.Fatal(err)
	}
}

func TestMailArrives(t *testing.T) {
	t.Parallel()
	box, address, _ := catcher(t)
	_, changed := box.Messages()
	send(t, address)
	<-changed
	messages, _ := box.Messages()
	m := messages[0]
	got := []string{m.Sender, m.Recipients[0], m.From, m.Subject, m.Text, fmt.Sprint(m.Links)}
	want := []string{"bounce@example.com", "ann@example.com", "Auth <auth@example.com>", "Grüße <b>", "Hello = ann", "[http://localhost/verify?a=1&b=2]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for range 4 {
		send(t, address)
	}
	if messages, _ := box.Messages(); len(messages) != 3 || messages[0].ID != 3 {
		t.Errorf("the mailbox holds %d mails, the first is %d", len(messages), messages[0].ID)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	_, address, page := catcher(t)
	send(t, address)
	tests := []struct {
		name, method, path string
		header             map[string]string
		wantStatus         int
		wantBody           string
		wantPolicy         string
	}{
		{name: "list", path: "/", wantStatus: 200, wantBody: `<a href="/messages/1">Grüße &lt;b&gt;</a>`, wantPolicy: "script-src 'self'"},
		{name: "message", path: "/messages/1", wantStatus: 200, wantBody: `<a href="http://localhost/verify?a=1&amp;b=2">`},
		{name: "html", path: "/messages/1/html", wantStatus: 200, wantBody: "<script>top.location", wantPolicy: "sandbox allow-popups"},
		{name: "text", path: "/messages/1?view=text", wantStatus: 200, wantBody: "<pre>Hello = ann</pre>"},
		{name: "source", path: "/messages/1?view=source", wantStatus: 200, wantBody: "boundary=x"},
		{name: "json", path: "/api/messages/1", wantStatus: 200, wantBody: `"links":["http://localhost/verify?a=1\u0026b=2"]`},
		{name: "style", path: "/page.css", wantStatus: 200, wantBody: "color-scheme"},
		{name: "unknown message", path: "/messages/9", wantStatus: 404},
		{name: "not a number", path: "/api/messages/x", wantStatus: 404},
		{name: "another host's name", path: "/", header: map[string]string{"Host": "evil.example"}, wantStatus: 403},
		{name: "another site's form", method: "POST", path: "/clear", header: map[string]string{"Sec-Fetch-Site": "cross-site"}, wantStatus: 403},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), test.method, page.URL+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range test.header {
				request.Header.Set(name, value)
			}
			request.Host = test.header["Host"]
			reply, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Body.Close()
			body, err := io.ReadAll(reply.Body)
			if err != nil {
				t.Fatal(err)
			}
			if reply.StatusCode != test.wantStatus || !strings.Contains(string(body), test.wantBody) {
				t.Errorf("%s: want %q in\n%s", reply.Status, test.wantBody, body)
			}
			if policy := reply.Header.Get("Content-Security-Policy"); !strings.Contains(policy, test.wantPolicy) {
				t.Errorf("policy %q", policy)
			}
		})
	}
}

func TestPageFollowsTheMailbox(t *testing.T) {
	t.Parallel()
	_, address, page := catcher(t)
	request, err := http.NewRequestWithContext(t.Context(), "GET", page.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	events := bufio.NewReader(reply.Body)
	var got []string
	next := func() {
		for range 2 { // the event and the empty line that ends it
			line, err := events.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line != "\n" {
				got = append(got, strings.TrimSpace(line))
			}
		}
	}
	next()
	send(t, address)
	next()
	clear, err := http.NewRequestWithContext(t.Context(), "DELETE", page.URL+"/api/messages", nil)
	if err != nil {
		t.Fatal(err)
	}
	cleared, err := http.DefaultClient.Do(clear)
	if err != nil {
		t.Fatal(err)
	}
	cleared.Body.Close()
	next()
	if diff := cmp.Diff([]string{"data: 0", "data: 1", "data: 2"}, got); diff != "" {
		t.Error(diff)
	}
	list, err := http.Get(page.URL + "/api/messages")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Body.Close()
	var messages []dev.Message
	if err := json.NewDecoder(list.Body).Decode(&messages); err != nil || messages == nil || len(messages) != 0 {
		t.Errorf("after deleting all: %v, %v", messages, err)
	}
}
