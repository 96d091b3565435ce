package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api"
	"github.com/postern-auth/postern/api/config"
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Answer the REST API and deliver mail",
		Long: "Answer the REST API and deliver mail until a signal ends the process. Settings are environment\n" +
			"variables; docs/configuration.md lists them. The database must be migrated: postern migrate.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(os.Environ())
			if err != nil {
				return err
			}
			log := newLogger(cfg)
			for _, warning := range append(cfg.Warnings(), missingFeatures(os.Environ())...) {
				log.Warn(warning)
			}
			listener, err := net.Listen("tcp", cfg.API.Address())
			if err != nil {
				return fmt.Errorf("%w: choose another PORT, or stop what uses this one", err)
			}
			server, err := api.New(cmd.Context(), cfg, log)
			if err != nil {
				listener.Close()
				return err
			}
			log.Info("Postern API started on: "+listener.Addr().String(), "version", api.Version)
			return server.Serve(cmd.Context(), listener)
		},
	}
}

// missingFeatures are warnings about switches of features that have no settings yet.
func missingFeatures(environ []string) []string {
	var warnings []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		isHook := strings.HasPrefix(name, "GOTRUE_HOOK_") && strings.HasSuffix(name, "_ENABLED")
		if on, _ := strconv.ParseBool(value); on && (isHook || name == "GOTRUE_SECURITY_DB_ENCRYPTION_ENCRYPT" ||
			name == "GOTRUE_PASSWORD_HIBP_ENABLED" || name == "GOTRUE_OAUTH_SERVER_ENABLED") {
			warnings = append(warnings, name+" is set, but this version does not have that yet: it stays off")
		}
	}
	return warnings
}

// newLogger writes JSON lines to standard error (spec/07 section 5).
func newLogger(cfg *config.Config) *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.Log.Slog()}))
}
