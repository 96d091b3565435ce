package dev

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page
var page embed.FS

var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"join":    func(list []string) string { return strings.Join(list, ", ") },
	"clock":   func(t time.Time) string { return t.Local().Format(time.TimeOnly) },
	"rfc3339": func(t time.Time) string { return t.Format(time.RFC3339) },
}).ParseFS(page, "page/page.html"))

// pagePolicy lets the page load only its own files; a mail's HTML gets mailPolicy, under which it
// cannot run scripts, send forms or load anything but pictures. Links in it open in a new tab.
const (
	pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'"
	mailPolicy = "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; " +
		"default-src 'none'; style-src 'unsafe-inline'; img-src http: https: data:; frame-ancestors 'self'"
)

// ServeHTTP shows the mailbox: / for people, /api/messages and /api/messages/{id} for scripts
// (GET, newest first; DELETE /api/messages empties it). /signed-in stands in for an application: it
// shows the session that a link hands over. Only requests to a loopback name are
// answered, and none that another site's page makes.
func (b *Mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isLoopback(r.Host) {
		http.Error(w, "this page is for this machine only", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	http.NewCrossOriginProtection().Handler(b.routes()).ServeHTTP(w, r)
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (b *Mailbox) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.showList)
	mux.HandleFunc("GET /messages/{id}", b.showMessage)
	mux.HandleFunc("GET /messages/{id}/html", b.showHTML)
	mux.HandleFunc("GET /events", b.streamChanges)
	mux.HandleFunc("GET /page.css", serveFile)
	mux.HandleFunc("GET /page.js", serveFile)
	mux.HandleFunc("GET /signed-in.js", serveFile)
	mux.HandleFunc("GET /signed-in", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, page, "page/signed-in.html")
	})
	mux.HandleFunc("GET /api/messages", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, b.newestFirst()) })
	mux.HandleFunc("GET /api/messages/{id}", func(w http.ResponseWriter, r *http.Request) {
		if m, ok := b.find(w, r); ok {
			writeJSON(w, m)
		}
	})
	mux.HandleFunc("DELETE /api/messages", func(w http.ResponseWriter, _ *http.Request) {
		b.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /clear", func(w http.ResponseWriter, r *http.Request) {
		b.Clear()
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	return mux
}

func (b *Mailbox) newestFirst() []Message {
	messages, _ := b.Messages()
	slices.Reverse(messages)
	return append([]Message{}, messages...) // [] rather than null in JSON
}

// find returns the message that the path names, or answers 404.
func (b *Mailbox) find(w http.ResponseWriter, r *http.Request) (Message, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	messages, _ := b.Messages()
	i := slices.IndexFunc(messages, func(m Message) bool { return m.ID == id })
	if err != nil || i < 0 {
		http.Error(w, "no such mail; it may have been deleted", http.StatusNotFound)
		return Message{}, false
	}
	return messages[i], true
}

func (b *Mailbox) showList(w http.ResponseWriter, _ *http.Request) {
	version := b.Version() // before the messages: one that comes between is then shown by a reload
	writePage(w, "list", struct {
		Version  int
		Messages []Message
	}{version, b.newestFirst()})
}

func (b *Mailbox) showMessage(w http.ResponseWriter, r *http.Request) {
	m, ok := b.find(w, r)
	if !ok {
		return
	}
	view := r.URL.Query().Get("view")
	switch {
	case view == "text" || view == "source":
	case m.HTML != "":
		view = "html"
	default:
		view = "text"
	}
	writePage(w, "message", struct {
		Message Message
		View    string
	}{m, view})
}

// showHTML sends the HTML of a mail as it is, for the sandboxed frame.
func (b *Mailbox) showHTML(w http.ResponseWriter, r *http.Request) {
	m, ok := b.find(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Security-Policy", mailPolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<base target=\"_blank\">\n%s", m.HTML)
}

// streamChanges sends the version of the mailbox as a server-sent event, now and at every change,
// until the client goes away.
func (b *Mailbox) streamChanges(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	for {
		_, changed := b.Messages()
		fmt.Fprintf(w, "data: %d\n\n", b.Version())
		if flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

func serveFile(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, page, "page"+r.URL.Path)
}

func writePage(w http.ResponseWriter, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplates.ExecuteTemplate(w, name, data) // fails only when the client has gone
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // fails only when the client has gone
}
