package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	headerTimeout = 2 * time.Second // spec/07 section 4
	drainTimeout  = time.Minute
	lingerTimeout = 5 * time.Second // for clients to leave connections that they keep
)

// Serve answers requests on the listener and delivers the outbox until ctx is done. Then it lets running
// requests finish, for a minute at most, and closes the server.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	defer s.Close()
	var open atomic.Int64 // connections
	server := &http.Server{
		Handler:           http.HandlerFunc(s.dispatch),
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			}
		},
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.outbox.Run(ctx); return nil })
	group.Go(func() error { s.expose(ctx); return nil })
	group.Go(func() error {
		err := server.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) || s.isDraining.Load() {
			return nil
		}
		return err
	})
	group.Go(func() error {
		<-ctx.Done()
		s.leave(listener, &open)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		return server.Shutdown(drain)
	})
	return group.Wait()
}

// dispatch hands a request to the current generation.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	if s.isDraining.Load() {
		w.Header().Set("Connection", "close")
	}
	s.current.Load().handler.ServeHTTP(w, r)
}

// leave hands the port over to another process, if one accepts connections from the same queue. What is in the queue is
// the other's. Clients that keep connections are told with their next answer to open new ones: closing an idle
// connection at once could cross a request that is on its way.
func (s *Server) leave(listener net.Listener, open *atomic.Int64) {
	shared, ok := listener.(interface{ IsShared() bool })
	if !ok || !shared.IsShared() {
		return
	}
	s.isDraining.Store(true)
	_ = listener.Close() // nothing depends on it
	limit := time.After(lingerTimeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for open.Load() > 0 {
		select {
		case <-tick.C:
		case <-limit:
			return
		}
	}
}
