// Command postern is the auth server: `postern help` lists what it does.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "postern:", err)
		os.Exit(1)
	}
}

// rootCommand is the command line of postern: one constructor per command, each in its own file.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "postern",
		Short:         "An auth server whose logic lives in PostgreSQL",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(devCommand(), serveCommand(), migrateCommand(), doctorCommand(), keyCommand(), userCommand(), auditCommand(),
		mailCommand(), readyCommand(), versionCommand())
	return root
}
