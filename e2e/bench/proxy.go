package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
)

// proxy stands between server and PostgreSQL in the counting run, and counts what the server sends: statements are
// Execute and Query messages, round trips are the Sync, Flush and Query messages that end a batch with one of them.
// (A statement is prepared once per connection; those exchanges are left out.) The statements of the workers of the outbox
// are recognised by name and left out, too.
type proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	count traffic
}

// traffic is what went to the database.
type traffic struct {
	Statements float64 `json:"statements"`
	RoundTrips float64 `json:"round_trips"`
}

func startProxy(target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, target: target}
	go p.accept()
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// take returns the counts and begins anew.
func (p *proxy) take() traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := p.count
	p.count = traffic{}
	return count
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		go p.serve(conn)
	}
}

func (p *proxy) serve(server net.Conn) {
	defer server.Close()
	database, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer database.Close()
	go func() {
		_, _ = io.Copy(server, database) // ends with the connection
		server.Close()
	}()
	w := &wire{proxy: p, texts: map[string]string{}}
	_ = w.forward(bufio.NewReader(server), database) // ends with the connection
}

// wire is the state of one connection.
type wire struct {
	proxy    *proxy
	texts    map[string]string // statement name -> SQL
	bound    string            // SQL of the last Bind
	executed bool              // since the last round trip, by a request
}

// forward copies messages (PostgreSQL protocol 3.0) and counts them before they are answered.
func (w *wire) forward(from *bufio.Reader, to io.Writer) error {
	head := make([]byte, 5)
	isStartup := true
	for {
		start := 0
		if isStartup {
			start = 1 // has no type byte
		}
		if _, err := io.ReadFull(from, head[start:]); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(head[1:]))
		if size < 4 || size > 1<<26 {
			return errors.New("malformed message")
		}
		message := append(head[start:5:5], make([]byte, size-4)...)
		if _, err := io.ReadFull(from, message[5-start:]); err != nil {
			return err
		}
		if !isStartup {
			w.note(message[0], message[5:])
		}
		isStartup = false
		if _, err := to.Write(message); err != nil {
			return err
		}
	}
}

// note counts one message.
func (w *wire) note(kind byte, body []byte) {
	switch kind {
	case 'P': // Parse: statement, SQL
		name, rest, _ := strings.Cut(string(body), "\x00")
		w.texts[name], _, _ = strings.Cut(rest, "\x00")
	case 'B': // Bind: portal, statement
		_, rest, _ := strings.Cut(string(body), "\x00")
		name, _, _ := strings.Cut(rest, "\x00")
		w.bound = w.texts[name]
	case 'E':
		w.statement(w.bound)
	case 'Q':
		w.statement(string(body))
		w.roundTrip()
	case 'S', 'H':
		w.roundTrip()
	}
}

func (w *wire) statement(text string) {
	if strings.Contains(text, "_outbox") || strings.Contains(text, "_webhook_message") || strings.Contains(strings.ToLower(text), "listen ") {
		return
	}
	w.executed = true
	w.proxy.mu.Lock()
	defer w.proxy.mu.Unlock()
	w.proxy.count.Statements++
}

func (w *wire) roundTrip() {
	if !w.executed {
		return
	}
	w.executed = false
	w.proxy.mu.Lock()
	defer w.proxy.mu.Unlock()
	w.proxy.count.RoundTrips++
}
