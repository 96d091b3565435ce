// Package listen opens the TCP port of the server so that the next process can take it over without a failed request.
//
// The port has SO_REUSEPORT, as that of the reference, so that a second process can bind it. But a connection that
// waits in the queue of a socket is reset when that socket closes. On Linux a new process therefore asks the one that
// has the port for the socket itself, over an abstract Unix socket: both accept from one queue, and nothing is lost
// when the old one stops. Elsewhere, and between processes that do not know each other, SO_REUSEPORT has to do.
package listen

import (
	"context"
	"net"
	"sync"
)

// Listener is a TCP listener that other processes may share.
type Listener struct {
	*net.TCPListener
	stop  context.CancelFunc
	done  sync.WaitGroup
	close func() error

	mu    sync.Mutex
	peers int // processes that are known to have the socket, too
}

// Listen opens an address such as ":8081", or takes over the socket of a process of the same user that has it.
// Errors: those of the network, such as an address in use.
func Listen(ctx context.Context, address string) (*Listener, error) {
	socket, giver, err := open(ctx, address)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &Listener{TCPListener: socket, stop: stop}
	l.close = sync.OnceValue(func() error {
		l.stop()
		err := l.TCPListener.Close()
		l.done.Wait()
		return err
	})
	l.done.Go(func() { l.share(life, address, giver) })
	return l, nil
}

// IsShared tells whether another process accepts connections from the same queue.
func (l *Listener) IsShared() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peers > 0
}

func (l *Listener) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers += n
}

// Close stops accepting. The queue is lost only if no other process has the socket. It may be called again.
func (l *Listener) Close() error { return l.close() }
