// Package dev is what `postern dev` and the tests run on: a private PostgreSQL cluster and a mail catcher.
package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// superuser is the role that initdb makes.
const superuser = "postgres"

// Options say what kind of cluster Start makes. The zero value is a throw-away cluster for tests:
// in a temporary directory that is removed with it, unsafe settings, no password.
type Options struct {
	Dir     string       // keeps the data (and a generated password) here across starts; empty: throw-away
	Durable bool         // fsync and friends on, as in production
	Port    int          // loopback TCP port; 0: any free one
	Log     *slog.Logger // says aloud what takes long or is unusual; nil: slog.Default
}

// Cluster is a running PostgreSQL server that belongs to this process: it ends when Stop is called,
// and also when this process dies in any other way.
type Cluster struct {
	port     int
	bin      string // directory of PostgreSQL's programs
	scratch  string // directory of the unix socket, and of everything if nothing is kept
	password string // empty: no password needed
	server   *process
	cleanup  []func()
}

// InUseError says that another process holds what Start needs.
type InUseError struct{ Sentence string }

func (e *InUseError) Error() string { return e.Sentence }

// Start finds PostgreSQL on this machine (installing it if there is none), makes a cluster unless
// o.Dir holds one already, and starts it. ctx bounds the start, not the life of the cluster.
// It returns an *InUseError when the directory or the port is taken.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	c := &Cluster{}
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, o Options) error {
	home, err := c.openHome(ctx, o)
	if err != nil {
		return err
	}
	if c.bin, err = findPostgres(ctx, home, o.Log); err != nil {
		return err
	}
	if err := home.init(ctx, c.bin, c.password); err != nil {
		return err
	}
	if err := home.endOrphan(ctx); err != nil {
		return err
	}
	return c.launch(ctx, home, o)
}

// openHome prepares the directory of the cluster and reserves it for this process.
func (c *Cluster) openHome(ctx context.Context, o Options) (*home, error) {
	if o.Dir == "" {
		h, err := newTempHome(ctx)
		if err == nil {
			c.removeLater(h.dir)
		}
		return h, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("directory of the development database: %w", err)
	}
	unlock, err := lockFile(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, err
	}
	c.cleanup = append(c.cleanup, unlock)
	h, err := newHome(ctx, o.Dir, o.Log)
	if err != nil {
		return nil, err
	}
	if c.password, err = Secret(filepath.Join(o.Dir, "database-password")); err != nil {
		return nil, err
	}
	// A socket's path may have about 100 bytes; the project's directory may be longer.
	scratch, err := os.MkdirTemp("", "postern-")
	if err != nil {
		return nil, err
	}
	c.removeLater(scratch)
	return h, h.owner.own(scratch)
}

func (c *Cluster) removeLater(scratch string) {
	c.scratch = scratch
	c.cleanup = append(c.cleanup, func() { os.RemoveAll(scratch) })
}

// launch starts the server and waits until it takes connections. A free port may be taken by
// somebody else before PostgreSQL binds it, hence more than one attempt.
func (c *Cluster) launch(ctx context.Context, h *home, o Options) error {
	for attempt := 0; ; attempt++ {
		c.port = o.Port
		if o.Port == 0 {
			port, err := freePort(ctx)
			if err != nil {
				return err
			}
			c.port = port
		}
		args := append([]string{filepath.Join(c.bin, "postgres"), "-D", h.data()}, c.settings(o)...)
		server, err := startProcess(args, h, c.scratch)
		if err != nil {
			return fmt.Errorf("starting PostgreSQL: %w", err)
		}
		c.server = server
		err = c.awaitReady(ctx, h)
		var inUse *InUseError
		if err == nil || o.Port != 0 || attempt == 3 || !errors.As(err, &inUse) {
			return err
		}
	}
}

// settings returns the command-line settings of the server.
func (c *Cluster) settings(o Options) []string {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(c.port),
		"unix_socket_directories=" + c.scratch,
		"max_connections=200",
		"shared_buffers=64MB",
		"logging_collector=off",
		"timezone=UTC",
	}
	if !o.Durable {
		settings = append(settings, "fsync=off", "full_page_writes=off", "synchronous_commit=off",
			"max_wal_size=2GB", "autovacuum_naptime=1h")
	}
	var args []string
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// awaitReady waits until the server says in its pid file that it takes connections.
func (c *Cluster) awaitReady(ctx context.Context, h *home) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("starting PostgreSQL: %w", ctx.Err())
		case <-c.server.done:
			return startFailure(c.port, h.logFile())
		case <-tick.C:
			if pid, ready := h.postmaster(); ready && pid == c.server.pid() {
				return nil
			}
		}
	}
}

// Port returns the TCP port on the loopback address.
func (c *Cluster) Port() int { return c.port }

// Program returns the path of one of PostgreSQL's programs (psql, pg_dump) that fits the server.
func (c *Cluster) Program(name string) (string, error) {
	if beside := filepath.Join(c.bin, name); isFile(beside) {
		return beside, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is neither beside PostgreSQL's other programs in %s nor in PATH: install PostgreSQL's client programs", name, c.bin)
	}
	return path, nil
}

// URL returns the superuser's connection URL of a database over loopback TCP.
func (c *Cluster) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: c.user(), Path: "/" + database, RawQuery: "sslmode=disable",
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
	}
	return u.String()
}

// SocketURL returns the same over the unix socket, which is a little faster.
func (c *Cluster) SocketURL(database string) string {
	query := url.Values{"host": {c.scratch}, "port": {strconv.Itoa(c.port)}}
	u := url.URL{Scheme: "postgres", User: c.user(), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

func (c *Cluster) user() *url.Userinfo {
	if c.password == "" {
		return url.User(superuser)
	}
	return url.UserPassword(superuser, c.password)
}

// Stop ends the server, cutting open connections, and returns when nothing of it is left.
func (c *Cluster) Stop() error {
	var err error
	if c.server != nil {
		err = c.server.stop()
		c.server = nil
	}
	for i := len(c.cleanup) - 1; i >= 0; i-- {
		c.cleanup[i]()
	}
	c.cleanup = nil
	return err
}

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
