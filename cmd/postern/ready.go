package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api/config"
)

func readyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ready",
		Short: "Ask the server on this machine whether it can answer requests",
		Long: "Ask /health/ready of the server that runs here with the same settings. Exit code 0 means that it answers and\n" +
			"its database is there and new enough. Made for health checks of containers.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(os.Environ())
			if err != nil {
				return err
			}
			return askReady(cmd.Context(), cfg.API.Host, cfg.API.Port)
		},
	}
}

// askReady returns nil if the server that listens at host and port is ready. A host that stands for all addresses is
// asked over loopback.
func askReady(ctx context.Context, host, port string) error {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	url := "http://" + net.JoinHostPort(host, port) + "/health/ready"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not ready: %s answers %s", url, response.Status)
	}
	return nil
}
