package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/postern-auth/postern/api"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/listen"
	"github.com/postern-auth/postern/api/reload"
)

func serveCommand(sources *config.Sources) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Answer the REST API and deliver mail",
		Long: "Answer the REST API and deliver mail until a signal ends the process. Settings are environment\n" +
			"variables; docs/configuration.md lists them. The database must be migrated: postern migrate.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), *sources) },
	}
}

// serve answers requests until ctx is done.
func serve(ctx context.Context, sources config.Sources) error {
	cfg, err := config.Load(os.Environ())
	if err != nil {
		return err
	}
	log, err := newLogger(cfg.Log)
	if err != nil {
		return err
	}
	warn(log, cfg)
	listener, err := listen.Listen(ctx, cfg.API.Address())
	if err != nil {
		return fmt.Errorf("%w: choose another PORT, or stop what uses this one", err)
	}
	server, err := api.New(ctx, cfg, log)
	if err != nil {
		listener.Close()
		return err
	}
	log.Info("Postern API started on: "+listener.Addr().String(), "version", api.Version)
	group, ctx := errgroup.WithContext(ctx)
	if sources.Dir != "" {
		watcher := reload.New(sources.Dir, cfg.Reloading, reloader(server, sources, log), api.ErrNotPublished, log)
		group.Go(func() error { watcher.Run(ctx); return nil })
	}
	group.Go(func() error { return server.Serve(ctx, listener) })
	return group.Wait()
}

// reloader returns what a reload does: read the directory, then put the settings of the environment into force.
func reloader(server *api.Server, sources config.Sources, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := sources.ApplyDir(); err != nil {
			return err
		}
		cfg, err := config.Load(os.Environ())
		if err != nil {
			return err
		}
		warn(log, cfg)
		return server.Reload(ctx, cfg)
	}
}

func warn(log *slog.Logger, cfg *config.Config) {
	for _, warning := range cfg.Warnings() {
		log.Warn(warning)
	}
}
