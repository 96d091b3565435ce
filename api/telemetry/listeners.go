package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/postern-auth/postern/api/config"
)

// serve answers on an address of its own until ctx is done.
func serve(ctx context.Context, log *slog.Logger, name, address string, handler http.Handler) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		log.Error(name+" cannot be answered", "error", err)
		return
	}
	log.Info(name+" is answered on: "+listener.Addr().String(), "address", listener.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 2 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error(name+" is no longer answered", "error", err)
	}
}

// Profile answers go tool pprof until ctx is done, if the profiler is on; else it returns at once.
func Profile(ctx context.Context, c config.Profiler, log *slog.Logger) {
	if !c.Enabled {
		return
	}
	serve(ctx, log, "pprof", c.Address(), profiles())
}

// profiles are the pages of the reference's profiler (spec/07 section 5).
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/{$}", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	for _, name := range []string{"goroutine", "heap", "allocs", "threadcreate", "block", "mutex"} {
		mux.Handle("/debug/pprof/"+name, pprof.Handler(name))
	}
	return mux
}
