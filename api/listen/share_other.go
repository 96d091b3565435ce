//go:build !linux

package listen

import (
	"context"
	"net"
)

func open(ctx context.Context, address string) (*net.TCPListener, net.Conn, error) {
	l, err := bind(ctx, address)
	return l, nil, err
}

func (l *Listener) share(context.Context, string, net.Conn) {}
