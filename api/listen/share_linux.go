package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	askTimeout = time.Second            // for the socket of another process
	pause      = 100 * time.Millisecond // between attempts to become the one who is asked
)

// errStranger means that the process at the other end is another user's.
var errStranger = errors.New("the process there belongs to another user")

// meetingPoint is the abstract Unix socket of an address. Like ports, such names are those of a network namespace.
func meetingPoint(address string) *net.UnixAddr {
	return &net.UnixAddr{Name: "@postern/listen/" + address, Net: "unix"}
}

// open asks for the socket of another process, and binds one of its own if there is none. giver is the connection to that
// process: it lasts as long as the other one accepts.
func open(ctx context.Context, address string) (l *net.TCPListener, giver net.Conn, err error) {
	_, port, err := net.SplitHostPort(address)
	if err == nil && port != "0" && port != "" {
		if l, giver, err := ask(ctx, address); err == nil {
			return l, giver, nil
		}
	}
	l, err = bind(ctx, address)
	return l, nil, err
}

// ask takes over the socket of the process at the meeting point.
func ask(ctx context.Context, address string) (*net.TCPListener, net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", meetingPoint(address).Name)
	if err != nil {
		return nil, nil, err
	}
	l, err := receive(conn.(*net.UnixConn), address)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return l, conn, nil
}

// receive reads the socket from a connection and checks that it is the one of the address.
func receive(conn *net.UnixConn, address string) (*net.TCPListener, error) {
	if err := checkUser(conn); err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return nil, err
	}
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(errors.New("no socket was handed over"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(errors.New("no socket was handed over"), err)
	}
	unix.CloseOnExec(fds[0])
	file := os.NewFile(uintptr(fds[0]), "listener")
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	_, wanted, _ := net.SplitHostPort(address)
	if !ok || wanted != fmt.Sprint(tcp.Addr().(*net.TCPAddr).Port) {
		l.Close()
		return nil, errors.New("the socket that was handed over is another one")
	}
	return tcp, conn.SetDeadline(time.Time{})
}

// share hands the socket to processes that ask, as soon as the one that it came from has stopped.
func (l *Listener) share(ctx context.Context, address string, giver net.Conn) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "0" {
		return
	}
	for ctx.Err() == nil {
		if giver != nil {
			l.count(1)
			awaitEnd(ctx, giver)
			l.count(-1)
			giver = nil
		}
		if err := l.give(ctx, address); err != nil {
			// somebody else is asked: wait until that ends
			if other, err := net.DialUnix("unix", nil, meetingPoint(address)); err == nil && checkUser(other) == nil {
				giver = other
				continue
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
	if giver != nil {
		giver.Close()
	}
}

// awaitEnd waits until the other end closes the connection, or ctx is done.
func awaitEnd(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	for {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return
		}
	}
}

// give answers at the meeting point until ctx is done. Error: the place is taken.
func (l *Listener) give(ctx context.Context, address string) error {
	door, err := net.ListenUnix("unix", meetingPoint(address))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { door.Close() })
	defer stop()
	for {
		conn, err := door.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			continue
		}
		l.done.Go(func() { l.handOver(ctx, conn) })
	}
}

// handOver sends the socket and waits for the end of the process that got it.
func (l *Listener) handOver(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	if checkUser(conn) != nil {
		return
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	l.count(1)
	defer l.count(-1)
	var failed error
	err = raw.Control(func(fd uintptr) { // not File(), which would make the socket of both blocking
		_, _, failed = conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(fd)), nil)
	})
	if err != nil || failed != nil {
		return
	}
	awaitEnd(ctx, conn)
}

// checkUser refuses processes of other users: they could listen in.
func checkUser(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if int(peer.Uid) != os.Geteuid() {
		return errStranger
	}
	return nil
}
