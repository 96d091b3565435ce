package main

import (
	"bufio"
	"net"
	"strings"
)

// sink is a mail server that accepts everything and keeps nothing (RFC 5321, the least that a client needs).
func startSink() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go swallow(conn)
		}
	}()
	return listener, nil
}

// swallow speaks SMTP on one connection until it ends.
func swallow(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	answer := "220 sink ESMTP"
	isData := false
	for {
		if answer != "" {
			if _, err := conn.Write([]byte(answer + "\r\n")); err != nil {
				return
			}
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case isData && line == ".":
			isData, answer = false, "250 OK"
		case isData:
			answer = ""
		case verb == "DATA":
			isData, answer = true, "354 go ahead"
		case verb == "QUIT":
			_, _ = conn.Write([]byte("221 bye\r\n")) // whether it arrives is nobody's concern
			return
		case verb == "EHLO":
			answer = "250-sink\r\n250 8BITMIME"
		default:
			answer = "250 OK"
		}
	}
}
