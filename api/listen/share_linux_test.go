package listen

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// accept answers connections with a name until the listener is closed.
func accept(l *Listener, name string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, name)
		conn.Close()
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 30000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatal(what + ": never")
}

// A connection that waits in the queue when the first listener closes is answered by the second one.
func TestTheQueueIsHandedOver(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	old, err := Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		next, err := take(t, address, old)
		if err != nil {
			t.Fatal(err)
		}
		var waiting []net.Conn
		for range 20 {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, conn)
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		go accept(next, "next")
		for _, conn := range waiting {
			if n, err := conn.Read(make([]byte, 4)); err != nil || n == 0 {
				t.Errorf("hand-over %d: a waiting connection was lost: %v", i, err)
			}
			conn.Close()
		}
		until(t, "alone again", func() bool { return !next.IsShared() })
		// from now on the queue fills: nobody accepts
		replacement, err := take(t, address, next)
		if err != nil {
			t.Fatal(err)
		}
		next.Close()
		old = replacement
	}
	old.Close()
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}

// take opens the address while another listener has it.
func take(t *testing.T, address string, other *Listener) (*Listener, error) {
	t.Helper()
	until(t, "asking is possible", func() bool { // the other one may be on its way to the meeting point
		conn, err := net.DialUnix("unix", nil, meetingPoint(address))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	l, err := Listen(t.Context(), address)
	if err == nil {
		until(t, "shared", other.IsShared)
		until(t, "shared", l.IsShared)
	}
	return l, err
}
