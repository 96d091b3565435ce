package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// client is one keep-alive HTTP/1.1 connection. It does the least that is correct, as it shares the cores with
// what it measures.
type client struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	out     bytes.Buffer
	body    []byte
}

// maxWait is the time limit of one request.
const maxWait = 30 * time.Second

func dial(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{address: address, conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}, nil
}

func (c *client) close() { c.conn.Close() }

// redial replaces a broken connection; without a server it waits a little, so that nobody spins.
func (c *client) redial() error {
	c.close()
	fresh, err := dial(c.address)
	if err != nil {
		time.Sleep(100 * time.Millisecond)
		return err
	}
	*c = *fresh
	return nil
}

// request is what a client sends. token and body may be empty.
type request struct {
	method, path, token, body string
}

// do sends a request and returns status and body of the answer; the body is valid until the next call.
func (c *client) do(r request) (status int, body []byte, err error) {
	c.out.Reset()
	fmt.Fprintf(&c.out, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n", r.method, r.path, c.address)
	if local, ok := c.conn.LocalAddr().(*net.TCPAddr); ok { // people share no address, so they share no limit
		fmt.Fprintf(&c.out, "X-Forwarded-For: 203.0.%d.%d\r\n", local.Port>>8, local.Port&255)
	}
	if r.token != "" {
		c.out.WriteString("Authorization: Bearer " + r.token + "\r\n")
	}
	if r.body != "" {
		c.out.WriteString("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(r.body)) + "\r\n")
	}
	c.out.WriteString("\r\n" + r.body)
	if err := c.conn.SetDeadline(time.Now().Add(maxWait)); err != nil {
		return 0, nil, err
	}
	if _, err := c.conn.Write(c.out.Bytes()); err != nil {
		return 0, nil, err
	}
	return c.read()
}

// read parses one response.
func (c *client) read() (status int, body []byte, err error) {
	line, err := c.line()
	if err != nil {
		return 0, nil, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, nil, fmt.Errorf("malformed status line %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	length, isChunked := 0, false
	for {
		if line, err = c.line(); err != nil {
			return 0, nil, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, nil, err
			}
		case "Transfer-Encoding":
			isChunked = true
		}
	}
	c.body = c.body[:0]
	if isChunked {
		err = c.readChunks()
	} else {
		err = c.readBody(length)
	}
	return status, c.body, err
}

func (c *client) readChunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		length, err := strconv.ParseInt(string(line), 16, 32)
		if err != nil {
			return err
		}
		if err := c.readBody(int(length)); err != nil {
			return err
		}
		if _, err := c.line(); err != nil || length == 0 {
			return err
		}
	}
}

// readBody appends n bytes to the body.
func (c *client) readBody(n int) error {
	start := len(c.body)
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.in, c.body[start:])
	return err
}

// line returns the next line without its end.
func (c *client) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}
